"""Write what follows from data: figures, pages, and what stands over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffkit.errors import PageError
from diffkit.measure.experiment import Found, Registry
from diffkit.measure.rows import Row
from diffkit.report.chapters import Chapter, chapter_of, read_chapters
from diffkit.report.folder import FIGURES, check_writable, write_data, write_files
from diffkit.report.summaries import summaries


def write_report(found: Found, rows: Sequence[Row], reports: Path, mode: str) -> Path:
    """Write ``data.csv``, both figures and ``README.md``; gives the page's path.

    Raises `PageError` when the page cannot be made from the rows, which are kept.
    """
    folder = reports / found.experiment.name
    write_data(found, rows, reports, mode)
    chapter = chapter_of(found, rows, mode)
    write_files(folder, chapter.files())
    if chapter.problem:
        raise PageError(chapter.problem)
    return folder / "README.md"


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
            write_files(reports / chapter.name, chapter.files())
            written.append(chapter.name)
    _write_summaries(registry, reports, chapters)
    return written, problems


def _write_summaries(
    registry: Registry, reports: Path, chapters: Sequence[Chapter]
) -> None:
    figures = {one.name: _figures_in(reports / one.name) for one in chapters}
    files, _ = summaries(registry, chapters, figures)
    write_files(reports, files)


def _figures_in(folder: Path) -> dict[str, bytes]:
    found = {}
    for name in FIGURES:
        try:
            found[name] = (folder / name).read_bytes()
        except OSError:
            continue
    return found
