"""Pages as `diffkit run` writes them: data first, then all that follows from them."""

from collections.abc import Sequence
from pathlib import Path

from diffkit import report
from diffkit.measure import Found, Registry, Row


def write_rows(
    found: Found, rows: Sequence[Row], reports: Path, mode: str = "quick"
) -> list[str]:
    """Write the report of one experiment alone; gives what could not be made of it."""
    name = found.experiment.name
    report.write_data(found, rows, reports, mode)
    alone = Registry(found.path.parents[1], {name: found})
    _, problems = report.write_pages(alone, reports, [name], mode=mode, workers=1)
    return problems


def write_page(
    found: Found, rows: Sequence[Row], reports: Path, mode: str = "quick"
) -> Path:
    """The page of an experiment of which everything could be made."""
    assert write_rows(found, rows, reports, mode) == []
    return reports / found.experiment.name / "README.md"
