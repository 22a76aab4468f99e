"""Seconds of a call: calibrated, repeated, every sample kept.

A clock has a resolution and a call has a cost of its own, so a short call is repeated
inside one sample until the sample is long enough to be read; the garbage collector is
off while a sample runs. Nothing is averaged away: the raw samples travel with the
result, and the summary is the median, which a few disturbed samples do not move, with
a bootstrap interval. A clock that stands still or jumps gives samples that cannot be
true: they are discarded, and the result says how many were.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles

from diffkit.errors import ClockError
from diffkit.measure.bootstrap import bootstrap_interval

Clock = Callable[[], int]
#: A sample this many times the median of its call, and this long, is a clock's jump.
ABSURD_RATIO, ABSURD_SECONDS = 1_000, 10.0
#: Calls during which any clock that runs has moved.
STANDSTILL = 1 << 16


@dataclass(frozen=True, slots=True)
class Timing:
    """Samples of one call: seconds per call, each a mean over ``repetitions`` calls.

    ``discarded`` counts samples that were left out because of the clock.

    >>> timing = Timing(samples=(4.0, 1.0, 2.0, 3.0, 100.0), repetitions=10)
    >>> timing.median_seconds, timing.quartiles_seconds
    (3.0, (2.0, 4.0))
    >>> timing.interval_seconds
    (1.0, 100.0)
    """

    samples: tuple[float, ...]
    repetitions: int
    discarded: int = 0

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
    def interval_seconds(self) -> tuple[float, float]:
        """The 95 % interval of the median: see `bootstrap_interval`."""
        return bootstrap_interval(self.samples)

    @property
    def note(self) -> str:
        """What a row has to say about the samples; empty when all were kept."""
        if not self.discarded:
            return ""
        return f"{self.discarded} samples discarded: the clock stood still or jumped"

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
    """Seconds of one single call, for work that can be done only once.

    Raises `ClockError` when the clock says that it took no time.
    """
    with collector_off():
        start = clock()
        call()
        seconds = (clock() - start) * 1e-9
    if seconds <= 0:
        raise ClockError(f"A call took {seconds:g} s by the clock. {_CLOCK}")
    return seconds


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
    pause_seconds: float = 0.0,
) -> dict[str, Timing]:
    """Time several calls in turn, so that a drift of the machine meets all of them.

    Each call is repeated inside a sample until a sample lasts ``sample_seconds``
    (calibrated by doubling, which also warms up). Round after round takes one sample
    of every call, the order reversed each time, until ``samples`` rounds are done or
    ``budget_seconds`` are spent; at least three rounds are always taken, unless one
    alone exceeds the budget. The ratio of two calls is best read round by round: see
    `ratio`; a round in which the clock stood still or jumped is left out for all calls.
    With ``pause_seconds`` nothing runs for that long before each sample, and one call
    that is not timed wakes what sleeps: a library's threads spin for a while after its
    call, on the cores that the next library wants.

    Raises `ClockError` when no round is left.
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
                if pause_seconds:
                    time.sleep(pause_seconds)
                    calls[name]()
                taken[name].append(_sample(calls[name], repetitions[name], clock))
            order.reverse()
            gc.collect(0)
    kept = _believable(taken, repetitions)
    rounds = len(next(iter(taken.values()), ()))
    if calls and not kept:
        raise ClockError(f"None of {rounds} rounds of samples can be true. {_CLOCK}")
    return {
        name: Timing(
            tuple(taken[name][i] for i in kept), repetitions[name], rounds - len(kept)
        )
        for name in calls
    }


_CLOCK = (
    "The clock of this machine stands still or jumps; 'diffkit doctor' shows it. "
    "Measure again, or on another machine."
)


def _believable(
    taken: Mapping[str, Sequence[float]], repetitions: Mapping[str, int]
) -> list[int]:
    """Rounds in which every call took some time, and none took absurdly long."""
    good = {
        i
        for i in range(len(next(iter(taken.values()), ())))
        if all(samples[i] > 0 for samples in taken.values())
    }
    for name, samples in taken.items():
        if good:
            middle = median(samples[i] for i in good)
            good -= {
                i
                for i in good
                if samples[i] > ABSURD_RATIO * middle
                and samples[i] * repetitions[name] > ABSURD_SECONDS
            }
    return sorted(good)


def ratio(over: Timing, under: Timing) -> Timing:
    """Sample-by-sample ratio of two interleaved timings.

    >>> slow, fast = Timing((2.0, 4.0, 6.0), 1), Timing((1.0, 2.0, 2.0), 1)
    >>> ratio(slow, fast).samples
    (2.0, 2.0, 3.0)
    """
    return Timing(
        tuple(a / b for a, b in zip(over.samples, under.samples, strict=True)),
        over.repetitions,
        over.discarded,
    )


def _calibrate(call: Callable[[], object], seconds: float, clock: Clock) -> int:
    """How many calls make a sample of at least ``seconds``: a power of two."""
    count = 1
    # The first call may load or allocate; it is never what decides.
    if _sample(call, 1, clock) >= 10 * seconds:
        return 1
    while (taken := _sample(call, count, clock)) * count < seconds and count < 1 << 24:
        if taken <= 0 and count >= STANDSTILL:
            raise ClockError(f"{count} calls took no time by the clock. {_CLOCK}")
        count *= 2
    return count


def _sample(call: Callable[[], object], count: int, clock: Clock) -> float:
    counter = range(count)
    start = clock()
    for _ in counter:
        call()
    return (clock() - start) * 1e-9 / count
