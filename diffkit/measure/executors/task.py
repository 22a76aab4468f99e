"""One cell to be measured, how it ended, and what an executor is."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from diffkit.errors import ExperimentError
from diffkit.measure.experiment import load_experiment
from diffkit.measure.limits import Outcome
from diffkit.measure.machine import this_machine, versions_text
from diffkit.measure.processes import Call
from diffkit.measure.rows import CELL_METRIC, HARNESS_METRIC, Case, Row

THREADS = 1
#: From how many seconds a cell is long.
LONG_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """A case, the file of its experiment, and its place in the sweep.

    ``last_seconds`` is what it took when it was last measured, where that is known.
    """

    place: int
    path: str
    case: Case
    last_seconds: float | None = None

    @property
    def call(self) -> Call:
        """What a process is asked to do."""
        return Call(measure_cell, (self.path, self.case), self.case.limits, self)

    @property
    def long(self) -> bool:
        """Whether it is known to take long."""
        return (self.last_seconds or 0.0) > LONG_SECONDS


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended, with its rows; the last of them is about the cell itself."""

    place: int
    status: str
    seconds: float
    message: str
    rows: tuple[Row, ...]


class Executor(Protocol):
    """Runs tasks somewhere and yields each when it has ended, in any order.

    A context manager: what it needs is there inside the block and gone after it.
    ``workers`` is how many counted cells run at once; ``fingerprint`` is that of the
    machine that times. Timed cells never share what they run on.
    """

    @property
    def workers(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def run(
        self, tasks: Sequence[Task], on_start: Callable[[Task], None]
    ) -> Generator[Ended, None, None]: ...


def longest_first(tasks: Iterable[Task]) -> list[Task]:
    """Long tasks by their seconds, then unknown ones, then short ones, as they come.

    A long one that is begun last leaves all processes but its own without work. Source:
    Graham, 1969, "Bounds on multiprocessing timing anomalies".
    """

    def taken_for(task: Task) -> float:
        if task.last_seconds is None:
            return LONG_SECONDS
        return task.last_seconds if task.long else 0.0

    return sorted(tasks, key=taken_for, reverse=True)


def measure_cell(path: str, case: Case) -> list[Row]:
    """In the cell's process: load the experiment's file and measure one case."""
    rows = list(load_experiment(Path(path)).experiment.measure(case))
    for row in rows:
        if not isinstance(row, Row) or row.parameters != case.parameters:
            raise ExperimentError(
                f"{case.experiment!r} gave something else than rows of its case: "
                "build them with case.row(metric, value)."
            )
    collecting = "on" if gc.isenabled() else "off"
    return [
        row.stamped(collector="off in samples" if row.samples else collecting)
        for row in rows
    ]


def ended(task: Task, outcome: Outcome) -> Ended:
    """Rows of a cell, a last one for the cell itself, with the facts of this machine.

    A cell that measured something before a budget stopped it gives rows, one of which
    is not ok: that one says how the cell ended. A case with a parameter ``pool`` sets
    every pool of threads to it; any other keeps what its process began with.
    """
    stopped = [row for row in outcome.value or () if row.status != "ok"]
    if outcome.status == "ok" and stopped:
        first = stopped[0]
        outcome = replace(outcome, status=first.status, message=first.message)
    about = task.case.row(
        CELL_METRIC, outcome.seconds, status=outcome.status, message=outcome.message
    )
    facts: dict[str, Any] = {
        "threads": dict(task.case.parameters).get("pool") or outcome.threads or THREADS,
        "machine": str(this_machine()),
        "versions": versions_text(),
    }
    beside: list[Row] = []
    if task.case.timed and outcome.status == "ok" and outcome.harness_seconds:
        beside.append(task.case.row(HARNESS_METRIC, outcome.harness_seconds))
    parts = *(outcome.value or ()), *beside, about
    rows = tuple(row.stamped(**facts) for row in parts)
    return Ended(task.place, outcome.status, outcome.seconds, outcome.message, rows)
