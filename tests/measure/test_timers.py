"""Timers against a clock that we wind ourselves."""

import gc

import pytest

from diffkit.measure.timers import (
    Timing,
    collector_off,
    interleaved,
    ratio,
    time_call,
    time_once,
)


class Clock:
    """A clock that moves only when a call under test says so."""

    def __init__(self):
        self.nanoseconds = 0

    def __call__(self):
        return self.nanoseconds

    def work(self, nanoseconds):
        def call():
            self.nanoseconds += nanoseconds

        return call


def test_a_short_call_is_repeated_until_a_sample_can_be_read():
    clock = Clock()
    timing = time_call(clock.work(1_000), clock=clock, sample_seconds=1e-3, samples=5)
    assert timing.repetitions == 1024  # the first power of two ≥ 1 ms / 1 µs
    assert timing.samples == pytest.approx((1e-6,) * 5, rel=1e-12)


def test_a_long_call_is_not_repeated():
    clock = Clock()
    timing = time_call(clock.work(10**9), clock=clock, samples=3, budget_seconds=60)
    assert timing.repetitions == 1
    assert timing.median_seconds == pytest.approx(1.0)


def test_calls_are_timed_in_turn_and_order_is_reversed_each_round():
    clock, seen = Clock(), []

    def make(name):
        def call():
            seen.append(name)
            clock.nanoseconds += 2_000_000

        return call

    interleaved({"a": make("a"), "b": make("b")}, samples=4, clock=clock)
    assert "".join(seen[-8:]) == "abbaabba"


def test_the_budget_ends_a_long_measurement_after_three_rounds():
    clock = Clock()
    timing = time_call(clock.work(10**9), clock=clock, samples=50, budget_seconds=2.5)
    assert len(timing.samples) == 3


def test_a_call_beyond_twice_the_budget_is_sampled_once():
    clock = Clock()
    timing = time_call(clock.work(10**10), clock=clock, samples=50, budget_seconds=2)
    assert len(timing.samples) == 1
    assert timing.quartiles_seconds == (timing.median_seconds,) * 2


def test_ratio_is_taken_round_by_round_so_that_drift_cancels():
    clock = Clock()
    speed = {"now": 1_000_000}

    def primal():
        clock.nanoseconds += speed["now"]

    def gradient():
        clock.nanoseconds += 3 * speed["now"]
        speed["now"] += 100_000  # the machine gets slower and slower

    timings = interleaved(
        {"primal": primal, "gradient": gradient},
        samples=9,
        sample_seconds=1e-9,
        clock=clock,
    )
    spread = ratio(timings["gradient"], timings["primal"])
    assert 2.8 < spread.median_seconds < 3.2
    assert timings["gradient"].iqr_seconds > 0.3e-3


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_off_while_timing_and_afterwards_as_before(was_on):
    states = []
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        time_once(lambda: states.append(gc.isenabled()))
        assert gc.isenabled() is was_on
        with pytest.raises(ZeroDivisionError), collector_off():
            _ = 1 / 0
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()
    assert states == [False]


def test_median_and_quartiles_are_those_of_the_raw_samples():
    timing = Timing((5.0, 1.0, 4.0, 2.0, 3.0), 1)
    assert timing.median_seconds == 3.0
    assert timing.quartiles_seconds == (2.0, 4.0)
    assert timing.iqr_seconds == 2.0


def test_no_samples_is_a_mistake_and_says_so():
    with pytest.raises(ValueError, match="at least 1, and 0 was given"):
        time_call(lambda: None, samples=0)
