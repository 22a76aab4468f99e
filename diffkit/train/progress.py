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
    wanted: bool, epochs: int, total: int, done: int = 0
) -> Iterator[Callable[[int, float], None]]:
    """A progress bar on a terminal; nothing, at no cost, anywhere else.

    It is told the epoch and the loss after each of `total` batches, of which `done`
    were before.
    """
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield lambda epoch, loss: None
        return
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, loss {task.fields[loss]:.4g}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task(
            "", total=total, completed=done, loss=float("nan"), epoch=1, epochs=epochs
        )
        yield lambda epoch, loss: drawn.update(task, advance=1, loss=loss, epoch=epoch)
