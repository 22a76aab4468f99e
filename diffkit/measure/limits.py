"""Run a call in a process of its own, with a limit on its time and on its memory.

A symbolic derivative that explodes cannot be stopped from inside: SymPy does not look
up while it works. So a cell is a process, and ending it is ending the process. On
Linux memory is limited by the kernel (``RLIMIT_AS``, counted from what the process had
mapped when the cell began); elsewhere a thread watches the resident size and ends the
process. However a cell ends, the result says how: nothing is raised.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

import psutil
from pebble import ProcessExpired, ProcessPool
from threadpoolctl import threadpool_limits

from diffkit.errors import (
    ExpressionBudgetError,
    LackingOperationError,
    MissingDependencyError,
)

if sys.platform != "win32":
    import resource

STATUSES = ("ok", "timeout", "out_of_memory", "too_large", "error", "unavailable")

Guard = Literal["address_space", "watchdog"]
#: Exit code with which the watchdog ends a process that grew too large.
WATCHDOG_EXIT = 86
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a cell may run, and how many bytes it may add to its process."""

    seconds: float = 60.0
    bytes: int = 2 << 30

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.bytes <= 0:
            raise ValueError(
                f"Limits have to be positive: {self.seconds} seconds and "
                f"{self.bytes} bytes were given."
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a limited call ended: a status of `STATUSES`, and its value when ok."""

    status: str
    value: Any = None
    message: str = ""
    seconds: float = 0.0


def default_guard() -> Guard:
    """The kernel's limit where the kernel keeps it, the watchdog elsewhere."""
    return "address_space" if sys.platform == "linux" else "watchdog"


@contextmanager
def one_thread(count: int = 1) -> Iterator[None]:
    """Child processes started inside the block use ``count`` threads in every pool."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class LimitedRunner:
    """Runs calls one after the other, each in a fresh process under limits.

    Use as a context manager. A process never inherits what this one has done: on Linux
    it is forked from a server that has loaded the packages and nothing else
    (`diffkit.measure.preload`), elsewhere it is spawned.
    """

    def __init__(self, *, threads: int = 1, guard: Guard | None = None) -> None:
        self._threads = threads
        self._guard: Guard = guard or default_guard()
        self._environment = one_thread(threads)
        self._pool: ProcessPool | None = None

    def __enter__(self) -> Self:
        self._environment.__enter__()
        self._pool = ProcessPool(
            max_workers=1,
            max_tasks=1,
            initializer=_prepare_worker,
            context=_context(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None
        self._environment.__exit__(None, None, None)

    def run(self, call: Callable[..., Any], *arguments: Any, limits: Limits) -> Outcome:
        """Call ``call(*arguments)`` (all picklable) in a process of its own."""
        if self._pool is None:
            raise RuntimeError("A LimitedRunner is used inside its 'with' block.")
        start = time.perf_counter()
        future = self._pool.schedule(
            _guarded,
            args=[call, arguments, limits, self._guard, self._threads],
            timeout=limits.seconds,
        )
        try:
            outcome: Outcome = future.result()
        except FutureTimeoutError:
            return Outcome(
                "timeout",
                message=f"stopped after {limits.seconds:g} seconds",
                seconds=limits.seconds,
            )
        except ProcessExpired as expired:
            seconds = time.perf_counter() - start
            return _expired(expired, limits, seconds)
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


def _context() -> multiprocessing.context.BaseContext:
    if sys.platform != "linux":
        # Forking after Apple's frameworks are loaded is not safe.
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["diffkit.measure.preload"])
    return context


def _prepare_worker() -> None:
    # Ctrl-C is for the sweep, which ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _guarded(
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    limits: Limits,
    guard: Guard,
    threads: int,
) -> Outcome:
    """In the worker: the call, with every way to fail turned into an `Outcome`."""
    start = time.perf_counter()
    lift = _limit_memory(limits.bytes, guard)
    status, value, message = "ok", None, ""
    try:
        with threadpool_limits(threads):
            value = call(*arguments)
    except MemoryError:
        status, message = "out_of_memory", _memory_message(limits)
    except ExpressionBudgetError as error:
        status, message = "too_large", str(error)
    except (MissingDependencyError, LackingOperationError) as error:
        status, message = "unavailable", str(error)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        where = f" ({os.path.basename(last.filename)}:{last.lineno})" if last else ""
        status, message = "error", f"{type(error).__name__}: {error}{where}"
    seconds = time.perf_counter() - start
    lift()  # the answer has to be written, also by a process that is full
    return Outcome(status, value, message, seconds)


def _limit_memory(allowed_bytes: int, guard: Guard) -> Callable[[], None]:
    """Limit this process to ``allowed_bytes`` more; returns what lifts the limit."""
    process = psutil.Process()
    if guard == "address_space":
        before = resource.getrlimit(resource.RLIMIT_AS)
        soft = process.memory_info().vms + allowed_bytes
        if before[1] != resource.RLIM_INFINITY:
            soft = min(soft, before[1])
        resource.setrlimit(resource.RLIMIT_AS, (soft, before[1]))
        return lambda: resource.setrlimit(resource.RLIMIT_AS, before)
    ceiling = process.memory_info().rss + allowed_bytes
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            if process.memory_info().rss > ceiling:
                os._exit(WATCHDOG_EXIT)

    threading.Thread(target=watch, daemon=True).start()
    return done.set


def _expired(expired: ProcessExpired, limits: Limits, seconds: float) -> Outcome:
    code = expired.exitcode
    if code in (WATCHDOG_EXIT, -signal.SIGKILL):
        # SIGKILL comes from the kernel when the whole machine ran out first.
        return Outcome("out_of_memory", None, _memory_message(limits), seconds)
    reason = (
        f"was ended by signal {signal.Signals(-code).name}"
        if isinstance(code, int) and code < 0
        else f"exited with code {code}"
    )
    return Outcome("error", None, f"the cell's process {reason}", seconds)


def _memory_message(limits: Limits) -> str:
    return f"stopped at {limits.bytes / 2**20:,.0f} MiB more than it began with"
