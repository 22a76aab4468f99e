"""Write what follows from data: figures, pages, and what stands over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffkit.measure.experiment import Registry
from diffkit.report.chapters import Chapter, read_chapters
from diffkit.report.folder import FIGURES, check_writable, write_files
from diffkit.report.summaries import summaries


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
