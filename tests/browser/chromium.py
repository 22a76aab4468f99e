"""Where a Chromium is, and what to do when there is none.

``python -m tests.browser.chromium`` says either; the Makefile asks it.
"""

from __future__ import annotations

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PACKAGES = (
    "The browser tests need Playwright and axe-core for Python: run 'make browser', or "
    "pip install 'diffkit[browser]'."
)
PROGRAM = (
    "The browser tests need Chromium: 'apt-get install chromium' on Debian and Ubuntu, "
    "or set DIFFKIT_CHROMIUM to the path of a Chromium or Chrome."
)
#: Keeps it quiet: it asks for updates and suggestions otherwise.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def find() -> str | None:
    """The path of a Chromium: what the environment says, or one that is installed."""
    asked = os.environ.get("DIFFKIT_CHROMIUM")
    if asked:
        return shutil.which(asked)
    found = (shutil.which(name) for name in (*NAMES, ON_MACOS))
    return next((path for path in found if path), None)


def flags() -> list[str]:
    """How it is started; as root it refuses its sandbox."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*QUIET, *(["--no-sandbox"] if root else [])]


if __name__ == "__main__":
    path = find()
    if path is None:
        sys.exit(PROGRAM)
    print(path)
