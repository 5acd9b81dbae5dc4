"""
Behaviour that the vendor does not document, one switch each; the first choice is the default.

A worker that is right must be right with every setting. Switches may be turned while the sandbox runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from worker.errors import ConfigError


@dataclass(slots=True, kw_only=True)
class Switches:
    """
    How the sandbox behaves where the vendor's documentation is silent.

    Args:
        key_expiry: Seconds until an idempotency key is forgotten; 0: never.
        same_key_other_body: A known key with another body: the first answer again, 409, or 422.
        refused_key: Whether a create that was refused leaves its key free, or spends it (the refusal is then repeated).
        replay_shows: Whether a repeated create shows the object as it was when created, or as it is now.
        update_on_resolved: An update on a resolved incident is taken (its status re-opens it), or refused with 422.
        second_resolve: Resolving a resolved incident is taken, or refused with 422.
        text: Names and messages are kept as sent; or get line ends and outer blanks tidied; or also typographic quotes.
        list_lag: Lists show the page as it was this many seconds ago.
        show_lag: The same for reading one object by its id.
        rate_limit: Requests a minute per key; 0: unlimited.
    """

    key_expiry: float = 0
    same_key_other_body: Literal["replay", "409", "422"] = "replay"
    refused_key: Literal["free", "spent"] = "free"
    replay_shows: Literal["original", "current"] = "original"
    update_on_resolved: Literal["reopen", "refuse"] = "reopen"
    second_resolve: Literal["accept", "refuse"] = "accept"
    text: Literal["exact", "trimmed", "typographic"] = "exact"
    list_lag: float = 0
    show_lag: float = 0
    rate_limit: float = 1200

    @classmethod
    def parse(cls, options: Iterable[str]) -> Switches:
        """
        Switches from ``name=value`` texts, as given on a command line.

        Raises:
            ConfigError: A name or value is not known; all such are told at once.
        """
        switches, problems = cls(), []
        kinds = get_type_hints(cls)
        for option in options:
            name, _, value = option.partition("=")
            choices = get_args(kinds.get(name))
            if name not in kinds:
                problems.append(f"switch {option!r}: no such switch; there are {', '.join(kinds)}")
            elif choices and value not in choices:
                problems.append(f"switch {name}: {value!r} is none of {', '.join(choices)}")
            elif not choices and not re.fullmatch(r"\d{1,9}(\.\d+)?", value):
                problems.append(f"switch {name}: {value!r} is not a number")
            else:
                setattr(switches, name, value if choices else float(value))
        if problems:
            raise ConfigError("\n".join(problems))
        return switches

    def tidy(self, text: str) -> str:
        """A name or message as this service would keep it."""
        if self.text == "exact":
            return text
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
        return _curl(text) if self.text == "typographic" else text


def _curl(text: str) -> str:
    """Straight quotes become typographic ones, as editors do while typing."""
    text = re.sub(r'(^|(?<=[\s(\[]))"', "\N{LEFT DOUBLE QUOTATION MARK}", text)
    text = text.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}")
    text = re.sub(r"(^|(?<=[\s(\[]))'", "\N{LEFT SINGLE QUOTATION MARK}", text)
    return text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
