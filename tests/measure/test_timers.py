"""Timers against a clock that we wind ourselves."""

import gc

import pytest

from diffkit.errors import ClockError
from diffkit.measure.rows import case
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


def test_samples_without_time_are_discarded_for_all_calls_and_said():
    clock = Clock()
    stuck = iter([False] * 6 + [True] + [False] * 99)

    def primal():
        clock.nanoseconds += 20_000_000

    def gradient():
        if not next(stuck):
            clock.nanoseconds += 40_000_000

    timings = interleaved({"g": gradient, "p": primal}, samples=9, clock=clock)
    assert {len(timing.samples) for timing in timings.values()} == {8}
    assert {timing.discarded for timing in timings.values()} == {1}
    assert "1 samples discarded: the clock" in timings["p"].note
    assert ratio(timings["g"], timings["p"]).samples == pytest.approx((2.0,) * 8)


@pytest.mark.parametrize("jump", [-(10**12), 10**13])
def test_a_clock_that_jumps_costs_one_sample(jump):
    clock = Clock()
    jumps = iter([0] * 5 + [jump] + [0] * 99)

    def call():
        clock.nanoseconds += 20_000_000 + next(jumps)

    timing = time_call(call, samples=9, budget_seconds=1e9, clock=clock)
    assert timing.discarded == 1
    assert timing.samples == pytest.approx((0.02,) * 8)


def test_a_clock_that_stands_still_is_an_error_that_says_so():
    with pytest.raises(ClockError, match="stands still or jumps"):
        time_call(lambda: None, clock=lambda: 7)
    with pytest.raises(ClockError, match="stands still or jumps"):
        time_once(lambda: None, clock=lambda: 7)


def test_a_row_of_a_timing_keeps_its_samples_and_its_note():
    about = case("e", "b").timing("work_seconds", Timing((1.0, 3.0, 2.0), 4, 5))
    assert (about.value, about.samples) == (2.0, (1.0, 3.0, 2.0))
    assert about.message.startswith("5 samples discarded")
    assert case("e", "b").timing("work_seconds", Timing((1.0,), 1)).message == ""


def test_with_a_pause_every_sample_begins_with_a_call_that_is_not_timed():
    clock = Clock()
    calls = {"a": 0, "b": 0}

    def make(name):
        def call():
            calls[name] += 1
            # The first call after the other's is slow: its threads have to be woken.
            clock.nanoseconds += 2_000_000 if make.last == name else 9_000_000
            make.last = name

        return call

    make.last = ""
    timings = interleaved(
        {"a": make("a"), "b": make("b")}, samples=4, clock=clock, pause_seconds=1e-6
    )
    for name in ("a", "b"):
        assert timings[name].samples == pytest.approx((2e-3,) * 4)
        # One or two to calibrate, then two in each of four rounds.
        assert calls[name] in (9, 10)
