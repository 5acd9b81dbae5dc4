"""``python -m worker``, and the console script ``statusbridge``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    try:
        from worker.cli.app import app

        app(prog_name="statusbridge")
    except KeyboardInterrupt:  # while modules were still being loaded
        sys.exit(130)


if __name__ == "__main__":
    main()
