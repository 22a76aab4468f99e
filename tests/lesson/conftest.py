"""The page of this checkout's reports, built once."""

from pathlib import Path

import pytest

from diffkit import lesson, measure
from tests.lesson.markup import Element, read
from tests.lesson.trace import Tables

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"


@pytest.fixture(scope="session")
def registry() -> measure.Registry:
    return measure.discover(ROOT)


@pytest.fixture(scope="session")
def built(registry):
    return lesson.build(registry, REPORTS)


@pytest.fixture(scope="session")
def page(built) -> Element:
    return read(built.html)


@pytest.fixture(scope="session")
def tables() -> Tables:
    return Tables(REPORTS)
