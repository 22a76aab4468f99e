"""A limit on the time and memory of a call, and the ways in which a call may end.

A symbolic derivative that explodes cannot be stopped from inside: SymPy does not look
up while it works. So a cell runs in another process (`diffkit.measure.processes`), and
stopping it is ending the process. On Linux memory is limited by the kernel
(``RLIMIT_AS``, counted from what the process had mapped when the cell began);
elsewhere a thread watches the resident size and ends the process. However a cell ends,
the result says how: nothing is raised.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from diffkit.errors import (
    ArenaTooLargeError,
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
    """How a limited call ended: a status of `STATUSES`, and its value when ok.

    ``threads`` is what the largest pool of the process was found set to.
    ``harness_seconds`` is what starting, asking and ending the process took beside the
    call, where that is known.
    """

    status: str
    value: Any = None
    message: str = ""
    seconds: float = 0.0
    threads: int = 0
    harness_seconds: float | None = None


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


def guarded(
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
        value = call(*arguments)
    except (ExpressionBudgetError, ArenaTooLargeError) as error:
        status, message = "too_large", str(error)
    except MemoryError:
        status, message = "out_of_memory", memory_message(limits)
    except (MissingDependencyError, LackingOperationError) as error:
        status, message = "unavailable", str(error)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        where = f" ({os.path.basename(last.filename)}:{last.lineno})" if last else ""
        status, message = "error", f"{type(error).__name__}: {error}{where}"
    seconds = time.perf_counter() - start
    lift()  # the answer has to be written, also by a process that is full
    return Outcome(status, value, message, seconds, threads)


def memory_message(limits: Limits) -> str:
    """Why a call that needed too much memory was stopped."""
    return f"stopped at {limits.bytes / 2**20:,.0f} MiB more than it began with"


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
