"""
Foreign text within public text: made harmless where Markdown is read, and left natural where it is plain.

What belongs here: cleaning, escaping and cutting of text (CommonMark 0.31, and GFM's autolinks, tables and
strikethrough). Only what could begin or end a construct at its very place is escaped, so that "eu-west-1", "3.5 %"
and "checkout_api" stay as they are. Templates, rules and pages are not known here.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001345f\U0001bca0-\U0001bcaf\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
"""Controls but white space, format characters (zero width, bidi, tags), surrogates, private use, blank letters."""
_MARKS_IN_A_ROW = 8
"""Combining marks kept on one letter: more is no writing, and would cost quadratic time to normalise."""

_SPECIAL = re.compile(
    r"[`*~|@\[\]]"
    r"|\\(?=[!-/:-@\[-`{-~]|\Z)"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is plain
    r"|:(?=//)"  # http://
    r"|(?i:(?<=www)\.)"
    r"|<(?=[A-Za-z/!?]|\Z)"
    r"|&(?=\#?\w{1,32};)"
)
_ENTITIES = {"<": "&lt;", "&": "&amp;"}  # also read by what takes HTML out before it reads Markdown
_HALF_ENTITY = re.compile(r"&(?:lt?|am?p?|\#\d{0,7})?\Z")
_MARKER = re.compile(
    r"(?:(?P<quote>>)|(?P<bullet>[-+*])(?=[ \t]|\Z)|\d{1,9}(?P<ordered>[.)])(?=[ \t]|\Z)"
    r"|(?P<heading>\#)\#{0,5}(?=[ \t]|\Z)|(?P<rule>[-=:])[-=: \t]*\Z)"
)
"""What makes a block at the start of a line; the named character is the one to escape."""
_ADDRESS = re.compile(r"(?:https?://|(?<!\\)\]\([ ]?)[^\s()<>]*\Z|<[A-Za-z][^<>]*\Z")
"""The end of a text that stands within an address or a tag that the author began."""
_GAP = re.compile(r"\n\n+")
_LONGEST_WORD = 40
_REACH = 2000
"""Characters before a value that are looked at."""


def clean(text: str) -> str:
    """Take out what nobody can see, and normalise to NFC; line breaks stay."""
    if text.isascii() and (text.isprintable() or not _INVISIBLE.search(text)):
        return text
    return unicodedata.normalize("NFC", _few_marks(_INVISIBLE.sub("", text)))


def one_line(text: str) -> str:
    """Clean a text, and put one space in place of all white space."""
    return re.sub(r"\s+", " ", clean(text))


def escape(text: str, before: str) -> str:
    """
    Make a foreign text plain text, whatever Markdown it is put into.

    Where it begins a line, its paragraphs and lines stay apart; within a line, a list item or an address it becomes one
    line, because a line break would end what the author began.

    Args:
        before: What stands before it in the same text; the end of it decides what could begin a construct.
    """
    before = before[-_REACH:]
    if (before and not before.endswith("\n")) or _ADDRESS.search(before):
        return _escape_line(text, before)
    lines = "\n".join(line.strip() for line in clean(text).splitlines()).strip("\n")
    paragraphs = ("\\\n".join(_escape_line(line, "") for line in part.split("\n")) for part in _GAP.split(lines))
    return "\n\n".join(paragraphs) + (" " if lines and text[-1].isspace() else "")


def _escape_line(text: str, before: str) -> str:
    line = one_line(text)
    if not before or before[-1].isspace():
        line = line.lstrip()  # white space side by side would be an indent, and that a block
    if _ADDRESS.search(before):
        return quote(line.strip(), safe="").replace("_", "%5F").replace("~", "%7E")
    if not line:
        return ""
    marks = {found.start() - len(before) for found in _SPECIAL.finditer(before + line, len(before))}
    marks |= _joints(before, line)
    escaped = "".join(_mark(character) if at in marks else character for at, character in enumerate(line))
    if before.endswith("<") and line[0].isalpha():
        return f"&#{ord(line[0])};{escaped[1:]}"
    pending = (len(before) - len(before.rstrip("\\"))) % 2  # a backslash of the author's would take ours for its own
    return "\\" + escaped if pending and not escaped[0].isalnum() else escaped


def cut(text: str, limit: int) -> str:
    """Shorten a text to at most *limit* characters, with "…": at a word where one is near, never within an escape."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    space = max(head.rfind(" "), head.rfind("\n"))
    if not text[limit - 1].isspace() and space > 0 and len(head) - space <= _LONGEST_WORD:
        head = head[:space]
    head = _HALF_ENTITY.sub("", head).rstrip()
    if (len(head) - len(head.rstrip("\\"))) % 2:
        head = head[:-1]
    return head + "…"


def _mark(character: str) -> str:
    return _ENTITIES.get(character, f"\\{character}")


def _joints(before: str, line: str) -> set[int]:
    """Find what begins a construct only together with what stands before."""
    first = _line_start(before[before.rfind("\n") + 1 :], line)
    closes_tag = before.endswith("<") and line[0] in "/!?"
    goes_on = before.endswith((":", ":/")) and line[0] == "/"
    return {at for at in (first, 0 if closes_tag or goes_on else None) if at is not None}


def _line_start(begun: str, line: str) -> int | None:
    """Find the character of *line* that makes a block of it, behind the marks that the author began the line with."""
    whole, at = begun + line, 0
    while True:
        at += len(whole[at:]) - len(whole[at:].lstrip(" \t"))
        found = _MARKER.match(whole, at)
        if found is None or found.lastgroup is None:
            return None
        if found.start(found.lastgroup) >= len(begun):
            return found.start(found.lastgroup) - len(begun)
        at = found.end()


def _few_marks(text: str) -> str:
    if text.isascii():
        return text
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= _MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)
