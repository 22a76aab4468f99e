"""One chapter for each experiment that has data: its page, verdicts and figures.

Chapters are taken from ``data.csv`` alone, by code that never measures. Many are taken
at once by several processes: drawing is what takes the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from diffkit.errors import DiffkitError, PageError, ReportError
from diffkit.measure.experiment import (
    Experiment,
    Findings,
    Found,
    Registry,
    Verdict,
    load_experiment,
)
from diffkit.measure.rows import Row
from diffkit.report import page
from diffkit.report.folder import mode_of
from diffkit.report.style import draw_files, house_style
from diffkit.report.table import read_rows
from diffkit.report.templates import template

#: Fewer chapters than this are not worth the start of other processes.
_FEW = 4
#: The folder of the lesson among theirs: `diffkit lesson build --check` checks it.
LESSON = "lesson"


@dataclass(frozen=True, slots=True)
class Chapter:
    """What a report says of one experiment, or in ``problem`` why it cannot.

    ``page`` and ``text`` are None where the data cannot be read at all. ``figures`` are
    the files drawn, by name; empty where nothing was to be drawn.
    """

    name: str
    question: str
    page: page.Page | None = None
    text: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    figures: Mapping[str, bytes] = field(default_factory=dict)
    problem: str = ""

    def files(self) -> dict[str, bytes]:
        """Every file of the chapter's folder that follows from its data, by name."""
        text = {} if self.text is None else {"README.md": self.text.encode()}
        return {**text, **self.figures}


def chapter_of(
    found: Found, rows: Sequence[Row], mode: str, *, draw: bool = True
) -> Chapter:
    """The chapter of rows; one with a ``problem`` where rows and experiment disagree.

    Whatever the experiment's own code raises is such a problem: the rows may be of
    another version of it.
    """
    experiment = found.experiment
    claims = found.claims
    again = f"Measure again with `diffkit run {experiment.name} --{mode}`."
    try:
        with _by_name(experiment, "findings", again):
            findings: Findings = experiment.findings(rows)
        with _by_name(experiment, "page", again):
            said = page.compose(experiment, findings, rows, mode, claims)
        files: Mapping[str, bytes] = {}
        if draw:
            with _by_name(experiment, "figure", again):
                files = _draw(experiment.figure, rows)
    except DiffkitError as error:
        text = template("broken.md.j2").render(
            name=experiment.name,
            question=experiment.question,
            problem=str(error),
            mode=mode,
        )
        return Chapter(
            experiment.name, experiment.question, text=text, problem=str(error)
        )
    return Chapter(
        experiment.name,
        experiment.question,
        said,
        said.markdown(),
        findings.verdicts,
        files,
    )


def read_chapter(
    found: Found, reports: Path, *, draw: bool = True, mode: str = ""
) -> Chapter:
    """The chapter of the ``data.csv`` that lies in ``reports``.

    ``mode`` says which cases the data are of; by default the page that is there does.
    """
    experiment = found.experiment
    folder = reports / experiment.name
    try:
        rows = read_rows(folder / "data.csv")
    except ReportError as error:
        return Chapter(experiment.name, experiment.question, problem=str(error))
    mode = mode or mode_of(experiment, rows, folder / "README.md")
    return chapter_of(found, rows, mode, draw=draw)


def read_chapters(
    registry: Registry,
    reports: Path,
    *,
    draw: Sequence[str] = (),
    mode: str = "",
    workers: int | None = None,
) -> list[Chapter]:
    """The chapters of every experiment that has data; those of ``draw`` with figures.

    ``mode`` says which cases the data of ``draw`` are of, where that is known.

    Raises `ReportError` when a process that draws was killed.
    """
    names = [name for name in registry if (reports / name / "data.csv").exists()]
    tasks = [
        (registry[name].path, reports, name in draw, mode if name in draw else "")
        for name in names
    ]
    workers = min(workers or os.cpu_count() or 1, len(tasks))
    if workers < 2 or len(set(draw) & set(names)) < _FEW:
        return [_read_from_file(task) for task in tasks]
    # Spawned: a fork of a process with threads (a BLAS, the engine) may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            return list(pool.map(_read_from_file, tasks))
        except BrokenProcessPool as error:
            raise ReportError(
                "A process that draws figures was killed, perhaps because the memory "
                "ran out. Draw in one process with --workers 1."
            ) from error


def _read_from_file(task: tuple[Path, Path, bool, str]) -> Chapter:
    path, reports, draw, mode = task
    return read_chapter(load_experiment(path), reports, draw=draw, mode=mode)


def _draw(figure: Callable[[Sequence[Row]], Any], rows: Sequence[Row]):
    with house_style():
        drawn = figure(rows)
    return {f"figure.{suffix}": data for suffix, data in draw_files(drawn).items()}


@contextmanager
def _by_name(experiment: Experiment, what: str, again: str) -> Iterator[None]:
    """Turn whatever the code of an experiment raises into a `PageError`."""
    try:
        yield
    except DiffkitError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise PageError(
            f"The {what} of {experiment.name!r} cannot be made from its rows "
            f"({said}): they may be of another version of it. {again}"
        ) from error
