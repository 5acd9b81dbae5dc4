"""Every view can be read by everybody, in the light and in the dark, on a desk and on a phone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.browsing import DESK, OPEN_ALL, PHONE, sign_in
from tests.browser.reading import faults
from tests.browser.screenshots import views
from tests.browser.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_has_contrast_names_and_structure(
    on: Stage, stranger: Any, scheme: str, size: dict[str, int]
) -> None:
    stranger.emulate_media(color_scheme=scheme)
    stranger.set_viewport_size(size)
    stranger.goto(f"{on.url}/sign-in")
    wrong = {"sign-in": faults(stranger)}
    sign_in(stranger, on)
    for name, path in views(on).items():
        stranger.goto(f"{on.url}{path}")
        stranger.evaluate(OPEN_ALL)
        wrong[name] = faults(stranger)
    assert {name: found for name, found in wrong.items() if found} == {}


SICK = """
<!doctype html><html><head><title>x</title></head><body>
<p style="color:#999;background:#fff">pale and hard to read, in more than ten words of text</p><p>a</p><p>b</p><p>c</p>
<p>d</p><p>e</p><p>f</p><p>g</p><p>h</p><p>i</p><p>j</p>
<input name=a><button></button><h3>deep</h3><ul><div>no item</div></ul>
<svg viewBox="0 0 1 1" width=30 height=30></svg><p id=i></p><p id=i></p></body></html>
"""


def test_what_is_wrong_is_found(stranger: Any) -> None:
    stranger.set_content(SICK)
    found = "\n".join(faults(stranger))
    for fault in (
        "contrast 2.8",
        "a field without a label",
        "no name: <button>",
        "no name: <svg",
        "headings: 3",
        "no item",
        "no language",
        "no title",
        "not one main",
        "an id twice",
    ):
        assert fault in found
