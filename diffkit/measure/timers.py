"""Seconds of a call: calibrated, repeated, every sample kept.

A clock has a resolution and a call has a cost of its own, so a short call is repeated
inside one sample until the sample is long enough to be read; the garbage collector is
off while a sample runs. Nothing is averaged away: the raw samples travel with the
result, and the summary is the median, which a few disturbed samples do not move.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Timing:
    """Samples of one call: seconds per call, each a mean over ``repetitions`` calls.

    >>> timing = Timing(samples=(4.0, 1.0, 2.0, 3.0, 100.0), repetitions=10)
    >>> timing.median_seconds, timing.quartiles_seconds
    (3.0, (2.0, 4.0))
    """

    samples: tuple[float, ...]
    repetitions: int

    @property
    def median_seconds(self) -> float:
        """The middle sample."""
        return median(self.samples)

    @property
    def quartiles_seconds(self) -> tuple[float, float]:
        """First and third quartile; both are the sample when there is one only."""
        if len(self.samples) == 1:
            return self.median_seconds, self.median_seconds
        first, _, third = quantiles(self.samples, n=4, method="inclusive")
        return first, third

    @property
    def iqr_seconds(self) -> float:
        """Third quartile less the first."""
        first, third = self.quartiles_seconds
        return third - first


@contextmanager
def collector_off() -> Iterator[None]:
    """Garbage collection off inside the block, and afterwards as it was before.

    >>> with collector_off():
    ...     gc.isenabled()
    False
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def time_once(call: Callable[[], object], clock: Clock = time.perf_counter_ns) -> float:
    """Seconds of one single call, for work that can be done only once."""
    with collector_off():
        start = clock()
        call()
        return (clock() - start) * 1e-9


def time_call(
    call: Callable[[], object],
    *,
    samples: int = 15,
    sample_seconds: float = 1e-3,
    budget_seconds: float = 2.0,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time one call: `interleaved` with nothing beside it."""
    return interleaved(
        {"": call},
        samples=samples,
        sample_seconds=sample_seconds,
        budget_seconds=budget_seconds,
        clock=clock,
    )[""]


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    samples: int = 15,
    sample_seconds: float = 1e-3,
    budget_seconds: float = 2.0,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Time several calls in turn, so that a drift of the machine meets all of them.

    Each call is repeated inside a sample until a sample lasts ``sample_seconds``
    (calibrated by doubling, which also warms up). Round after round takes one sample
    of every call, the order reversed each time, until ``samples`` rounds are done or
    ``budget_seconds`` are spent; at least three rounds are always taken, unless one
    alone exceeds the budget. The ratio of two calls is best read round by round: see
    `ratio`.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, and {samples} was given.")
    start = clock()
    with collector_off():
        repetitions = {
            name: _calibrate(call, sample_seconds, clock)
            for name, call in calls.items()
        }
        taken: dict[str, list[float]] = {name: [] for name in calls}
        order = list(calls)
        for round_ in range(samples):
            spent = (clock() - start) * 1e-9
            if (
                round_
                and spent > budget_seconds
                and (round_ >= 3 or spent > 2 * budget_seconds)
            ):
                break
            for name in order:
                taken[name].append(_sample(calls[name], repetitions[name], clock))
            order.reverse()
            gc.collect(0)
    return {name: Timing(tuple(taken[name]), repetitions[name]) for name in calls}


def ratio(over: Timing, under: Timing) -> Timing:
    """Sample-by-sample ratio of two interleaved timings.

    >>> slow, fast = Timing((2.0, 4.0, 6.0), 1), Timing((1.0, 2.0, 2.0), 1)
    >>> ratio(slow, fast).samples
    (2.0, 2.0, 3.0)
    """
    return Timing(
        tuple(a / b for a, b in zip(over.samples, under.samples, strict=True)),
        over.repetitions,
    )


def _calibrate(call: Callable[[], object], seconds: float, clock: Clock) -> int:
    """How many calls make a sample of at least ``seconds``: a power of two."""
    count = 1
    # The first call may load or allocate; it is never what decides.
    if _sample(call, 1, clock) >= 10 * seconds:
        return 1
    while _sample(call, count, clock) * count < seconds and count < 1 << 24:
        count *= 2
    return count


def _sample(call: Callable[[], object], count: int, clock: Clock) -> float:
    counter = range(count)
    start = clock()
    for _ in counter:
        call()
    return (clock() - start) * 1e-9 / count
