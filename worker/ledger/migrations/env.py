"""Runs migrations on the connection, and inside the transaction, that ``schema`` hands over."""

from __future__ import annotations

from alembic import context

from worker.ledger.schema import VERSION_TABLE
from worker.ledger.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # true of SQLite as well, once the driver does not begin transactions by itself
)
context.run_migrations()
