"""Runs migrations on the connection, and inside the transaction, that ``schema`` hands over."""

from __future__ import annotations

from alembic import context

from worker.ledger.schema import VERSION_TABLE
from worker.ledger.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
