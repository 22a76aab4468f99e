"""Conformance: one prepared program, called by two threads at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from time import perf_counter, sleep
from types import FrameType
from typing import Any

from diffkit.backends import Backend
from diffkit.testing.cases import LAYER, broken, copies, prepared, same

# Both threads at full speed: what runs without the GIL overlaps.
SECONDS_TOGETHER = 0.1
# One thread stops at this many lines of a call, in each of so many calls.
STOPS, STOPPED_CALLS = 150, 3
LONGEST_STOP = 2e-3


def two_threads(backend: Backend) -> None:
    """Two threads at different points get what each gets alone.

    First both at full speed. Then one is made to stop at line after line of Python
    while the other calls without pause, so that whatever a call leaves lying about
    between two lines is written over.
    """
    program = prepared(LAYER, backend)
    points = [LAYER.args, LAYER.elsewhere]
    alone = [copies(program(*point)) for point in points]

    def right(which: int) -> bool:
        return same(program(*points[which]), alone[which])

    if not (_together(right) and _one_in_slow_motion(right)):
        raise broken(backend, "two threads that call it at once disturb each other.")


def _together(right: Callable[[int], bool]) -> bool:
    gate = Barrier(2)

    def work(which: int) -> bool:
        gate.wait()
        end = perf_counter() + SECONDS_TOGETHER
        good = right(which)
        while good and perf_counter() < end:
            good = right(which)
        return good

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            return all(pool.map(work, range(2)))
    finally:
        sys.setswitchinterval(interval)


def _one_in_slow_motion(right: Callable[[int], bool]) -> bool:
    done = Event()

    def hurried() -> bool:
        good = True
        while good and not done.is_set():
            good = right(1)
        return good

    def slow() -> bool:
        try:
            start = perf_counter()
            lines = _Stops(every=sys.maxsize, first=0, seconds=0.0)
            good = lines.during(right)
            # Long enough for a whole call of the other thread.
            pause = min(max(perf_counter() - start, 1e-4), LONGEST_STOP)
            every = max(lines.count // STOPS, 1)
            for call in range(STOPPED_CALLS):
                first = call * every // STOPPED_CALLS
                good = good and _Stops(every, first, pause).during(right)
            return good
        finally:
            done.set()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(hurried), pool.submit(slow)]
        return all(future.result() for future in both)


class _Stops:
    """A trace function that pauses its thread at every so many lines of Python."""

    def __init__(self, every: int, first: int, seconds: float) -> None:
        self.every, self.first, self.seconds = every, first, seconds
        self.count = 0

    def during(self, right: Callable[[int], bool]) -> bool:
        """One call, with stops, in this thread."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return right(0)
        finally:
            sys.settrace(before)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.seconds and self.count % self.every == self.first:
                sleep(self.seconds)
        return self
