"""Public texts say what they are given, nothing more, at a bounded cost; what they may not say is told when loaded."""

from __future__ import annotations

import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core import templates
from worker.core.conditions import CompileFailed
from worker.core.templates import BUILT_IN_WORDS, MAX_SOURCE, Template, compile_template
from worker.errors import EvaluationFailed

NOON = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
VARS = frozenset({"region", "message", "items", "n", "size", "nested", "when"})
WORDS: dict[str, Any] = {
    "region": "eu-west-1",
    "message": "We *see* [errors](http://evil.example)",
    "items": ["b", "a", "b"],
    "n": 7,
    "size": 1234.5,
    "nested": {"name": "x_y", "list": [1, 2]},
    "when": "2026-11-23T14:05:00Z",
    "components": ["Checkout API", "Public API", "Widget"],
    "severity": "critical",
    "episode": {
        "number": 3,
        "started_at": NOON - timedelta(minutes=12),
        "duration": timedelta(minutes=12),
        "signals": 4,
    },
    "window": None,
    "page": "Acme Status",
    "now": NOON,
}


HUNDRED = ["x"] * 100
LOOPS = "loops cannot be more than two deep, nor call themselves"


def twice(body: str) -> str:
    return "{% for a in items %}{% for b in items %}" + body + "{% endfor %}{% endfor %}"


def render(text: str, limit: int = 4096, markdown: bool = True, **words: Any) -> str:
    return compile_template(text, VARS, limit, markdown=markdown).render(WORDS | words)


def faults_of(text: str) -> tuple[tuple[int, int, str], ...]:
    with pytest.raises(CompileFailed) as caught:
        compile_template(text, VARS, 4096)
    return caught.value.faults


# --- what a text says


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("All is well.", "All is well."),
        ("Problems in {{ region }}", "Problems in eu-west-1"),
        ("**{{ severity }}**: _{{ page }}_", "**critical**: _Acme Status_"),
        ("{{ components }}", "Checkout API, Public API and Widget"),
        ("{{ n }} of {{ size }}, {{ n > 5 }}, [{{ window }}]", "7 of 1234.5, true, []"),
        ("No. {{ episode.number }}, {{ episode.signals }} alerts", "No. 3, 4 alerts"),
        ("since {{ episode.started_at | time }} ({{ episode.duration }})", "since 13:53 UTC (12 minutes)"),
        ("{{ now }}", "23 November 2026, 14:05 UTC"),
        ("{{ now - episode.started_at }}", "12 minutes"),
        ("{{ n * 2 + 1 }} {{ n - 1 }} {{ n / 2 }} {{ n // 2 }} {{ -n }}", "15 6 3.5 3 -7"),
        ("{% if severity == 'critical' %}Bad.{% elif n %}So.{% else %}Well.{% endif %}", "Bad."),
        ("{% if region in ['eu-west-1'] and not window %}yes{% endif %}", "yes"),
        ("{{ 'many' if n > 3 else 'few' }}{{ '!' if n < 3 }}", "many"),
        (
            "{% for c in components %}\n- {{ c }}\n{% endfor %}\nThat is all.",
            "- Checkout API\n- Public API\n- Widget\nThat is all.",
        ),
        ("{% for c in components %}{{ loop.index }}{{ ', ' if not loop.last }}{% endfor %}", "1, 2, 3"),
        (
            twice("{{ a }}{{ b }} "),
            "bb ba bb ab aa ab bb ba bb",
        ),
        ("{% for a in items if a == 'z' %}{{ a }}{% else %}none{% endfor %}", "none"),
        ("{{ items[0] }}{{ items[-1] }} {{ items[0:2] }} {{ region[0:2] }}", "bb b and a eu"),
        ("{{ nested.name }} {{ nested['name'] }} {{ nested.list }}", "x_y x_y 1 and 2"),
        (
            "{{ region is defined }} {{ window is none }} {{ n is number }} {{ region is string }}",
            "true true true true",
        ),
        ("{# not said #}{% raw %}{{ raw }}{% endraw %}", "{{ raw }}"),
        ("\n\n  {{ region }}  \n\n", "eu-west-1"),
        ("{{ message }}", r"We \*see\* \[errors\](http\://evil.example)"),
        ("[more](https://wiki.example/{{ nested.name }})", "[more](https://wiki.example/x%5Fy)"),
        ("{{ message | trusted }}", "We *see* [errors](http://evil.example)"),
    ],
)
def test_a_text_says_what_it_is_given(text: str, said: str) -> None:
    assert render(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 'aBC dEF' | upper }} {{ 'aBC' | lower }} {{ 'aBC dEF' | capitalize }}", "ABC DEF abc Abc def"),
        ('{{ "it\'s a test_case" | title }}', "It's A Test_Case"),
        ("{{ '  a  ' | trim }}", "a"),
        ("{{ items | join(', ') }} {{ items | join }}", "b, a, b bab"),
        ("{{ items | length }} {{ 'abc' | length }}", "3 3"),
        ("{{ '' | default('all') }} {{ window | default('none', true) }} {{ n | default(1) }}", "all none 7"),
        ("{{ nested.nothing | default('x') }}", "x"),
        ("{{ items | first }} {{ items | last }} [{{ [] | first }}]", "b b []"),
        (
            "{{ items | sort }} {{ ['b', 'A'] | sort }} {{ [2, 10, 1] | sort(reverse=true) }}",
            "a, b and b A and b 10, 2 and 1",
        ),
        ("{{ items | unique }}", "b and a"),
        ("{{ region | replace('eu', 'us') }}", "us-west-1"),
        ("{{ 'hello wide world' | truncate(12) }}", "hello wide…"),
        ("{{ size | round }} {{ 3.14159 | round(2) }} {{ '2.5' | round(1) }}", "1234 3.14 2.5"),
        ("{{ '3.9' | int }} {{ 'x' | int }} {{ 'x' | int(5) }}", "3 0 5"),
        (
            "{{ when | time }} {{ when | date }} {{ now | date }}[{{ '' | time }}]",
            "14:05 UTC 23 November 2026 23 November 2026[]",
        ),
        ("{{ ['a'] | list_words }} {{ ['a', 'b'] | list_words }} [{{ [] | list_words }}]", "a a and b []"),
    ],
)
def test_a_filter_does_what_it_is_called(text: str, said: str) -> None:
    assert render(text) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (80, "1 minute 20 seconds"),
        (119, "1 minute 59 seconds"),
        (179, "2 minutes"),
        (720, "12 minutes"),
        (3600, "1 hour"),
        (3660, "1 hour 1 minute"),
        (7500, "2 hours 5 minutes"),
        (86400, "1 day"),
        (86400 * 3 + 3600 * 4 + 59, "3 days 4 hours"),
        (86400 + 60, "1 day"),
        (-5, "0 seconds"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert render("{{ n | duration }}", n=seconds) == render("{{ n }}", n=timedelta(seconds=seconds)) == said


def test_a_title_is_one_line_of_plain_text() -> None:
    title = render(
        "{{ message }}:\n  {{ region }} _now_", limit=200, markdown=False, message="*Errors*\n\u202e[x]\u200b  <b>"
    )
    assert title == "*Errors* [x] <b>: eu-west-1 _now_"


def test_a_title_is_measured_as_it_reads() -> None:
    assert render("a" + " \n" * 300 + "b", limit=200, markdown=False) == "a b"


@dataclass(frozen=True)
class Place:
    title: str

    @property
    def secret(self) -> str:
        return "secret"

    def method(self) -> str:
        return "secret"


def test_the_fields_of_a_dataclass_can_be_read_and_nothing_else_of_it() -> None:
    assert render("{{ region.title }}", region=Place("Weekly")) == "Weekly"
    for text in ("{{ region.secret }}", "{{ region.method }}", "{{ region }}"):
        with pytest.raises(EvaluationFailed):
            render(text, region=Place("Weekly"))


def test_a_template_knows_its_words_and_whether_it_trusts_one() -> None:
    template = compile_template("{% for c in components %}{{ c }} {{ region }}{% endfor %}", VARS, 100)
    assert template.words == {"components", "region"}
    assert not template.trusted
    assert compile_template("{{ region | upper | trusted }}", VARS, 100).trusted
    assert str(template) == template.text


def test_only_what_is_used_need_be_given() -> None:
    assert compile_template("{{ region }}", VARS, 100).render({"region": "eu"}) == "eu"


def test_every_built_in_word_is_known_everywhere() -> None:
    for word in BUILT_IN_WORDS:
        assert compile_template(f"{{{{ {word} }}}}", (), 100).words == {word}


def test_threads_may_render_one_template() -> None:
    template = compile_template("{% for i in items %}{{ n }}{{ i }} {% endfor %}", VARS, 100)

    def right(number: int) -> bool:
        return template.render({"n": number, "items": ["a", "b"]}) == f"{number}a {number}b"

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(500)))


# --- limits


def test_a_long_text_is_cut_at_a_word() -> None:
    said = render("{{ message }}", limit=100, message="word " * 1000)
    assert said == "word " * 19 + "word…"


def test_no_result_is_longer_than_its_limit() -> None:
    for limit in (1, 2, 5, 10, 50, 199, 200):
        for message in ("*" * 500, "<b>" * 200, "a b " * 200, "\\" * 500, "x" * 500):
            assert 1 <= len(render("In {{ message }}", limit=limit, message=message)) <= limit


def test_what_is_behind_the_limit_is_not_made() -> None:
    said = render("{% for a in items %}{{ message }}{% endfor %}", items=HUNDRED, message="word " * 500)
    assert len(said) <= 4096
    assert said.endswith("word…")


def test_a_value_does_not_make_an_image_of_the_authors_link() -> None:
    assert render("{{ message }}[docs](https://x.example)", message="Wow!") == "Wow\\![docs](https://x.example)"


def test_white_space_around_a_word_is_not_said() -> None:
    assert render("**{{ region }}** {{ items }}", region=" eu\n", items=[" a ", "b\n"]) == "**eu** a and b"


def test_a_long_list_can_be_told_but_not_gone_through() -> None:
    many = [f"region-{number % 3}" for number in range(5000)]
    assert render("{{ items | unique }}", items=many) == "region-0, region-1 and region-2"
    assert render("{{ items | length }}", items=many) == "5000"
    with pytest.raises(EvaluationFailed, match=r"at most 100 elements, not 5000; try `\| unique`"):
        render("{% for i in items %}{{ i }}{% endfor %}", items=many)


# --- wrong when loaded


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("{{ regoin }}", [(1, 4, "unknown word `regoin`; did you mean `region`?")]),
        ("Hello\n  {{ epsiode.number }}", [(2, 6, "unknown word `epsiode`; did you mean `episode`?")]),
        ("{{ window.start }}", [(1, 11, "unknown field of `window` `start`; did you mean `starts_at`?")]),
        ("{{ episode.numbr }}", [(1, 12, "unknown field of `episode` `numbr`; did you mean `number`?")]),
        ("{% for i in n %}{{loop.lst}}{% endfor %}", [(1, 24, "unknown field of `loop` `lst`; did you mean `last`?")]),
        ("{{ region | uper }}", [(1, 13, "unknown filter `uper`; did you mean `upper`?")]),
        ("{{ n | date(1) }}", [(1, 8, "wrong arguments of `date`: too many positional arguments")]),
        ("{{ region.upper() }}", [(1, 1, "nothing can be called here; use a filter, as in `{{ word | upper }}`")]),
        ("{{ region ~ n }}", [(1, 1, "`~` is not allowed; write one `{{ … }}` after the other")]),
        ("{{ region.__class__ }}", [(1, 11, "`__class__` cannot be read")]),
        ("{% for a in items %}" * 3 + "{% endfor %}" * 3, [(1, 4, LOOPS)]),
        ("{% for a in items recursive %}{% endfor %}", [(1, 4, LOOPS)]),
        ("{{ n }}" * 1001, [(1, 1, "there are more than 1,000 words and signs in this text")]),
        ("{% set x = 1 %}", [(1, 1, "`set` is not allowed; make it a word under `vars`")]),
        ("{{ region", [(1, 1, "unexpected end of template, expected `end of print statement`.")]),
        ("a\n{% endif %}", [(2, 4, "encountered unknown tag `endif`.")]),
        ("{% if n %}x", None),
        ("{{ }}", None),
        ("{{ 'a }}", None),
        ("{{ regoin }} {{ sevrity }}", [
            (1, 4, "unknown word `regoin`; did you mean `region`?"),
            (1, 17, "unknown word `sevrity`; did you mean `severity`?"),
        ]),
        ("{{ event.title }}", None),
        ("{{ loop.index }}", None),
        ("x" * (MAX_SOURCE + 1), [(1, 1, "longer than 8,192 characters")]),
    ],
)  # fmt: skip
def test_a_fault_is_told_at_its_place(text: str, faults: list[tuple[int, int, str]] | None) -> None:
    found = list(faults_of(text))
    assert found == (faults or found)
    assert all(line >= 1 and column >= 1 and message for line, column, message in found)


@pytest.mark.parametrize(
    ("text", "words", "why"),
    [
        ("{{ region }}", {"region": {"a": 1}}, "a map has no text of its own"),
        ("{{ nested.nothing }}", {}, "has no attribute `nothing`"),
        ("{{ items[9] }}", {}, "has no element 9"),
        ("{{ region | time }}", {}, "Invalid isoformat string"),
        ("{{ region | join }}", {}, "this filter takes a list"),
        ("{{ region * 2 }}", {}, "`*` is for numbers only"),
        ("{{ now * 2 }}", {}, "`*` is for numbers only"),
        (
            twice("{% if a %}{% endif %}" * 300),
            {"items": HUNDRED},
            "it costs too much",
        ),
        (
            "x" + twice("          "),
            {"items": HUNDRED},
            "it makes too much white space",
        ),
        ("{{ n / 0 }}", {}, "division by zero"),
        ("{% for i in region %}{% endfor %}", {}, "`for` goes through lists only"),
        ("{{ [1, 'a'] | sort }}", {}, "not supported between"),
    ],
)
def test_what_cannot_be_said_is_an_error_that_names_the_text(text: str, words: dict[str, Any], why: str) -> None:
    with pytest.raises(EvaluationFailed) as caught:
        render(text, **words)
    assert why in str(caught.value)
    assert " ".join(text[:70].split()) in str(caught.value)


def test_a_word_that_is_not_given_is_an_error() -> None:
    with pytest.raises(EvaluationFailed, match="`region` is undefined"):
        compile_template("{{ region }}", VARS, 100).render({})


# --- hostile templates

ESCAPES = [
    "{{ ''.__class__ }}", "{{ ''['__class__'] }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ region.__init__ }}",
    "{{ region['__cl' ~ 'ass__'] }}", "{{ region['__class__'] }}", "{{ nested['__class__'] }}",
    "{{ nested.__class__ }}",
    "{{ items.__class__ }}", "{{ items['__class__'] }}", "{{ (1).__class__ }}", "{{ 1.0.__class__ }}",
    "{{ [].__class__ }}",
    "{{ self }}", "{{ self.__init__ }}", "{{ self._TemplateReference__context }}", "{{ config }}",
    "{{ request }}", "{{ g }}",
    "{{ cycler }}", "{{ cycler.__init__.__globals__.os }}", "{{ joiner }}", "{{ namespace }}", "{{ namespace() }}",
    "{{ lipsum }}", "{{ lipsum(n=100000) }}", "{{ lipsum.__globals__ }}", "{{ range }}", "{{ range(999999) }}",
    "{{ dict }}",
    "{{ dict(a=1) }}", "{{ get_flashed_messages }}", "{{ url_for }}", "{{ caller }}", "{{ varargs }}", "{{ kwargs }}",
    "{{ loop }}", "{{ super() }}", "{{ environment }}", "{{ context }}", "{{ __builtins__ }}", "{{ _ }}",
    "{{ gettext('a') }}",
    "{{ region | attr('__class__') }}", "{{ items | map('upper') }}", "{{ items | map(attribute='__class__') }}",
    "{{ '%s' | format(region) }}", "{{ '{0.__class__}'.format(region) }}", "{{ '{0.__class__}' | format(region) }}",
    "{{ region.format }}", "{{ region['format'] }}", "{{ region.format_map(nested) }}", "{{ region | center(10) }}",
    "{{ region | indent }}", "{{ nested | xmlattr }}", "{{ nested | tojson }}", "{{ nested | pprint }}",
    "{{ items | batch(1) }}",
    "{{ items | slice(1) }}", "{{ items | groupby('x') }}", "{{ items | select }}", "{{ items | selectattr('x') }}",
    "{{ items | reject }}", "{{ items | sum }}", "{{ nested | items }}", "{{ nested | dictsort }}",
    "{{ region | safe }}",
    "{{ region | urlize }}", "{{ region | escape }}", "{{ region | forceescape }}", "{{ region | wordwrap(1) }}",
    "{{ region | filesizeformat }}", "{{ items | random }}", "{{ region | string }}", "{{ region | list }}",
    "{{ region | striptags }}", "{{ region | urlencode }}", "{{ items | min }}", "{{ region | reverse }}",
    "{{ region | _weighed }}", "{{ items | _elements(1) }}", "{{ region is callable }}", "{{ region is sameas 1 }}",
    "{{ region is filter('x') }}", "{{ region is divisibleby(0) }}", "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'x' import y %}", "{% extends 'x' %}", "{% macro m() %}{% endmacro %}", "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}", "{% block b %}{% endblock %}", "{% set x = ''.__class__ %}", "{% do x %}",
    "{% set x %}y{% endset %}", "{% with a = 1 %}{% endwith %}", "{% autoescape false %}{% endautoescape %}",
    "{% debug %}",
    "{% trans %}x{% endtrans %}", "{% break %}", "{% for i in items recursive %}{{ loop(items) }}{% endfor %}",
    "{% for i in items %}{{ loop }}{% endfor %}", "{% for i in items %}{{ loop.cycle('a') }}{% endfor %}",
    "{% for i in items %}{{ loop._iterable }}{% endfor %}", "{% for i in items %}{{ loop['_iterable'] }}{% endfor %}",
    "{% for i in items %}{{ loop['changed'] }}{% endfor %}", "{% for i in items %}{{ loop.__init__ }}{% endfor %}",
    "{{ region.upper }}", "{{ items.append }}", "{{ items.append(1) }}", "{{ nested.keys }}", "{{ nested.items() }}",
    "{{ nested.clear() }}", "{{ now.strftime }}", "{{ now.strftime('%x') }}", "{{ now.tzinfo }}",
    "{{ episode.duration.max }}",
    "{{ n.real }}", "{{ n.bit_length }}", "{{ region[nested] }}", "{{ region | truncate(*items) }}",
    "{{ region | truncate(**nested) }}", "{{ {'a': 1} }}", "{{ nested }}", "{{ region % 1 }}", "{{ '%d' % n }}",
    "{{ region + region }}",
    "{{ items + items }}", "{{ items * 9 }}", "{{ region - 1 }}", "{{ region // 2 }}", "{{ 9 ** 9 }}",
    "{{ not_a_word }}",
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_no_known_way_leads_out(text: str) -> None:
    with pytest.raises((CompileFailed, EvaluationFailed)):
        render(text)
    assert any(_outcome(text, {}) < 0.1 for _ in range(3))


def test_there_are_enough_known_ways() -> None:
    assert len(set(ESCAPES)) >= 60


@pytest.mark.parametrize(
    "payload", ["{{ 7*7 }}", "{{ ''.__class__ }}", "{% for i in range(9) %}x{% endfor %}", "{#", "${7*7}"]
)
def test_a_payload_is_never_a_template(payload: str) -> None:
    assert render("{{ message | trusted }}", message=payload) == payload
    assert render("{{ message }}", markdown=False, message=payload) == payload
    assert "49" not in render("{{ message }} {{ items }}", message=payload, items=[payload])


BOMBS: list[tuple[str, dict[str, Any]]] = [
    ("{{ 'a' * 1000000000 }}", {}),
    ("{{ 9999999999 * 9999999999 * 9999999999 * 9999999999 }}", {}),
    ("{{ 9 ** 999999999 }}", {}),
    ("{{ '%1000000000d' % 1 }}", {}),
    ("{{ [0] * 1000000000 }}", {}),
    ("{{ 'a'.ljust(1000000000) }}", {}),
    ("{{ 'a' | center(1000000000) }}", {}),
    ("{{ 9" + "9" * 6000 + " }}", {}),
    ("{{ region" + "|replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 30 + " }}", {"region": "a" * 100}),
    ("{{ region | replace('', 'aaaaaaaaaa') }}", {"region": "a" * 16000}),
    ("{{ items | join(region) }}", {"items": ["x"] * 20_000, "region": "y" * 16000}),
    ("{{ region | replace('a', region) }}", {"region": "a" * 16000}),
    ("{{ items | join }}", {"items": ["x" * 20_000] * 1000}),
    ("{{ items | list_words }}", {"items": ["x" * 20_000] * 1000}),
    ("{{ items }}", {"items": ["x"] * 300_000}),
    (twice("{{ region }}"), {"items": HUNDRED, "region": "\u200b" * 16000}),
    (twice("{{ region | upper | lower }}"), {"items": HUNDRED, "region": ""}),
    (
        twice("{{ region | replace('x', '') }}"),
        {"items": HUNDRED, "region": "x" * 16000},
    ),
    (
        twice("{% if a == b %}{% endif %}" * 150),
        {"items": HUNDRED},
    ),
    (
        twice("{% if region == nested %}{% endif %}"),
        {"items": HUNDRED, "region": ["y"] * 20_000, "nested": ["y"] * 20_000},
    ),
    (
        twice("{% if 'z' in region[0:9999] %}{% endif %}"),
        {"items": HUNDRED, "region": ["y"] * 20_000},
    ),
    ("x" + twice(" " * 7000), {"items": HUNDRED}),
    (twice("{% for c in items %}x{% endfor %}"), {"items": HUNDRED}),
    ("{% for a in items %}x{% endfor %}", {"items": ["x"] * 1_000_00}),
    ("{{ items | sort | sort | sort | sort | sort | sort | sort | sort }}", {"items": [f"{i}" for i in range(20_000)]}),
    ("{{ region }}", {"region": "a" + "\u0315\u0323" * 50_000}),
    ("{{ region }}", {"region": "x" * 1_000_000}),
    ("{{ region }}", {"region": "*" * 1_000_000}),
    ("{{ region }}", {"region": "<a" * 500_000}),
    ("{{ region }}", {"region": "\\" * 500_000}),
    ("{{ region }}", {"region": "- " * 500_000}),
    ("{{ region }}", {"region": "> " * 500_000}),
    ("[a](https://x/{{ region }})", {"region": "é" * 500_000}),
    ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", {}),
    ("{{ " + "[" * 3000 + "]" * 3000 + " }}", {}),
    ("{{ " + "-" * 3000 + "1 }}", {}),
    ("{{ " + "not " * 2000 + "1 }}", {}),
    ("{% if n %}" * 300 + "{% endif %}" * 300, {}),
    ("{{ n" + " + n" * 1500 + " }}", {}),
    ("{{ n" + " | int" * 1000 + " }}", {}),
    ("{{ n if n else " * 400 + "1" + " }}" , {}),
    ("{{ n" + ".a" * 3000 + " }}", {}),
    ("{{ [" + "n," * 3000 + "] }}", {}),
    ("{{" * 4000, {}),
    ("{% raw %}" * 800, {}),
    ("{#" * 4000, {}),
    ("{{ '" + "a" * 8000, {}),
    ("\n" * 8000 + "{{", {}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_a_bomb_costs_little(number: int) -> None:
    """Loading and rendering cost at most 100 ms each, and 5 MiB; measured apart, as measuring memory takes time."""
    text, words = BOMBS[number]
    assert any(_outcome(text, words) < 0.1 for _ in range(3))
    tracemalloc.start()
    try:
        _outcome(text, words)
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


def _outcome(text: str, words: dict[str, Any]) -> float:
    """Load and render; give the seconds of the slower of the two."""
    templates._compiled.cache_clear()
    times = [thread_time()]
    with suppress(CompileFailed, EvaluationFailed):
        template = compile_template(text, VARS, 4096)
        times.append(thread_time())
        template.render(WORDS | words)
    times.append(thread_time())
    return max(after - before for before, after in pairwise(times))


def test_the_deepest_template_that_loads_also_renders() -> None:
    """Compiling is put off to the first use, so nothing may be left that could fail in it."""
    deep = [
        ("{% if n %}", "x", "{% endif %}"),
        ("{{ [", "n", "] }}"),
        ("(", "n", ")"),
        ("-", "n", ""),
        ("n if n else ", "n", ""),
        ("", "n", " | int"),
        ("", "n", " + n"),
        ("", "n", " == n"),
        ("n and (", "n", ")"),
    ]
    for before, middle, after in deep:
        last: Template | None = None
        for depth in range(1, 100):
            inner = before * depth + middle + after * depth
            text = inner if before.startswith("{%") else "{{ " + inner.replace("{{", "").replace("}}", "") + " }}"
            try:
                last = compile_template(text, VARS, 100)
            except CompileFailed:
                break
        assert last is not None
        assert last.render(WORDS) is not None


def test_an_ordinary_text_renders_fast() -> None:
    template = compile_template(
        "Some customers in {{ region }} since {{ episode.started_at | time }}: {{ components }}.", VARS, 4096
    )
    template.render(WORDS)
    started = thread_time()
    for _ in range(100):
        template.render(WORDS)
    assert thread_time() - started < 0.3


def test_errors_do_not_carry_the_whole_template() -> None:
    with pytest.raises(EvaluationFailed) as caught:
        render("{{ n / 0 }}" + "x" * 5000)
    assert len(str(caught.value)) < 200
    assert re.match(r"text `\{\{ n / 0 \}\}x+…`: ", str(caught.value))


LIKENESS = [
    ("Checkout is down", "Checkout is down", 16),
    ("Checkout  is\ndown", " Checkout is down ", 16),
    ("Checkout is down", "Checkout is up", None),
    ("Checkout in {{ region }}", "Checkout in Europe", 11),
    ("Checkout in {{ region }}", "Payments in Europe", None),
    ("{{ region }} is down", "Europe is down", 7),
    ("{{ region }} is down", "Europe is down again", None),
    ("{{ region }}: {{ n }} of them", "eu: 3 of them", 8),
    ("{{ region }}: {{ n }} of them", "eu 3 of them", None),
    ("a{{ region }}a", "a", None),
    ("{{ region }}", "whatever it is", 0),
    ("{% if n %}Some{% else %}No{% endif %} trouble", "Some trouble", 7),
]


@pytest.mark.parametrize(("source", "text", "found"), LIKENESS)
def test_what_may_have_come_of_a_text_bears_what_every_rendering_of_it_has(
    source: str, text: str, found: int | None
) -> None:
    assert compile_template(source, VARS, 4096).likeness(text) == found


@given(st.text(max_size=40), st.integers())
def test_every_rendering_is_like_its_template(region: str, n: int) -> None:
    template = compile_template("In {{ region }} there are {{ n }}{% if n %} or so{% endif %}.", VARS, 4096)
    assert template.likeness(template.render({**WORDS, "region": region, "n": n})) is not None
