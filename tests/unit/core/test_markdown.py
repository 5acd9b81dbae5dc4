"""Foreign text stays text, wherever in Markdown it is put, and stays readable where Markdown is not read."""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from worker.core.markdown import clean, cut, escape, one_line

RENDERERS = (
    MarkdownIt("commonmark"),
    MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]),
    MarkdownIt("js-default", {"html": True}),
)
ESCAPED_OR_TAG = re.compile(r"\\[!-/:-@\[-`{-~]|<[^>]*>")
AUTOLINK = re.compile(r"(?i)://|\bwww\.|[^\s\\]@")


def text_of(markdown: str, renderer: MarkdownIt) -> tuple[str, set[str]]:
    """Render; give what a reader sees, and the elements that it is made of beside paragraphs and lines."""
    rendered = renderer.render(markdown)
    elements = set(re.findall(r"<(/?\w+|[!?])", rendered)) - {"p", "/p", "br"}
    return html.unescape(re.sub(r"<[^>]*>", "", rendered)).strip(), elements


@cache
def elements_of_plain(before: str, renderer: MarkdownIt) -> set[str]:
    return text_of(before + "x", renderer)[1] | text_of(before + "x\n\nx", renderer)[1]


def assert_plain(markdown: str, visible: str) -> None:
    for renderer in RENDERERS:
        seen, elements = text_of(markdown, renderer)
        assert (seen.split(), elements) == (visible.split(), set()), markdown
    assert not AUTOLINK.search(ESCAPED_OR_TAG.sub("\\\\", markdown)), markdown


HOSTILE = [
    # links, images, references
    "[a](http://evil.example)", "![a](http://evil.example/x.png)", "[a][b]", "[a]: http://evil.example",
    "a](http://e.x)",
    "[a](javascript:alert(1))", "![](data:image/png;base64,AA)", "[^1]", "[^1]: note", "[x] task", "[[wiki]]",
    "](//evil.example", "![", "[", "]", "[]()", "![]()", "[a](<b c>)", "[a\\](b)", "\\[a](b)", "\\\\[a](b)",
    # autolinks
    "http://evil.example", "https://evil.example/?a=b&c=d", "HTTP://EVIL.EXAMPLE", "ftp://evil.example",
    "www.evil.example",
    "WWW.EVIL.EXAMPLE", "<http://evil.example>", "<a@evil.example>", "a@evil.example",
    "mailto:a@evil.example", "@channel",
    "@here now", "xmpp:a@b", "foo:http://x", "(www.evil.example)", "ssh://x", "a.www.b.c",
    "javascript://x%0aalert(1)",
    # HTML
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>bold</b>", "</p>", "<!-- c -->",
    "<!DOCTYPE html>",
    "<?php ?>", "<![CDATA[x]]>", "<a href=x>y</a>", "<svg/onload=alert(1)>", "<div>", "<iframe src=//x>", "<x", "<",
    "b>bold", "img src=x>", "/div>", "!-- c -->", "?php ?>", "a@b.c>", "https://evil.example>",
    "&lt;b&gt;", "&#60;b&#62;", "&#x3c;b&#x3e;", "&amp;", "&nbsp;x", "&copy;", "R&D", "a & b", "a && b; c",
    # emphasis, code, strikethrough
    "*a*", "**a**", "_a_", "__a__", "***a***", "*", "**", "_", "a*b*c", "a_b_c", "_a", "a_", "* a *", "`a`",
    "``a``", "```",
    "```sh", "~~a~~", "~a~", "~~~", "`", "a`b", "*a_b*", "_a*b_", "\\*a*", "\\", "\\\\", "a\\", "__init__", "**bold",
    # blocks
    "# a", "## a", "###### a", "#", "#1 is down", "a\n# b", "> a", ">", ">>> a", "- a", "+ a", "* a", "-",
    "+", "1. a", "1) a",
    "123456789. a", "1.", "0)", "---", "- - -", "***", "* * *", "___", "_ _ _", "===", "=", "--", "a\n===", "a\n---",
    "| a | b |", "|", "a | b\n--|--\n1 | 2", "--- | ---", ":-:", ":--", "|-|", "    code", "\tcode", "a\n\n    code",
    "- [ ] a", "- [x] a", "1. - # a", "> - 1. # a", "- > a", ": a", "~~~sh", "<details>",
    # lines, controls, bidi, zero width
    "a\nb", "a\r\nb", "a\u2028b", "a\u2029b", "a\x0bb", "a\x0cb", "a\x85b", "a\0b", "a\x1bb[31m",
    "\u202eevil", "a\u200bb",
    "\ufeffa", "ht\u200btp://evil.example", "\u2066a\u2069", "\U000e0041", "\u1fefcode\u1fef",
    "w\u00adww.evil.example",
    "www\u200b.evil.example", "http:\u200b//evil.example", "a\u3164b", "a\ud800b", "e\u0301", "<\u200bb>",
    "[\u200ba](b)",
    # templates
    "{{ 7 * 7 }}", "{% raw %}", "{# x #}", "${7*7}", "#{7*7}", "{{''.__class__}}", "%s %n", "{0}",
]  # fmt: skip
BEFORE = [
    "", "In ", "Line one\n", "Line one\n\n", "- ", "1. ", "> ", "- > 1. ", "# ", "**Note:** ", "Title\n\n  ",
    "\\", "<", "a",
    "!", "a _", "a *", "a __", "a ~~", "\\\\", "Line\n- one\n", "> one\n",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_nothing_of_a_hostile_value_becomes_markdown(value: str) -> None:
    assert_plain(escape(value, ""), one_line(value).strip())
    for before in BEFORE:
        markdown = before + escape(value, before)
        for renderer in RENDERERS:
            assert text_of(markdown, renderer)[1] <= elements_of_plain(before, renderer), (before, markdown)


def test_there_are_enough_hostile_values() -> None:
    assert len(set(HOSTILE)) >= 150


TRICKY = st.text(st.sampled_from("*_`~[]()<>!#+-=.:/\\|&;@1wab \n\"'{}htps%^$\u0301é"), max_size=14)


@settings(max_examples=400)
@given(TRICKY)
def test_a_reader_sees_exactly_the_value(value: str) -> None:
    assert_plain(escape(value, ""), one_line(value).strip())


@settings(max_examples=400)
@given(st.lists(TRICKY, min_size=2, max_size=4))
@example(["http:", "//evil.example"])
@example(["ht", "tp://evil.example"])
@example(["ww", "w.evil.example"])
@example(["1", ". a"])
@example(["<", "b>"])
@example(["-", " a"])
@example(["\\", "*a*"])
@example(["!", "[a](b)"])
@example(["_", "a_"])
def test_values_side_by_side_make_nothing_together(values: list[str]) -> None:
    """But for entities, which are text again."""
    markdown = ""
    for value in values:
        markdown += escape(value, markdown)
    visible = "".join(one_line(value) for value in values)
    if not re.search(r"&#?\w+;", visible):
        assert_plain(markdown, visible.strip())


@settings(max_examples=300)
@given(st.sampled_from(["- ", "> ", "1. ", "* > ", "Text\n", "Text\n\n", "a ", "**a** ", "  "]), TRICKY)
def test_behind_the_authors_markdown_a_reader_sees_exactly_the_value(before: str, value: str) -> None:
    for renderer in RENDERERS[:2]:
        alone, elements = text_of(before + "x", renderer)
        assert alone.endswith("x")
        seen, made = text_of(before + escape(value, before) + "x", renderer)
        assert made == elements
        assert seen.split() == (alone[:-1] + " " * before[-1].isspace() + one_line(value) + "x").split()


@pytest.mark.parametrize(
    "value",
    [
        "eu-west-1", "3.5 %", "checkout_api_latency", "p99 > 250 ms", "latency < 5 s", "100 - 120 ms",
        "Checkout (EU)", "R&D",
        "a = b", "5 + 3", "#1", "10:35", "C:\\temp", "Error: timeout", "it's \"down\"", "v1.2.3", "50/50",
        "cost: $5", "-5 °C",
        "Ärger in Köln", "日本語", "Outage!", "what?", "100%", "a; b", "{x}", "10.0.0.1", "node-1.example",
        "2026-11-23", "🙂",
    ],
)  # fmt: skip
def test_what_is_plain_stays_as_it_is(value: str) -> None:
    assert escape(value, "") == escape(value, "In ") == value


@pytest.mark.parametrize(
    ("before", "value", "result"),
    [
        ("[runbook](https://wiki.example/", "a b/../_c_?x=1)", "a%20b%2F..%2F%5Fc%5F%3Fx%3D1%29"),
        ("[runbook](", "javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("see https://wiki.example/", "a_b*c*", "a%5Fb%2Ac%2A"),
        ("<https://wiki.example/", "> x", "%3E%20x"),
        ('<a href="', '" onclick="x', "%22%20onclick%3D%22x"),
        ("[a](b) ", "c d", "c d"),
        ("https://wiki.example/ ", "c d", "c d"),
    ],
)
def test_within_an_address_of_the_author_a_value_stays_one_part_of_it(before: str, value: str, result: str) -> None:
    assert escape(value, before) == result


def test_a_value_stays_in_its_cell() -> None:
    table = "| a | b |\n|---|---|\n| x | " + escape("y | z", "| x | ") + " |\n"
    assert "<td>y | z</td>" in RENDERERS[1].render(table)
    assert escape(":-:", "Title\n") == "\\:-:"


PARAGRAPHS = st.lists(st.lists(TRICKY.map(one_line).filter(str.strip), min_size=1, max_size=4), max_size=4)


@settings(max_examples=300)
@given(PARAGRAPHS, st.sampled_from(["", "Text\n\n"]), st.sampled_from(["\n", "\r\n", " \n  "]))
def test_a_value_that_begins_a_line_keeps_its_paragraphs_and_lines(
    paragraphs: list[list[str]], before: str, end: str
) -> None:
    value = (end * 2).join(end.join(lines) for lines in paragraphs)
    said = [[line.split() for line in lines] for lines in paragraphs]
    for renderer in RENDERERS:
        rendered = renderer.render(before + escape(value, before))
        assert set(re.findall(r"<(/?\w+)", rendered)) <= {"p", "/p", "br"}
        seen = re.findall(r"<p>(.*?)</p>", rendered, re.DOTALL)[len(before) > 0 :]
        assert [[html.unescape(line).split() for line in re.split(r"<br(?: /)?>", part)] for part in seen] == said


def test_what_people_write_reads_as_they_wrote_it() -> None:
    written = "We found the cause:\r\n- cache\r\n- [database](http://evil.example)\r\n\r\n\r\n# Next update at 15:00"
    escaped = escape(written, "")
    assert escaped == (
        "We found the cause:\\\n\\- cache\\\n\\- \\[database\\](http\\://evil.example)\n\n\\# Next update at 15:00"
    )
    assert RENDERERS[0].render(escaped) == (
        "<p>We found the cause:<br />\n- cache<br />\n- [database](http://evil.example)</p>\n"
        "<p># Next update at 15:00</p>\n"
    )


@pytest.mark.parametrize("before", ["Now: ", "- ", "> ", "# ", "| ", "**", "[", "  ", "see https://wiki.example/"])
def test_within_a_line_of_the_author_a_value_stays_one_line(before: str) -> None:
    assert "\n" not in escape("a\n\n- b\n", before)


def test_white_space_around_a_value_stays_white_space() -> None:
    assert escape(" a b\t c\r\n", "") == "a b c "
    assert escape(" \n ", "") == escape(" \n ", "Line\n") == ""
    assert escape(" a", "Line\n") == escape(" a", "x ") == "a"
    assert escape(" a", "x") == " a"


def test_nobody_can_hide_characters() -> None:
    """Every control, format and private character goes, but for signs that can be seen and for white space."""
    seen = {"Cc", "Cf", "Cs", "Co"}
    visible = {*range(0x600, 0x606), 0x6DD, 0x890, 0x891, 0x8E2}
    for code in [*range(0x20000), *range(0xE0000, 0xE1000), 0xF0000, sys.maxunicode]:
        character = chr(code)
        if unicodedata.category(character) in seen and not character.isspace() and code not in visible:
            assert clean(character) == "", hex(code)


def test_text_is_composed_once_and_marks_do_not_pile_up() -> None:
    assert clean("e\u0301") == "é"
    assert len(clean("a" + "\u0315\u0323" * 10_000)) < 20
    assert clean("ก็ क्षि שָׁלוֹם") == unicodedata.normalize("NFC", "ก็ क्षि שָׁלוֹם")


@pytest.mark.parametrize(
    ("text", "limit", "result"),
    [
        ("hello world", 11, "hello world"),
        ("hello world", 10, "hello…"),
        ("hello world", 6, "hello…"),
        ("hello, world again", 12, "hello,…"),
        ("a" * 20, 10, "a" * 9 + "…"),
        ("aaaa\\*bbbb", 6, "aaaa…"),
        ("aaa\\\\bbbb", 6, "aaa\\\\…"),
        ("aaaa&lt;bbbb", 8, "aaaa…"),
        ("aaaa&#115;bbbb", 9, "aaaa…"),
        ("ab " + "c" * 60, 50, "ab " + "c" * 46 + "…"),
        ("we in R&D are", 11, "we in R&D…"),
        ("ab", 1, "…"),
    ],
)
def test_a_text_is_cut_at_a_word_and_never_within_an_escape(text: str, limit: int, result: str) -> None:
    assert cut(text, limit) == result
    assert len(cut(text, limit)) <= limit


@settings(max_examples=300)
@given(st.text(st.sampled_from("*_`[]<>&!#-\\ ab;l\n"), max_size=40), st.integers(1, 40))
def test_a_cut_value_is_the_beginning_of_the_value(value: str, limit: int) -> None:
    shown = cut(escape(value, ""), limit)
    assert len(shown) <= limit
    for renderer in RENDERERS:
        seen, elements = text_of(shown, renderer)
        assert elements == set()
        assert one_line(value).lstrip().startswith(one_line(seen.removesuffix("…")))
