"""Write what a sweep measured: data, figures, pages, and what stands over them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from diffkit.errors import PageError, ReportError
from diffkit.files import write_atomically
from diffkit.measure.experiment import Found, Registry
from diffkit.measure.rows import CELL_METRIC, Row
from diffkit.report.chapters import FIGURES, Chapter, chapter_of, read_chapters
from diffkit.report.page import mode_of
from diffkit.report.summaries import summaries
from diffkit.report.table import read_rows, to_csv


def check_writable(folder: Path) -> None:
    """Raise `ReportError` unless files can be made in ``folder``.

    Called before anything is measured: minutes of work must not end in a folder that
    was never going to take them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".diffkit-"):
            pass
    except OSError as error:
        raise ReportError(
            f"Reports cannot be written to {folder}: {error.strerror}. Nothing was "
            "measured. Make it a folder that you may write to, or name another with "
            "--output."
        ) from error


def write_report(found: Found, rows: Sequence[Row], reports: Path, mode: str) -> Path:
    """Write ``data.csv``, both figures and ``README.md``; gives the page's path.

    Raises `PageError` when the page cannot be made from the rows, which are kept.
    """
    folder = reports / found.experiment.name
    write_data(found, rows, reports, mode)
    chapter = chapter_of(found, rows, mode)
    _write_all(folder, chapter.files())
    if chapter.problem:
        raise PageError(chapter.problem)
    return folder / "README.md"


def write_data(found: Found, rows: Sequence[Row], reports: Path, mode: str) -> bool:
    """Write ``data.csv``; False where it stands there already, with its page.

    A sweep that measured nothing new leaves everything as it is.
    """
    experiment = found.experiment
    folder = reports / experiment.name
    check_writable(folder)
    path, data = folder / "data.csv", to_csv(rows).encode()
    there = all((folder / name).exists() for name in ("README.md", *FIGURES))
    same_mode = there and mode_of(experiment, rows, folder / "README.md") == mode
    if same_mode and path.exists() and _says_the_same(path, data, rows):
        return False
    _write(path, data)
    return True


def _says_the_same(path: Path, data: bytes, rows: Sequence[Row]) -> bool:
    """Whether a ``data.csv`` has these rows, but for how long failing took.

    Cells that failed are tried again by every sweep, and fail in another time.
    """
    if path.read_bytes() == data:
        return True
    try:
        known = read_rows(path)
    except ReportError:
        return False
    return list(map(_without_time, known)) == list(map(_without_time, rows))


def _without_time(row: Row) -> Row:
    failed = row.metric == CELL_METRIC and row.status != "ok"
    return replace(row, value=None) if failed else row


def write_index(registry: Registry, reports: Path) -> tuple[Path, list[str]]:
    """Write what stands over all pages, from their data; gives what was left out.

    That is ``README.md``, ``claims.md``, ``ERRATA.md`` and ``report.html``. A report
    whose data cannot be read any more is named in the second result and does not keep
    the others from being listed.
    """
    chapters = read_chapters(registry, reports)
    _write_summaries(registry, reports, chapters)
    return reports / "README.md", [one.problem for one in chapters if one.problem]


def write_pages(
    registry: Registry,
    reports: Path,
    names: Sequence[str] = (),
    *,
    mode: str = "",
    workers: int | None = None,
) -> tuple[list[str], list[str]]:
    """Write pages and figures again from their data, then what stands over them.

    Only those of ``names``, where some are given; ``mode`` says which cases their data
    are of, where the pages do not know it yet. Gives the names written, and a
    sentence for every report that could not be made from its data.
    """
    check_writable(reports)
    wanted = list(names or registry)
    chapters = read_chapters(registry, reports, draw=wanted, mode=mode, workers=workers)
    problems = [one.problem for one in chapters if one.problem]
    written = []
    for chapter in chapters:
        if chapter.name in wanted and chapter.text is not None:
            _write_all(reports / chapter.name, chapter.files())
            written.append(chapter.name)
    _write_summaries(registry, reports, chapters)
    return written, problems


def _write_summaries(
    registry: Registry, reports: Path, chapters: Sequence[Chapter]
) -> None:
    figures = {one.name: _figures_in(reports / one.name) for one in chapters}
    files, _ = summaries(registry, chapters, figures)
    _write_all(reports, files)


def _figures_in(folder: Path) -> dict[str, bytes]:
    found = {}
    for name in FIGURES:
        try:
            found[name] = (folder / name).read_bytes()
        except OSError:
            continue
    return found


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        _write(folder / name, data)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole: a reader never sees half of one."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error
