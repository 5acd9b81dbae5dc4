"""
Text on its way to a page and back: cut to a limit, made safe to show.

Knows no vendor and no HTTP.
"""

from __future__ import annotations

ELLIPSIS = "…"
_LONGEST_WORD = 60


def cut(text: str, limit: int) -> str:
    """
    Shorten *text* to at most *limit* characters, ending in "…", between two words unless one is absurdly long.

    Characters are Unicode code points. Lone surrogates, which JSON can hold and UTF-8 cannot, become "?", NUL vanishes.
    """
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    head = text[: limit - len(ELLIPSIS)]
    if not text[len(head)].isspace():
        words = head.rsplit(None, 1)
        if len(words) == 2 and len(words[1]) <= _LONGEST_WORD:
            head = words[0]
    return head.rstrip() + ELLIPSIS


def plain(text: str, limit: int = 200) -> str:
    """Make *text* from elsewhere safe for one line of a log or terminal, at most *limit* characters."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + ELLIPSIS
