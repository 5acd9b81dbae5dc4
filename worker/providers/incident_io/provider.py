"""
The provider: incident.io's Status Page API behind the port.

Here stands who is asked what and in which order; what is sent and what an answer means stand in its siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from worker.core.model import Action, ActionKind, Directory, Outcome, RemoteIncident, Request, Result
from worker.core.ruleset import PageConfig
from worker.errors import ConfigError, KeyDenied, ProviderUnavailable
from worker.ports import Clock
from worker.providers import _components
from worker.providers._components import Availability, ListedPage
from worker.providers._http import Http
from worker.providers._outcomes import Answer, Exchange, Unanswered, classify
from worker.providers.incident_io import reading
from worker.providers.incident_io.echo import Echo, echo_of
from worker.providers.incident_io.payloads import request_of, usable_id
from worker.providers.incident_io.summary import WidgetApi
from worker.providers.incident_io.vocabulary import FORMS, INCIDENT, MAX_UPDATES, SCOPE, WINDOW, Thing

BASE_URL = "https://api.incident.io"
PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 25
"""How many records an answer holds at most; the API's own default, where it does not give ``PAGE_SIZE``."""
LONGEST_LIST = 1000
LIST_DEADLINE = timedelta(seconds=45)
"""How many answers a list is read from, and how long, before we doubt that it ends."""
LONGEST_AVAILABILITY = timedelta(days=366)

Made = TypeVar("Made")


class _Refused(ProviderUnavailable):
    """The API itself said no to a read: 400 or 422."""


class _Missing(ProviderUnavailable):
    """The API itself said that there is no such thing."""


class IncidentIo:
    """
    One status page at incident.io; implements ``ports.Provider``. Thread-safe.

    Args:
        api_key: Reads need any valid key, writes the scope named in ``vocabulary.SCOPE``.
        clock: Aware, UTC.
        http: Makes the HTTP side; for tests that shorten its deadlines.

    Attributes:
        notes: What ``directory`` found worth telling: components that customers do not see.

    Raises:
        ConfigError: The address or the key is not usable.
    """

    def __init__(self, config: PageConfig, api_key: str, clock: Clock, *, http: Callable[..., Http] = Http) -> None:
        self._config = config
        self._clock = clock
        self._page_size = PAGE_SIZE
        self._widget = WidgetApi(clock, rehearsal=(config.base_url or BASE_URL).startswith("http:"))
        self.notes: tuple[str, ...] = ()
        try:
            self._http = http(config.base_url or BASE_URL, api_key, clock=clock, told=reading.told_wait)
        except ValueError as fault:
            raise ConfigError([_components.problem(config.place, f"page `{config.name}`: {fault}")]) from None

    def __repr__(self) -> str:
        return f"IncidentIo({self._config.name} at {self._http.host})"

    @property
    def supports(self) -> frozenset[ActionKind]:
        """Every action has its request here."""
        return frozenset(FORMS)

    @property
    def most_updates(self) -> int:
        """As documented; an incident with so many takes no more, not even its end."""
        return MAX_UPDATES

    def request(self, action: Action, directory: Directory) -> Request:
        """Build the exact bytes; see ``ports.Provider``."""
        return request_of(action, directory)

    def send(self, action: Action, request: Request) -> Outcome:
        """
        Send once; see ``ports.Provider``.

        A 2xx about our object is done even where its words differ from ours: then ``differences`` says so. For a create
        that may mean that a used key brought back something older, as may an old ``published_at``; the caller judges.
        """
        exchange = self._http.write(request.method, request.target, request.body)
        echo, detail = _heard(action, request, exchange)
        shown = echo or Echo(remote_id="")
        return Outcome(
            action_id=action.id,
            result=_unmailed(action, exchange) or classify(exchange, echoed=echo is not None),
            at=self._clock(),
            detail=detail,
            retry_at=exchange.retry_at,
            remote_id=shown.remote_id,
            update_id=shown.update_id,
            published_at=shown.published_at,
            window=shown.window,
            name=shown.name,
            differences=shown.differences,
        )

    def directory(self) -> Directory:
        """
        Resolve the page and our component names; see ``ports.Provider``.

        Raises:
            ConfigError: Also where the API does not take the key.
        """
        page = self._as_configured(self._own_page)
        found, missing = _components.resolve(page, self._config.components)
        self.notes = _components.hidden(page, found)
        return Directory(page_id=page.id, name=page.name, public_url=page.public_url, components=found, missing=missing)

    def ongoing(self, directory: Directory) -> Sequence[RemoteIncident]:
        """List the incidents that are not resolved; one whose status we do not know counts as ongoing."""
        return self._unended(INCIDENT, directory)

    def windows(self, directory: Directory) -> Sequence[RemoteIncident]:
        """List the maintenance windows that are not complete, as ``ongoing`` does for incidents."""
        return self._unended(WINDOW, directory)

    def published(self, directory: Directory, since: datetime) -> Sequence[RemoteIncident]:
        """
        List the incidents that were open at *since* or later, whoever opened them.

        Raises:
            ProviderUnavailable: The API could not be read.
        """
        query = {"status_page_id": directory.page_id, "start_at": _utc(since)}
        return self._list(INCIDENT.path, f"{INCIDENT.noun}s", query, lambda data: reading.incident(data, INCIDENT))

    def summary(self, directory: Directory) -> Mapping[str, Any]:
        """Ask the page's Widget API; see ``ports.Provider``."""
        return self._widget.summary(directory.public_url)

    def show(self, remote_id: str, kind: ActionKind) -> RemoteIncident | None:
        """Show an incident or a window; see ``ports.Provider``."""
        thing = FORMS[kind].thing
        if not usable_id(remote_id):
            return None
        try:
            return self._read(
                f"{thing.path}/{remote_id}", lambda data: reading.incident(reading.child(data, thing.noun), thing)
            )
        except _Missing:
            return None

    def pages(self) -> Sequence[ListedPage]:
        """
        List every page that the key sees, with its components.

        Raises:
            ConfigError: The API does not take the key.
            ProviderUnavailable: The API could not be read.
        """
        return self._as_configured(lambda: [self._with_components(page) for page in self._pages()])

    def availability(self, component_id: str, start: datetime, end: datetime) -> Availability:
        """
        Say how available a component of the page was.

        Args:
            start: Aware, as *end*; at most 366 days apart.

        Raises:
            ConfigError: The component or the time is not one that can be asked for, or the key is not taken.
            ProviderUnavailable: The API could not be read.
        """
        if not usable_id(component_id) or not timedelta(0) < end - start <= LONGEST_AVAILABILITY:
            raise ConfigError(
                "availability: name a component by its id, and a time of more than 0 and at most 366 days"
            )
        return self._as_configured(lambda: self._availability(component_id, start, end))

    def _availability(self, component_id: str, start: datetime, end: datetime) -> Availability:
        page = _components.choose_page(self._pages(), self._config.page, self._config.place)
        query = urlencode({"start_at": _utc(start), "end_at": _utc(end)})
        try:
            return self._read(
                f"/v2/status_pages/{page.id}/components/{component_id}/availability?{query}",
                lambda data: reading.availability(reading.child(data, "availability"), start, end),
            )
        except _Missing:
            raise ConfigError(f"page `{page.name}` has no component with the id `{component_id}`") from None

    def _own_page(self) -> ListedPage:
        page = _components.choose_page(self._pages(), self._config.page, self._config.place)
        return self._with_components(page)

    def _pages(self) -> list[ListedPage]:
        return self._list("/v2/status_pages", "status_pages", {}, reading.page)

    def _with_components(self, page: ListedPage) -> ListedPage:
        listed = self._read(f"/v2/status_page_structures/{page.id}", reading.components)
        return replace(page, components=listed)

    def _unended(self, thing: Thing, directory: Directory) -> list[RemoteIncident]:
        def unended(data: reading.Json) -> RemoteIncident | None:
            return None if reading.text(data, thing.status) == thing.final else reading.incident(data, thing)

        return self._list(thing.path, f"{thing.noun}s", {"status_page_id": directory.page_id}, unended)

    def _list(
        self, path: str, name: str, query: Mapping[str, str], read: Callable[[reading.Json], Made | None]
    ) -> list[Made]:
        """Read a whole list, however many answers it takes; records that *read* gives None for are left out."""
        try:
            return self._walk(path, name, {**query, "page_size": str(self._page_size)}, read)
        except _Refused:
            if self._page_size == DEFAULT_PAGE_SIZE:
                raise
        self._page_size = DEFAULT_PAGE_SIZE
        return self._list(path, name, query, read)

    def _walk(
        self, path: str, name: str, query: dict[str, str], read: Callable[[reading.Json], Made | None]
    ) -> list[Made]:
        def part(data: reading.Json) -> tuple[list[Made], str]:
            made = (read(record) for record in reading.records(data, name))
            return [one for one in made if one is not None], reading.after(data)

        found: list[Made] = []
        give_up = self._clock() + LIST_DEADLINE
        for _ in range(LONGEST_LIST):
            if self._clock() > give_up:
                break
            more, after = self._read(f"{path}?{urlencode(query)}", part)
            found += more
            if not after:
                return found
            query["after"] = after
        raise ProviderUnavailable(f"{self._http.host}: the list at {path} was not read to its end in time")

    def _read(self, target: str, understand: Callable[[reading.Json], Made]) -> Made:
        """
        Read one answer.

        Raises:
            ProviderUnavailable: There is none that can be understood.
        """
        answer = self._http.read(target)
        if isinstance(answer, Unanswered):
            raise ProviderUnavailable(answer.detail)
        said = f"{self._http.host}: GET {target.partition('?')[0]}: {reading.complaint(answer)}"
        if answer.status in (401, 403):
            raise KeyDenied(f"{said}: the API does not take the key. Any valid key may read; writing needs “{SCOPE}”")
        if answer.status in _SAID_NO and reading.is_error(answer):
            raise _SAID_NO[answer.status](said)
        if answer.status != 200 or not answer.complete:
            raise ProviderUnavailable(said)
        try:
            return understand(reading.document(answer.body))
        except reading.Unreadable as fault:
            raise ProviderUnavailable(f"{said}: this is not incident.io's API: {fault}") from None

    def _as_configured(self, read: Callable[[], Made]) -> Made:
        """Read for somebody who can mend the configuration: a key that is not taken is a fault in that."""
        try:
            return read()
        except KeyDenied as fault:
            message = f"page `{self._config.name}`: {fault}"
            raise ConfigError([_components.problem(self._config.place, message)]) from None


_SAID_NO: Mapping[int, type[ProviderUnavailable]] = {400: _Refused, 404: _Missing, 422: _Refused}


def _unmailed(action: Action, exchange: Exchange) -> Result | None:
    """Whether a post was refused for the mails alone that it asks for, which a page with many subscribers does."""
    if not action.content.notify or not isinstance(exchange, Answer):
        return None
    refused = classify(exchange, echoed=False) in (Result.REFUSED, Result.DENIED)
    return Result.UNMAILED if refused and reading.refuses_mail(exchange) else None


def _heard(action: Action, request: Request, exchange: Exchange) -> tuple[Echo | None, str]:
    """Give the page's echo, where there is one; else why there is none, for people."""
    if isinstance(exchange, Unanswered):
        return None, exchange.detail
    if not 200 <= exchange.status < 300:
        return None, reading.complaint(exchange)
    if not exchange.complete:
        return None, f"{reading.complaint(exchange)}: the body is too long, or in an encoding that nobody asked for"
    try:
        return echo_of(action, request, exchange.body), ""
    except reading.Unreadable as fault:
        return None, f"{reading.complaint(exchange)}: {fault}"


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
