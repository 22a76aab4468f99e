"""Folders of reports with something missing: links to this checkout's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.lesson.conftest import REPORTS


def linked(folder: Path) -> Path:
    """A folder of reports whose data are this checkout's, by links."""
    for data in REPORTS.glob("*/data.csv"):
        place = folder / data.parent.name
        place.mkdir(parents=True)
        (place / "data.csv").symlink_to(data)
        page = data.with_name("README.md")
        if page.exists():
            (place / "README.md").symlink_to(page)
    return folder


def changed(reports: Path, experiment: str, change: Callable[[str], str]) -> None:
    """Put a changed copy in the place of a link."""
    data = reports / experiment / "data.csv"
    text = data.read_text("utf-8")
    data.unlink()
    data.write_text(change(text), "utf-8")
