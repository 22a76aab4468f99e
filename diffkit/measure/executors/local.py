"""Cells on this machine: timed ones alone, counted ones side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Self

from diffkit.errors import UserInputError
from diffkit.measure.executors.task import (
    THREADS,
    Ended,
    Task,
    ended,
    longest_first,
)
from diffkit.measure.machine import this_machine
from diffkit.measure.processes import USES, Processes


@dataclass(frozen=True, slots=True)
class Local:
    """First the timed cells, one after the other, each in a fresh process and with
    nothing of the sweep beside it; then the counted ones, in ``workers`` processes that
    stay from cell to cell and begin with the longest.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UserInputError(f"{self.workers} workers were asked for: one or more.")

    @property
    def fingerprint(self) -> str:
        """That of this machine."""
        return this_machine().fingerprint

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self, tasks: Sequence[Task], on_start: Callable[[Task], None]
    ) -> Generator[Ended, None, None]:
        """Yield tasks as they end. Closing the iterator ends the processes."""
        timed = [task for task in tasks if task.case.timed]
        counted = [task for task in tasks if not task.case.timed]
        if self.workers > 1:
            counted = longest_first(counted)
        for some, count, uses in ((timed, 1, 1), (counted, self.workers, USES)):
            with Processes(count, uses=uses, threads=THREADS) as processes:
                calls = (task.call for task in some)
                for call, outcome in processes.run(calls, lambda c: on_start(c.tag)):
                    yield ended(call.tag, outcome)
