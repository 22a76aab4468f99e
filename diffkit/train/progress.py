"""The progress bar of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


@contextmanager
def progress_bar(
    wanted: bool, epochs: int, steps: int
) -> Iterator[Callable[[float], None]]:
    """A progress bar on a terminal; nothing, at no cost, anywhere else."""
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield lambda _: None
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, loss {task.fields[loss]:.4g}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task("", total=epochs * steps, loss=float("nan"))
        yield lambda loss: drawn.update(task, advance=1, loss=loss)
