"""
What went wrong, in the form of RFC 9457: the same for every route but hooks and health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from worker.errors import CommandRefused, ConfigError, Conflict, LedgerUnavailable, NotFound, ProviderUnavailable

RETRY_AFTER_S = "5"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """The body of an answer that is not 2xx; ``code`` is for programs, ``detail`` for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


_SCHEMA = TypeAdapter(Problem).json_schema()
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for status, description in {
        401: "`token_needed`",
        403: "`foreign_origin`",
        404: "`not_found`: it is about nothing that there is",
        409: "`refused`: it makes no sense now",
        421: "`misdirected`",
        422: "`invalid`: a field is missing, unknown or wrong",
        503: "`ledger_unavailable`, `page_unavailable`, `busy`: try again later",
    }.items()
}
"""What every command may be answered, for the description of the API."""


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """
    Answer with a problem.

    Args:
        code: Closed set, for programs; what it means never changes.
        detail: For people, free of secrets.
        more: Further members.
    """
    told = Problem("about:blank", HTTPStatus(status).phrase, status, code, detail)
    return JSONResponse({**asdict(told), **more}, status, dict(headers or {}), media_type=MEDIA_TYPE)


def tell_problems(app: FastAPI) -> None:
    """Make *app* answer with problems, whatever a route raises."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotFound, lambda _, wrong: problem(404, "not_found", str(wrong)))
    app.add_exception_handler(CommandRefused, lambda _, wrong: problem(409, "refused", str(wrong)))
    app.add_exception_handler(ConfigError, lambda _, wrong: problem(422, "invalid", str(wrong)))
    for ours, code in _LATER.items():
        app.add_exception_handler(ours, partial(_later, code))
    app.add_exception_handler(HTTPException, _http)


def _invalid(_: Request, wrong: Exception) -> JSONResponse:
    assert isinstance(wrong, RequestValidationError)
    errors = [{"pointer": _pointer(each["loc"][1:]), "detail": each["msg"]} for each in wrong.errors()]
    told = "; ".join(f"{each['pointer']}: {each['detail']}" for each in errors)
    return problem(422, "invalid", told, errors=errors)


def _pointer(loc: tuple[object, ...]) -> str:
    """Write a JSON pointer in its form for addresses (RFC 6901, section 6)."""
    return "#" + "".join(f"/{part}" for part in loc)


_LATER = {LedgerUnavailable: "ledger_unavailable", ProviderUnavailable: "page_unavailable", Conflict: "busy"}


def _later(code: str, _: Request, wrong: Exception) -> JSONResponse:
    return problem(503, code, str(wrong), headers={"retry-after": RETRY_AFTER_S})


_CODES = {404: "not_found", 405: "method_not_allowed"}


def _http(_: Request, wrong: Exception) -> JSONResponse:
    assert isinstance(wrong, HTTPException)
    return problem(
        wrong.status_code, _CODES.get(wrong.status_code, "refused"), str(wrong.detail), headers=wrong.headers
    )
