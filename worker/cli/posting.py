"""A webhook as its sender would post it: where to, and with which headers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.core.model import Inbound
    from worker.steps.intake import Endpoint


def signed(endpoint: Endpoint, inbound: Inbound) -> tuple[str, Mapping[str, str]]:
    """
    Sign a request, as of the time that it bears, as its source needs.

    Returns:
        The path with its query, and the headers, in lower case.
    """
    from worker.sources._auth import sign, sign_query

    config = endpoint.config
    added = sign(config.auth, endpoint.secrets, inbound.body, inbound.received_at, f"msg_{uuid.uuid4().hex}")
    query = "&".join(filter(None, (inbound.query, sign_query(config.auth, endpoint.secrets))))
    headers = {name.lower(): value for name, value in added.items()}
    return f"/hooks/{config.name}{f'?{query}' if query else ''}", {**inbound.headers, **headers}
