"""Calls in other processes: fresh ones, or a few that stay, each call under its limits.

Every process has a pipe of its own to the one that asks. A call that runs out of time
is ended with its process, and with whatever that process has started; a process that
somebody kills is replaced and its call tried once more; the other processes notice
nothing. Time is measured by a clock that no one can set.

Why not a ready-made pool: those at hand share one lock and one pipe among their
workers (a worker that is killed while it holds the lock stops all of them), look for
ended workers ten times a second (a tenth of a second for each fresh process), keep time
limits by the wall clock, and import the main script again in each process.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import connection
from types import ModuleType
from typing import Any, Self

import psutil
from threadpoolctl import ThreadpoolController

from diffkit.errors import ExperimentError
from diffkit.measure.limits import (
    THREAD_VARIABLES,
    WATCHDOG_EXIT,
    Guard,
    Limits,
    Outcome,
    default_guard,
    guarded,
    memory_message,
    one_thread,
)

#: Sent by nobody here: the process was ended from outside.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM) if os.name == "posix" else ()
#: Calls after which a process that stays is replaced, so that nothing piles up in it.
USES = 500
#: Processes that may end before they begin; one more, and the machine cannot do it.
STILLBORN = 2
_READY = "ready"
_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class Call:
    """``function(*arguments)``, all of it picklable, under limits; ``tag`` is yours."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    limits: Limits
    tag: Any = None


class Processes:
    """Runs calls in ``count`` processes at once, each ended after ``uses`` calls.

    Use as a context manager. A process never inherits what this one has done: on Linux
    it is forked from a server that has loaded the packages and nothing else
    (`diffkit.measure.preload`), elsewhere it is spawned. Functions have to live in a
    module that can be imported; ``main=True`` imports the main script in each process
    too, for functions that live there.
    """

    def __init__(
        self,
        count: int = 1,
        *,
        uses: int = USES,
        threads: int = 1,
        guard: Guard | None = None,
        main: bool = False,
    ) -> None:
        self._count, self._uses = count, uses
        self._warm = lambda: _warm_server(threads)
        self._start = lambda since: _Worker(
            threads, guard or default_guard(), main, since
        )
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._stillborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._workers:
            worker = self._workers.pop()
            (worker.kill if worker.busy or not worker.ready else worker.close)()
        self._see_off()

    def run(
        self,
        calls: Iterable[Call],
        on_start: Callable[[Call], None] = lambda call: None,
    ) -> Iterator[tuple[Call, Outcome]]:
        """Yield each call with how it ended, as they end.

        Raises `ExperimentError` when no process can be started.
        """
        waiting = deque(calls)
        if waiting:
            self._warm()
        lost: set[int] = set()
        while True:
            needed = min(self._count, len(waiting) + sum(w.busy for w in self._workers))
            if not needed:
                return
            while len(self._workers) < needed:
                self._workers.append(self._start(time.monotonic()))
            for worker in self._workers:
                if worker.ready and not worker.busy and waiting:
                    self._see_off()
                    on_start(waiting[0])
                    worker.begin(waiting.popleft())
            _wait(self._workers)
            for worker in tuple(self._workers):
                call = worker.call
                outcome = worker.look()
                if worker.ended or (worker.uses >= self._uses and not worker.busy):
                    self._workers.remove(worker)
                    self._leaving.append(worker)
                    worker.let_go()
                    self._count_stillborn(worker)
                    if waiting:  # the next one starts while this one ends
                        self._workers.append(self._start(worker.looked_at))
                if call is None or outcome is None:
                    continue
                if outcome is LOST and id(call) not in lost:
                    lost.add(id(call))
                    waiting.appendleft(call)
                elif outcome is LOST:
                    yield call, replace(outcome, seconds=worker.seconds)
                else:
                    yield call, worker.accounted(outcome)

    def _see_off(self) -> None:
        """Wait until processes that were let go are gone: nothing runs beside a call
        that is measured alone.
        """
        while self._leaving:
            self._leaving.pop().close()

    def _count_stillborn(self, worker: _Worker) -> None:
        """Processes that cannot begin must not be started for ever."""
        self._stillborn += not worker.ready
        if self._stillborn > STILLBORN:
            raise ExperimentError(
                f"{self._stillborn} processes for cells ended before they could begin, "
                f"the last with code {worker.exit_code}. What they printed says why; "
                "'diffkit doctor' describes this machine."
            )


LOST = Outcome(
    "error",
    message="the cell's process was killed twice, by someone or by a machine that ran "
    "out of memory",
)


class LimitedRunner:
    """Runs calls one after the other, each in a fresh process under limits."""

    def __init__(
        self, *, threads: int = 1, guard: Guard | None = None, main: bool = False
    ) -> None:
        self._processes: Processes | None = None
        self._make = lambda: Processes(
            1, uses=1, threads=threads, guard=guard, main=main
        )

    def __enter__(self) -> Self:
        self._processes = self._make().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.__exit__()
            self._processes = None

    def run(self, call: Callable[..., Any], *arguments: Any, limits: Limits) -> Outcome:
        """Call ``call(*arguments)`` (all picklable) in a process of its own."""
        if self._processes is None:
            raise RuntimeError("A LimitedRunner is used inside its 'with' block.")
        ((_, outcome),) = self._processes.run([Call(call, arguments, limits)])
        return outcome


def run_limited(
    call: Callable[..., Any],
    *arguments: Any,
    limits: Limits,
    threads: int = 1,
    guard: Guard | None = None,
) -> Outcome:
    """One call in one process of its own, under ``limits``: see `LimitedRunner`."""
    with LimitedRunner(threads=threads, guard=guard) as runner:
        return runner.run(call, *arguments, limits=limits)


class _Worker:
    """One process, what it is asked at the moment, and until when it may take.

    ``since`` is when the call before its first one had ended: what passes from then on
    and is not the call's is the harness's.
    """

    def __init__(self, threads: int, guard: Guard, main: bool, since: float) -> None:
        context = _context()
        self.connection, theirs = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(theirs, threads, guard)
        )
        with _starting, one_thread(threads), nullcontext() if main else _main_hidden():
            try:
                self._process.start()
            except (EOFError, OSError) as error:
                raise ExperimentError(
                    f"No process for cells can be started: {type(error).__name__}: "
                    f"{error}. What was printed says why, or the machine has no more "
                    "processes or memory to give."
                ) from error
        theirs.close()
        self.sentinel = self._process.sentinel
        self.ready = self.ended = False
        self.uses = 0
        self.call: Call | None = None
        self._began = self.seconds = 0.0
        self._since = self.looked_at = since

    @property
    def busy(self) -> bool:
        return self.call is not None

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    @property
    def deadline(self) -> float:
        """When the call has to be over, on the monotonic clock."""
        if self.call is None:
            return float("inf")
        return self._began + self.call.limits.seconds

    def begin(self, call: Call) -> None:
        """Send a call. A process that is gone by now is found when it is looked at."""
        self.call, self._began = call, time.monotonic()
        self.uses += 1
        with suppress(BrokenPipeError, ConnectionError):
            self.connection.send((call.function, call.arguments, call.limits))

    def look(self) -> Outcome | None:
        """How the call ended, if it did; a process that is done with is marked so."""
        self.looked_at = time.monotonic()
        self.seconds = self.looked_at - self._began
        try:
            answer = self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            return self._gone()
        if answer == _READY:
            self.ready, answer = True, None
        if answer is None:
            if not self._process.is_alive() and not self.connection.poll():
                return self._gone()
            if time.monotonic() < self.deadline:
                return None
            answer = self._overdue()
        self.call = None
        # Memory that ran out once is not trusted again.
        self.ended = self.ended or answer.status == "out_of_memory"
        return answer

    def accounted(self, outcome: Outcome) -> Outcome:
        """The outcome, with all the time since the last one that was not the call's:
        ending the process before, starting this one, asking, and keeping results.
        """
        beside = max(self.looked_at - self._since - outcome.seconds, 0.0)
        self._since = self.looked_at
        return replace(outcome, harness_seconds=beside)

    def let_go(self) -> None:
        """Tell the process that there are no more calls: it ends by itself."""
        self.connection.close()

    def close(self) -> None:
        """End the process in good order, or else by force."""
        self.connection.close()
        self._process.join(2.0)
        self.kill()

    def kill(self) -> None:
        """End the process and everything that it has started."""
        if self._process.is_alive():
            _kill_tree(self._process.pid)
        self._process.join()
        self.connection.close()

    def _overdue(self) -> Outcome:
        assert self.call is not None
        limit = self.call.limits.seconds
        self.ended = True
        _kill_tree(self._process.pid)
        return Outcome("timeout", None, f"stopped after {limit:g} seconds", limit)

    def _gone(self) -> Outcome | None:
        call, self.call, self.ended = self.call, None, True
        self._process.join()
        code = self.exit_code
        if call is None:
            return None
        if code == WATCHDOG_EXIT:
            message = memory_message(call.limits)
            return Outcome("out_of_memory", None, message, self.seconds)
        if code in _FROM_OUTSIDE:
            return LOST
        reason = (
            f"was ended by signal {signal.Signals(-code).name}"
            if isinstance(code, int) and code < 0
            else f"exited with code {code}"
        )
        return Outcome("error", None, f"the cell's process {reason}", self.seconds)


def _wait(workers: list[_Worker]) -> None:
    """Until a process answers or ends, or the first of them runs out of time."""
    left = min(worker.deadline for worker in workers) - time.monotonic()
    handles = [handle for w in workers for handle in (w.connection, w.sentinel)]
    connection.wait(handles, None if left == float("inf") else max(left, 0.0))


@lru_cache(maxsize=1)
def _warm_server(threads: int) -> None:
    """Start the server that processes are forked from, and wait until it has loaded.

    That takes seconds, once in a sweep: the first cell would have them beside it.
    """
    context = _context()
    if context.get_start_method() != "forkserver":
        return
    first = context.Process(target=_begin)  # type: ignore[attr-defined]
    with _starting, one_thread(threads), _main_hidden(), suppress(EOFError, OSError):
        # What cannot be started is said by the first process that is needed.
        first.start()
        first.join()


def _begin() -> None:
    """Nothing: the server is there by now."""


def start_method() -> str:
    """How processes for cells are started on this machine."""
    return _context().get_start_method()


def _context() -> multiprocessing.context.BaseContext:
    # Forking after Apple's frameworks are loaded is not safe, and not all can fork.
    if sys.platform == "linux" and (
        "forkserver" in multiprocessing.get_all_start_methods()
    ):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["diffkit.measure.preload"])
        return context
    return multiprocessing.get_context("spawn")


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Processes started inside the block do not run the main script again.

    It would be imported in each of them, for tenths of a second and for nothing: what
    they call is never in it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(pipe: connection.Connection, threads: int, guard: Guard) -> None:
    """In the process: answer calls until there are no more."""
    # Ctrl-C is for the sweep, which ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    pools = thread_pools()
    pools.limit(limits=threads)
    found = max((pool["num_threads"] for pool in pools.info()), default=threads)
    pipe.send(_READY)
    while True:
        try:
            function, arguments, limits = pipe.recv()
        except EOFError:
            return
        except Exception as error:  # what was sent cannot be loaded here
            text = f"{type(error).__name__}: {error}"
            pipe.send(Outcome("error", message=text, threads=found))
            continue
        outcome = guarded(function, arguments, limits, guard, found)
        try:
            pipe.send(outcome)
        except Exception as error:  # a value that cannot be pickled
            text = f"its result cannot be sent: {type(error).__name__}: {error}"
            pipe.send(replace(outcome, status="error", value=None, message=text))


@lru_cache(maxsize=1)
def thread_pools() -> ThreadpoolController:
    """The pools of the libraries that are loaded: looked for once, before forking."""
    return ThreadpoolController()


def _end_with_parent() -> None:
    """A sweep that is killed with -9 leaves no process behind that still computes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _kill_tree(os.getpid())


def _kill_tree(pid: int | None) -> None:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for child in (*process.children(recursive=True), process):
            with suppress(psutil.Error):
                child.kill()
