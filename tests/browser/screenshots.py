"""``make screenshots``: every view at the width of a phone and of a desk, in the light and in the dark."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.browser.browsing import DESK, PHONE, browser, sign_in
from tests.browser.stage import Stage, stage, tell


def views(on: Stage) -> dict[str, str]:
    """Name every view that there is something to be seen in."""
    waiting = on.waiting()[0]["id"]
    window = on.ask("windows")["items"][0]["id"]
    return {
        "overview": "/",
        "post": f"/post?of={quote(waiting)}",
        "story": "/story?of=checkout-outage%231",
        "window": f"/story?of={quote(window)}",
        "history": "/history",
        "events": "/events",
        "event": "/events/1",
        "rules": "/rules",
        "maintenance": "/maintenance",
        "charts": "/charts",
        "notices": "/notices",
        "problem": "/story?of=nothing",
    }


def main() -> None:
    """Write them all into a folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("var/screenshots"))
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, stage(Path(temporary)) as on, browser() as running:
        tell(on)
        for size, viewport in {"desk": DESK, "phone": PHONE}.items():
            for scheme in ("light", "dark"):
                context = running.new_context(viewport=viewport, color_scheme=scheme)
                page = context.new_page()
                page.goto(on.url)
                _shoot(page, folder / f"sign-in-{size}-{scheme}.png")
                sign_in(page, on)
                for name, path in views(on).items():
                    page.goto(f"{on.url}{path}")
                    _shoot(page, folder / f"{name}-{size}-{scheme}.png")
                context.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


def _shoot(page: Any, path: Path) -> None:
    page.wait_for_timeout(150)
    page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    main()
