"""
The dashboard: each view a page of its own, whose address says all that is shown; each form a command.

Views ask the desk and choose a template. What is done is done by commands, as on the command line.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from worker.core.approval import approval_hash, to_be_approved
from worker.core.commands import Command, Done
from worker.core.model import PAUSE, ActionState, Episode, Severity, Window, WindowPhase
from worker.core.spec.scalars import parse_duration
from worker.errors import (
    CommandRefused,
    ConfigError,
    Conflict,
    LedgerUnavailable,
    NotFound,
    ProviderUnavailable,
)
from worker.telling.data import request_data
from worker.telling.words import deed, label
from worker.web import charts, forms
from worker.web.chapters import moments
from worker.web.desk import WAITING, Desk
from worker.web.guard import ADMIN, FORMS, RUN, SIGN_IN, STATIC, Access
from worker.web.reads import history_mark, history_place, mark, number, placed
from worker.web.render import asset, html, link
from worker.web.session import COOKIE, LASTS, Sessions, Tries, Visitor, cookie, holder

SAID = "statusbridge_said"
"""A cookie that bears what came of a form to the page that is shown next."""
MOST_SAID = 600
"""Characters; browsers keep 4 KiB of a cookie."""
SOME = 50
"""How many lines a list shows at once."""
SPANS = {"1": "1 day", "7": "7 days", "30": "30 days"}
_STATUSES: Mapping[type[Exception], int] = {
    NotFound: 404,
    CommandRefused: 409,
    ConfigError: 422,
    LedgerUnavailable: 503,
    ProviderUnavailable: 503,
    Conflict: 503,
}
FAULTS = tuple(_STATUSES)
View = Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a post would change of a component: what is said of it now, and then."""

    name: str
    before: str
    after: str


class Dashboard:
    """
    Args:
        run: Does a command.
        access: What lets in whom.
    """

    def __init__(self, desk: Desk, run: Callable[[Command], Done], access: Access, sessions: Sessions) -> None:
        self._desk = desk
        self._run = run
        self._access = access
        self._tokens = access.tokens
        self._sessions = sessions
        self._tries = Tries(desk.clock)

    def add(self, app: FastAPI) -> None:
        """Add the routes."""
        views: Mapping[str, View] = {
            "/": self.overview,
            "/post": self.post,
            "/story": self.story,
            "/history": self.history,
            "/events": self.events,
            "/events/{seq}": self.event,
            "/rules": self.rules,
            "/maintenance": self.maintenance,
            "/charts": self.charts,
            "/notices": self.notices,
            SIGN_IN: self.sign_in,
        }
        for path, view in views.items():
            app.add_api_route(path, _shown(view, self), methods=["GET"], include_in_schema=False)
        app.add_api_route(SIGN_IN, self.signed_in, methods=["POST"], include_in_schema=False)
        app.add_api_route(FORMS + "{command:path}", self.act, methods=["POST"], include_in_schema=False)
        app.add_api_route(STATIC + "{name}", self.static, methods=["GET"], include_in_schema=False)

    # -- views

    def overview(self, request: Request) -> Response:
        """What needs a person, and how everything stands."""
        now = self._desk.overview()
        spans = self._desk.activity(timedelta(days=1))
        return self._page(
            request,
            "overview.html",
            now=now,
            timeline=charts.timeline(now.windows, now.at),
            published=charts.columns(spans, [span.published for span in spans], "posts"),
        )

    def post(self, request: Request) -> Response:
        """One post: its exact words, what they change, and what can be done with it."""
        query = request.query_params
        wanted = query.get("of", "")
        found = self._desk.action(wanted)
        if found is None:
            raise NotFound(f"there is no post `{wanted[:200]}`")
        line, about = found
        action, content = line.action, line.action.content
        known = about.known if isinstance(about, Episode) else None
        before = {name: status.value for name, status in known.components.items()} if known else {}
        planned = {"title": content.title, "text": content.message}
        edits = {name: text for name in planned if (text := _lines(query.get(name, ""))) not in ("", planned[name])}
        return self._page(
            request,
            "post.html",
            line=line,
            action=action,
            about=about,
            label=label(line),
            hash=approval_hash(action),
            approval={"action": action.id, "hash": approval_hash(action), **edits},
            approvable=to_be_approved(action),
            waiting=action.state in WAITING,
            edits=edits,
            words={**planned, **edits},
            called=about.known_name,
            says=known.incident_status.value if known else "",
            effects=[
                Effect(name, before.get(name, "operational"), status.value)
                for name, status in content.components.items()
            ],
        )

    def story(self, request: Request) -> Response:
        """One episode or window, from what came in to what the page got."""
        of = request.query_params.get("of", "")
        story = self._desk.book.story(of)
        if story is None and self._desk.action(of) is not None:
            return RedirectResponse(link("/post", of=of))  # a notice may be about one post
        if story is None:
            raise NotFound(f"there is nothing called `{of[:200]}`")
        return self._page(
            request,
            "story.html",
            story=story,
            about=story.about,
            is_window=isinstance(story.about, Window),
            moments=moments(story),
            deed=deed,
            waiting=[line for line in story.actions if line.action.state in WAITING],
        )

    def history(self, request: Request) -> Response:
        """What the pages got, and did not get, with filters that stay in the address."""
        query = request.query_params
        asked = {name: query.get(name, "") for name in ("page", "rule", "state", "text", "since")}
        lines = self._desk.book.history(
            page=asked["page"],
            rule_id=asked["rule"],
            states=[ActionState(asked["state"])] if asked["state"] in list(ActionState) else (),
            text=asked["text"][:200],
            since=self._since(asked["since"]),
            before=history_place(query.get("after", "")),
            limit=SOME,
        )
        rules = self._desk.rules()
        return self._page(
            request,
            "history.html",
            lines=lines,
            asked=asked,
            states=[state.value for state in ActionState],
            pages=sorted({page for rule in rules.rules for page in rule.pages}),
            rules=[rule.id for rule in rules.rules],
            label=label,
            deed=deed,
            more=link("/history", **asked, after=history_mark(lines[-1])) if len(lines) == SOME else "",
        )

    def events(self, request: Request) -> Response:
        """The webhooks that came in."""
        query = request.query_params
        asked = {name: query.get(name, "") for name in ("source", "state")}
        place = placed(query.get("after", ""), number)
        found = self._desk.book.inbounds(
            source=asked["source"],
            states=[asked["state"]] if asked["state"] else (),
            before=place[0] if place else None,
            limit=SOME,
        )
        more = link("/events", **asked, after=mark(found[-1].seq)) if len(found) == SOME else ""
        return self._page(request, "events.html", inbounds=found, asked=asked, more=more)

    def event(self, request: Request) -> Response:
        """One webhook: as it came, what was heard in it, and what every rule makes of it."""
        seq = request.path_params["seq"]
        known = seq.isascii() and seq.isdecimal() and len(seq) < 19
        story = self._desk.book.inbound(int(seq)) if known else None
        if story is None:
            raise NotFound(f"there is no webhook {seq[:20]}; old ones are removed")
        return self._page(
            request,
            "event.html",
            story=story,
            data=request_data(story),
            explained=self._desk.explanation(int(seq)) or (),
        )

    def rules(self, request: Request) -> Response:
        """The rules in force, and what came of each."""
        return self._page(request, "rules.html", rules=self._desk.rules())

    def maintenance(self, request: Request) -> Response:
        """The maintenance windows, and a form for another."""
        now = self._desk.clock()
        windows = self._desk.windows(now - timedelta(days=14))
        known = self._desk.pages((), ())
        return self._page(
            request,
            "maintenance.html",
            timeline=charts.timeline(windows, now),
            coming=[w for w in windows if WindowPhase(w.phase).live],
            over=[w for w in reversed(windows) if not WindowPhase(w.phase).live],
            pages=known,
            wrote=request.query_params.get,
            chosen=request.query_params.getlist("components"),
        )

    def charts(self, request: Request) -> Response:
        """What came in, what went out, what did not, and how long it took."""
        days = request.query_params.get("days", "1")
        days = days if days in SPANS else "1"
        spans = self._desk.activity(timedelta(days=int(days)))
        return self._page(
            request,
            "charts.html",
            days=days,
            choices=SPANS,
            spans=spans,
            heard=charts.columns(spans, [span.heard for span in spans], "events"),
            published=charts.columns(spans, [span.published for span in spans], "posts"),
            suppressed=charts.columns(spans, [span.suppressed for span in spans], "not published"),
            lag=charts.dots(spans),
        )

    def notices(self, request: Request) -> Response:
        """What the worker has told its team."""
        query = request.query_params
        asked = query.get("severity", "info")
        severity = Severity[asked.upper()] if asked.upper() in Severity.__members__ else Severity.INFO
        place = placed(query.get("after", ""), number)
        skip = place[0] if place else 0
        found = self._desk.book.notices(SOME, severity=severity, skip=skip)
        more = link("/notices", severity=asked, after=mark(skip + SOME)) if len(found) == SOME else ""
        return self._page(request, "notices.html", notices=found, asked=asked, more=more)

    def static(self, name: str) -> Response:
        """A static file."""
        try:
            return asset(name)
        except KeyError:
            raise NotFound("there is no such file") from None

    # -- who

    def sign_in(self, request: Request) -> Response:
        """The form that asks for a token."""
        return self._page(request, "sign-in.html", to=forms.local(request.query_params.get("to", "/")), wrong="")

    async def signed_in(self, request: Request) -> Response:
        """Begin a session, or say that the token is wrong."""
        address = request.client.host if request.client else ""
        form = await forms.fields(request)
        to = forms.local(form.get("to", ["/"])[-1])
        wait = self._tries.wait(address)
        if wait:
            wrong = f"Too many wrong tokens. Try again in {wait} seconds."
            reply = self._page(request, "sign-in.html", 429, to=to, wrong=wrong)
            reply.headers["retry-after"] = str(wait)
            return reply
        token = holder(self._tokens, form.get("token", [""])[-1].strip().encode())
        if not token:
            self._tries.count(address)
            return self._page(request, "sign-in.html", 401, to=to, wrong="That is not a token of this worker.")
        given = form.get("name", [""])[-1].strip()[:60]
        name = (given or ADMIN) if token in (ADMIN, RUN) else token
        reply = RedirectResponse(to, 303)
        secure = request.headers.get("origin", "").startswith("https:")
        reply.set_cookie(
            COOKIE,
            self._sessions.begin(name, token),
            max_age=int(LASTS.total_seconds()),
            secure=secure,
            httponly=True,
            samesite="lax",  # a link from a chat leads to what it names; what changes something asks for more
        )
        return reply

    # -- what people do

    async def act(self, request: Request) -> Response:
        """Do what a form asks, and go on where it says, with what came of it."""
        visitor: Visitor | None = request.scope.get("visitor")
        form = await forms.fields(request)
        borne = form.get("form_token", [""])[-1]
        if visitor is None or not hmac.compare_digest(borne.encode(), visitor.form_token.encode()):
            told = "This form is not of your session, or that is over; nothing was changed."
            way_on = link(SIGN_IN, to=forms.again(form))
            return self._page(request, "problem.html", 403, title="Not done", told=told, way_on=way_on)
        name = request.path_params["command"]
        if name == "sign-out":
            self._sessions.end(request.headers.get("cookie", ""))
            reply = RedirectResponse("/", 303)
            reply.delete_cookie(COOKIE)
            return reply
        back = forms.local(form.get("back", ["/"])[-1])
        try:
            command = forms.command(name, form, visitor.name)
            done = await run_in_threadpool(self._run, command)
        except FAULTS as wrong:
            return _on(forms.again(form), wrong=str(wrong))
        return _on(back, said="; ".join(done.said))

    # -- pages

    def _since(self, text: str) -> Any:
        try:
            return self._desk.clock() - parse_duration(text) if text else None
        except (ValueError, OverflowError):
            raise ConfigError(f"`{text[:40]}` is no length of time like 2h or 7d") from None

    def _page(self, request: Request, template: str, status: int = 200, **shown: Any) -> Response:
        visitor: Visitor | None = request.scope.get("visitor")
        allowed = visitor is not None or not self._access.closed
        waiting, pauses = self._pressing() if allowed else (0, "")
        reply = html(
            template,
            status,
            **shown,
            visitor=visitor,
            allowed=allowed,
            here=request.url.path,
            address=link(request.url.path, **_query(request)),
            clock_now=self._desk.clock(),
            waiting_count=waiting,
            pauses=pauses,
            flash=_flash(request.headers.get("cookie", "")),
        )
        if cookie(request.headers.get("cookie", ""), SAID):
            reply.delete_cookie(SAID)
        return reply

    def _pressing(self) -> tuple[int, str]:
        try:
            waiting = len(self._desk.book.history(states=WAITING, limit=100))
            pauses = ", ".join(flag.page or "all pages" for flag in self._desk.book.flags(PAUSE))
        except LedgerUnavailable:
            return 0, ""
        return waiting, pauses


def _shown(view: View, dashboard: Dashboard) -> View:
    """Let a fault be told as a page."""

    def shown(request: Request) -> Response:
        try:
            return view(request)
        except FAULTS as wrong:
            status = next(code for kind, code in _STATUSES.items() if isinstance(wrong, kind))
            phrase = HTTPStatus(status).phrase
            return dashboard._page(request, "problem.html", status, title=phrase, told=str(wrong), way_on="")

    return shown


def _lines(text: str) -> str:
    """Browsers end lines in two characters; pages and the texts of rules in one."""
    return text.replace("\r\n", "\n").strip()


def _query(request: Request) -> dict[str, list[str]]:
    return {name: request.query_params.getlist(name) for name in request.query_params}


def _on(path: str, *, said: str = "", wrong: str = "") -> Response:
    reply = RedirectResponse(path, 303)
    told = json.dumps([said[:MOST_SAID], wrong[:MOST_SAID]], ensure_ascii=False)
    value = base64.urlsafe_b64encode(told.encode()).decode()
    reply.set_cookie(SAID, value, max_age=60, httponly=True, samesite="lax")
    return reply


def _flash(cookies: str) -> tuple[str, str]:
    """Read what came of the form before: what was said, and what was wrong."""
    try:
        said, wrong = json.loads(base64.urlsafe_b64decode(cookie(cookies, SAID)))
    except (ValueError, TypeError):
        return "", ""
    return str(said), str(wrong)
