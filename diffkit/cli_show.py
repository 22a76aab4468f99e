"""What the command line prints: tables and notes on stdout, errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

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
        justify = "right" if place >= numbers_from else "left"
        shown.add_column(name, justify=justify, overflow="fold")  # nothing is cut
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


#: From this many steps on, plain lines come once in a while only.
_MANY, _WHILE_SECONDS = 100, 2.0


class Meter:
    """A progress bar where there is a terminal; plain lines where there is none."""

    def __init__(self, progress: Progress | None, task: object) -> None:
        self._progress, self._task = progress, task
        self._said = float("-inf")

    def doing(self, number: int, total: int, label: str) -> None:
        """Say what is being measured now."""
        self._update(total, number - 1, description=label)

    def did(
        self,
        number: int,
        total: int,
        text: str,
        *,
        left: float | None = None,
        important: bool = True,
    ) -> None:
        """Say what was measured, and how many seconds may be left.

        Of many lines without a terminal, only important ones are sure to be printed.
        """
        about = (
            "" if left is None or number == total else f"about {_lasting(left)} left"
        )
        if self._progress is not None:
            self._update(total, number, left=about)
            return
        now = monotonic()
        if important or total < _MANY or now - self._said > _WHILE_SECONDS:
            self._said = now
            print(f"[{number}/{total}] {text}{about and ', '}{about}", flush=True)

    def _update(self, total: int, completed: int, **shown: str) -> None:
        if self._progress is not None:
            self._progress.update(
                self._task,  # type: ignore[arg-type]
                total=total,
                completed=completed,
                **shown,  # type: ignore[arg-type]
            )


def _lasting(seconds: float) -> str:
    """Seconds as a reader says them.

    >>> _lasting(0.2), _lasting(59.7), _lasting(3700)
    ('1 s', '1 min', '1 h 2 min')
    """
    if seconds < 59.5:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    )


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
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Meter(progress, progress.add_task("", total=None, left=""))


def near(path: Path) -> Path:
    """The path as seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
