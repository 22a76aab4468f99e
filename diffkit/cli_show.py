"""What the command line prints: tables and notes on stdout, errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table


def _console() -> Console:
    # Made when used, so that redirected streams are honoured. Width 88 where there is
    # no terminal: a table in a log must not be cut.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def table(
    header: Sequence[str], lines: Iterable[Sequence[str]], *, numbers_from: int = 1
) -> None:
    """Print a table; columns from ``numbers_from`` on are set flush right."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(header):
        shown.add_column(name, justify="right" if place >= numbers_from else "left")
    for line in lines:
        shown.add_row(*line)
    _console().print(shown, markup=False)


def note(text: str) -> None:
    """Print a line."""
    _console().print(text, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a line on stderr: something to know that is not the result."""
    print(f"diffkit: {text}", file=sys.stderr)


def error(text: str) -> None:
    """Print the one line that says why there is no result."""
    print(f"diffkit: error: {text}", file=sys.stderr)


class Meter:
    """A progress bar where there is a terminal; plain lines where there is none."""

    def __init__(self, progress: Progress | None, task: object) -> None:
        self._progress, self._task = progress, task

    def doing(self, number: int, total: int, label: str) -> None:
        """Say what is being measured now."""
        if self._progress is not None:
            self._progress.update(
                self._task,  # type: ignore[arg-type]
                total=total,
                completed=number - 1,
                description=label,
            )

    def did(self, number: int, total: int, text: str) -> None:
        """Say what was measured."""
        if self._progress is not None:
            self._progress.update(
                self._task,  # type: ignore[arg-type]
                total=total,
                completed=number,
            )
        else:
            print(f"[{number}/{total}] {text}", flush=True)


@contextmanager
def meter(title: str) -> Iterator[Meter]:
    """A `Meter` for the block."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Meter(None, None)
        return
    columns = (
        TextColumn(title),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Meter(progress, progress.add_task("", total=None))


def near(path: Path) -> Path:
    """The path as seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
