"""Cells on a Dask cluster: timed ones on workers of their own, counted ones anywhere.

A worker for timed cells has one thread and the resource ``timed``, and should be the
only one on its machine::

    dask scheduler
    dask worker tcp://HOST:8786 --nthreads 1 --resources timed=1
    dask worker tcp://HOST:8786 --nthreads 1       # as many as you like, counted cells

A worker that is lost gives its cells back to the scheduler, which tries them elsewhere.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import lazy_loader as lazy

from diffkit.errors import ExperimentError, MissingDependencyError, UserInputError
from diffkit.measure.cells import measuring_code
from diffkit.measure.executors import on_worker
from diffkit.measure.executors.task import Ended, Task, ended, longest_first
from diffkit.measure.limits import Outcome
from diffkit.measure.machine import this_machine

distributed: Any = lazy.load("distributed")

RESOURCE = "timed"
#: Counted cells that are sent together, at most: what a message costs is shared.
BATCH = 50
#: How long to wait for a scheduler, and for a worker where there is none (left).
PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Cluster:
    """The workers of the Dask scheduler at ``address``.

    Raises `MissingDependencyError` without Dask, `UserInputError` when nothing answers
    at the address, and `ExperimentError` when workers cannot measure what the sweep
    would.
    """

    address: str
    patience: float = PATIENCE_SECONDS
    _client: Any = field(default=None, init=False)
    _fingerprints: dict[str, str] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        if find_spec("distributed") is None:
            what = f"Measuring on the workers of {self.address}"
            raise MissingDependencyError("distributed", what, "dask")
        try:
            self._client = distributed.Client(self.address, timeout=self.patience)
        except (OSError, TimeoutError, ValueError) as error:
            raise UserInputError(
                f"No Dask scheduler answers at {self.address!r}: {error}. Start one "
                "with 'dask scheduler' and give its address, such as "
                "tcp://127.0.0.1:8786."
            ) from error
        try:
            self._check()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def workers(self) -> int:
        """Threads of all workers."""
        return sum(worker["nthreads"] for worker in self._workers().values()) or 1

    @property
    def fingerprint(self) -> str:
        """That of the machines that time; of this one where none does."""
        timing = [self._fingerprints.get(name, "") for name in self._timing()]
        return timing[0] if timing else this_machine().fingerprint

    def run(
        self, tasks: Sequence[Task], on_start: Callable[[Task], None]
    ) -> Generator[Ended, None, None]:
        """Yield tasks as they end. Closing the iterator takes the others back.

        Raises `ExperimentError` when a worker measures with other code, or when the
        workers that are needed are gone and do not come back.
        """
        if any(task.case.timed for task in tasks):
            self._check_timing()
        waiting: dict[str, tuple[Any, Sequence[Task]]] = {}
        done: queue.Queue[Any] = queue.Queue()
        codes = {
            path: measuring_code(Path(path), "")
            for path in {task.path for task in tasks}
        }

        def submit(batch: Sequence[Task]) -> None:
            timed = batch[0].case.timed
            future = self._client.submit(
                on_worker.run_batch,
                *(batch, codes[batch[0].path]),
                resources={RESOURCE: 1} if timed else None,
                priority=1 if timed else 0,
                pure=False,
            )
            waiting[future.key] = future, batch
            future.add_done_callback(done.put)

        try:
            for batch in _batches(tasks, self.workers):
                submit(batch)
            seen = time.monotonic()
            while waiting:
                try:
                    future = done.get(timeout=1.0)
                except queue.Empty:
                    batches = [batch for _, batch in waiting.values()]
                    seen = self._watch(any(b[0].case.timed for b in batches), seen)
                    continue
                seen = time.monotonic()
                _, batch = waiting.pop(future.key)
                finished = self._result(future, batch)
                if len(finished) < len(batch):
                    submit(batch[len(finished) :])
                yield from finished
        finally:
            if waiting and self._client.status == "running":
                self._client.cancel([future for future, _ in waiting.values()])

    def _result(self, future: Any, batch: Sequence[Task]) -> Sequence[Ended]:
        try:
            answer = future.result()
        except distributed.KilledWorker:
            message = "the workers that it ran on were lost, again and again"
            return [ended(batch[0], Outcome("error", message=message))]
        except (CancelledError, OSError) as error:
            raise self._gone() from error
        if isinstance(answer, on_worker.Refusal):
            raise _refused({answer.worker: answer.reason})
        return answer

    def _check(self) -> None:
        """Ask every worker what it would measure with."""
        try:
            self._client.wait_for_workers(1, timeout=self.patience)
        except TimeoutError as error:
            raise ExperimentError(
                f"The Dask scheduler at {self.address} has no worker. Start some with "
                f"'{self._how}'."
            ) from error
        answers = self._client.run(on_worker.identity, on_error="return")
        code = measuring_code(None, "")
        wrong = {
            name: str(answer)
            if isinstance(answer, BaseException)
            else "its diffkit or its packages are others"
            for name, answer in answers.items()
            if getattr(answer, "code", None) != code
        }
        if wrong:
            raise _refused(wrong)
        self._fingerprints = {n: answer.fingerprint for n, answer in answers.items()}

    def _check_timing(self) -> None:
        timing = self._timing()
        if not timing:
            raise ExperimentError(
                f"There are timed cells, and no worker of {self.address} has the "
                f"resource {RESOURCE!r} for them. Start one with '{self._how}'."
            )
        shared = [name for name, worker in timing.items() if worker["nthreads"] != 1]
        if shared:
            raise ExperimentError(
                f"Timed cells run alone on their worker, and {', '.join(shared)} with "
                f"the resource {RESOURCE!r} would run several cells at once. Start "
                f"such workers with '{self._how}'."
            )
        kinds = {self._fingerprints.get(name) for name in timing} - {None}
        if len(kinds) > 1:
            raise ExperimentError(
                f"The workers with the resource {RESOURCE!r} are {len(kinds)} kinds of "
                "machine, and times of different machines are never compared. Give "
                f"the resource to one kind only: {', '.join(timing)}."
            )

    def _watch(self, timed: bool, seen: float) -> float:
        """When workers for what is left were last seen; raises if that is long ago."""
        if self._client.status != "running":
            raise self._gone()
        if self._timing() if timed else self._workers():
            return time.monotonic()
        if time.monotonic() - seen > self.patience:
            which = f"worker with the resource {RESOURCE!r}" if timed else "worker"
            raise ExperimentError(
                f"No {which} is left at {self.address}. What is finished is kept: "
                f"start one with '{self._how}' and run the same command again."
            )
        return seen

    def _workers(self) -> dict[str, Any]:
        return self._client.scheduler_info(n_workers=-1)["workers"]

    def _timing(self) -> dict[str, Any]:
        return {
            name: worker
            for name, worker in self._workers().items()
            if worker["resources"].get(RESOURCE, 0) >= 1
        }

    @property
    def _how(self) -> str:
        return f"dask worker {self.address} --nthreads 1 --resources {RESOURCE}=1"

    def _gone(self) -> ExperimentError:
        return ExperimentError(
            f"The Dask scheduler at {self.address} is gone. What is finished is kept: "
            "start it and run the same command again."
        )


def _batches(tasks: Sequence[Task], workers: int) -> Iterator[Sequence[Task]]:
    """Timed and long tasks one by one, then others of one experiment together."""
    yield from ([task] for task in tasks if task.case.timed)
    counted: dict[str, list[Task]] = {}
    for task in longest_first(task for task in tasks if not task.case.timed):
        if task.long:
            yield [task]
        else:
            counted.setdefault(task.path, []).append(task)
    total = sum(map(len, counted.values()))
    # A few batches for each worker, so that none is idle while another has many left.
    size = min(BATCH, 1 + total // (4 * workers))
    for some in counted.values():
        for first in range(0, len(some), size):
            yield some[first : first + size]


def _refused(reasons: Mapping[str, str]) -> ExperimentError:
    said = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
    return ExperimentError(
        "Workers measure only with the code of the sweep, and refused: "
        f"{said}. Install the same versions and the same checkout there."
    )
