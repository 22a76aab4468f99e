"""What runs in a Dask worker: cells under limits, in processes that the worker starts.

A worker measures only with the code that the sweep has; any other is refused.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import lazy_loader as lazy

from diffkit.measure.cells import measuring_code
from diffkit.measure.executors.task import THREADS, Ended, Task, ended
from diffkit.measure.experiment import project_root
from diffkit.measure.machine import this_machine
from diffkit.measure.processes import USES, Processes

distributed: Any = lazy.load("distributed")

#: A batch goes back after this long with the cells that it has finished by then.
BATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What a worker measures with, and on."""

    code: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which worker would not measure, and why."""

    worker: str
    reason: str


#: Processes that stay, taken by the thread that measures and put back by it.
_idle: list[Processes] = []


def identity() -> Identity:
    """What a sweep asks each worker before it begins."""
    return Identity(measuring_code(None, ""), this_machine().fingerprint)


def run_batch(tasks: Sequence[Task], code: str) -> list[Ended] | Refusal:
    """Measure tasks of one experiment, one by one, until the time of a batch is over.

    ``code`` is the hash of what measures them at the sweep; gives the first of the
    tasks that ended, at least one, or a `Refusal`.
    """
    path = _here(Path(tasks[0].path))
    if path is None:
        return Refusal(_name(), f"it has no file {tasks[0].path}")
    if _code(path, path.stat().st_mtime_ns) != code:
        return Refusal(_name(), f"its diffkit, packages or {path.name} are others")
    # Dask starts workers as daemons, which may have no children: a cell is one.
    multiprocessing.current_process().daemon = False
    start = time.monotonic()
    if tasks[0].case.timed:
        with Processes(1, uses=1, threads=THREADS) as processes:
            return _until(start + BATCH_SECONDS, processes, tasks, path)
    processes = _idle.pop() if _idle else Processes(1, uses=USES, threads=THREADS)
    try:
        return _until(start + BATCH_SECONDS, processes, tasks, path)
    finally:
        _idle.append(processes)


def _until(
    end: float, processes: Processes, tasks: Sequence[Task], path: Path
) -> list[Ended]:
    done: list[Ended] = []
    for task in tasks:
        ((_, outcome),) = processes.run([replace(task, path=str(path)).call])
        done.append(ended(task, outcome))
        if time.monotonic() > end:
            break
    return done


@lru_cache(maxsize=64)
def _code(path: Path, _changed: int) -> str:
    return measuring_code(path, "")


def _name() -> str:
    return distributed.get_worker().address


def _here(path: Path) -> Path | None:
    """The experiment's file on this machine: at the same place, or in the checkout."""
    if path.is_file():
        return path
    here = project_root(Path(__file__)) / "experiments" / path.name
    return here if here.is_file() else None
