"""A real browser, offline, with the page of this checkout's reports from disk.

Whatever a test does, at its end the page must have asked for nothing but itself and
logged no error: `opened` holds that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from diffkit import lesson, measure
from tests.browser import chromium
from tests.lesson.conftest import REPORTS, ROOT
from tests.lesson.trace import Tables

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright
except ImportError:  # Asking for these tests then says what to install.
    Axe = sync_playwright = None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == ROOT / "tests" / "browser":
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    if sync_playwright is None:
        pytest.fail(chromium.PACKAGES, pytrace=False)
    path = chromium.find()
    if path is None:
        pytest.fail(chromium.PROGRAM, pytrace=False)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=chromium.flags()
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe():
    if Axe is None:
        pytest.fail(chromium.PACKAGES, pytrace=False)
    return Axe()


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> str:
    """The page on disk, as a file:// address."""
    built = lesson.build(measure.discover(ROOT), REPORTS)
    return lesson.write(built, tmp_path_factory.mktemp("reports")).as_uri()


@pytest.fixture(scope="session")
def tables() -> Tables:
    return Tables(REPORTS)


@dataclass
class Watched:
    """What a page asked for and complained of."""

    address: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, context: Any) -> None:
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", self._said)
        context.on("weberror", lambda raised: self.errors.append(str(raised.error)))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text}")

    @property
    def strangers(self) -> list[str]:
        """Requests for anything but the file."""
        return [
            url
            for url in self.requests
            if url.partition("#")[0].partition("?")[0] != self.address
            and url != "about:blank"
        ]


@pytest.fixture
def opened(browser, address, request) -> Callable[..., Any]:
    """Open the page offline: ``opened("#race?depth=3", width=320, dark=True, …)``.

    A test marked ``may_fail`` looks at ``page.watched.errors`` itself.
    """
    contexts = []

    def opened(
        where: str = "",
        *,
        width: int = 1200,
        height: int = 900,
        dark: bool = False,
        script: bool = True,
        still: bool = False,
        before: str = "",
        at: str = address,
    ):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
            java_script_enabled=script,
            offline=True,
        )
        watched = Watched(at)
        watched.watch(context)
        contexts.append((context, watched))
        if before:
            context.add_init_script(before)
        page = context.new_page()
        page.goto(at + where)
        page.watched = watched
        return page

    yield opened
    for context, watched in contexts:
        context.close()
        assert not watched.strangers
        if not getattr(request.function, "may_fail", False):
            assert not watched.errors


def may_fail(test):
    """Mark a test whose page reports errors that the test itself looks at."""
    test.may_fail = True
    return test


# ------------------------------------------------------------------ asked of a page

#: What the Tab key stops at, as the page is now.
STOPS = """(within) => {
  const all = 'a[href], button, input, select, textarea, summary, [tabindex]';
  return [...(within || document).querySelectorAll(all)].filter((e) =>
    e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true }));
}"""


def sections(page) -> list[str]:
    """The names of the sections that a page has."""
    return page.evaluate(
        "[...document.querySelectorAll('main > section')].map(s=>s.id)"
    )


def open_details(page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
