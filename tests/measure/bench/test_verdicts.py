"""Verdicts from intervals: planted slowdowns are caught, unchanged code never."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.errors import UnknownNameError, UserInputError
from diffkit.measure.bench import Measured, Record, Side, judge, merged


def record(rng, slowdown=1.0, noise=0.1, drift=0.0, benchmarks=6, rounds=30):
    """Samples of a machine with noise of its own and a drift that meets both sides."""
    found = {}
    for number in range(benchmarks):
        speed = 10.0 ** rng.uniform(-6, -3)
        load = 1 + drift * np.linspace(0, 1, rounds)
        sides = {"base": 1.0, "head": slowdown}

        def times(scale, load=load):
            # Noise that only ever adds, as a busy machine's does.
            return list(scale * load * (1 + rng.exponential(noise, rounds)))

        found[f"task {number}"] = Measured(
            f"group {number % 2}",
            {side: times(speed * factor) for side, factor in sides.items()},
            {side: times(1e-5) for side in sides},
        )
    sides = {name: Side(name, "c" * 12) for name in ("base", "head")}
    return Record("a machine", "f", "v", sides, found)


@pytest.mark.parametrize("seed", range(5))
def test_a_slowdown_of_forty_per_cent_is_caught(seed):
    judged = judge(record(np.random.default_rng(seed), slowdown=1.4), 0.25)
    assert {ratio.verdict for ratio in judged.groups} == {"slower"}
    assert all(r.ratio == pytest.approx(1.4, rel=0.15) for r in judged.benchmarks)


def test_thirty_runs_of_unchanged_code_raise_no_alarm():
    for seed in range(30):
        rng = np.random.default_rng(1000 + seed)
        judged = judge(record(rng, noise=0.3, drift=0.5), 0.25)
        assert judged.slower == ()


def test_one_slow_benchmark_in_a_fast_group_is_caught():
    rng = np.random.default_rng(3)
    whole = record(rng)
    for kept in (whole.benchmarks["task 0"].samples["head"],):
        kept[:] = [1.6 * sample for sample in kept]
    slower = [ratio.name for ratio in judge(whole, 0.25).slower]
    assert slower == ["task 0"]


def test_noise_makes_the_verdict_careful_and_not_frequent():
    judged = judge(record(np.random.default_rng(4), slowdown=1.3, noise=2.0), 0.25)
    assert {ratio.verdict for ratio in judged.benchmarks} <= {"unsure", "same"}


def test_a_faster_head_is_said_to_be_faster():
    judged = judge(record(np.random.default_rng(5), slowdown=0.5), 0.25)
    assert {ratio.verdict for ratio in judged.groups} == {"faster"}
    assert judged.slower == ()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2.0), st.floats(1e-7, 1e-1))
def test_the_ruler_takes_the_machine_out(seed, factor, scale):
    """A head measured while everything was slower by a factor is judged the same."""
    rng = np.random.default_rng(seed)
    base = list(scale * rng.uniform(1, 1.1, 20))
    measured = Measured(
        "g",
        {"base": base, "head": [factor * s for s in base]},
        {"base": [1.0] * 20, "head": [factor] * 20},
    )
    sides = {name: Side(name, "c") for name in ("base", "head")}
    (ratio,) = judge(Record("m", "f", "v", sides, {"b": measured}), 0.25).benchmarks
    assert ratio.ratio == pytest.approx(1.0)
    assert ratio.verdict == "same"


def test_limits_by_group_and_what_is_no_limit():
    whole = record(np.random.default_rng(6), slowdown=1.4)
    judged = judge(whole, 0.25, {"group 1": 0.8})
    by_name = {ratio.name: ratio.verdict for ratio in judged.groups}
    assert by_name == {"group 0": "slower", "group 1": "same"}
    with pytest.raises(UnknownNameError, match="group 0"):
        judge(whole, 0.25, {"grop 0": 0.5})
    for wrong in (0.0, -0.2, math.nan):
        with pytest.raises(UserInputError, match="above 0 %"):
            judge(whole, wrong)


def test_a_benchmark_that_one_side_lacks_is_said_and_judged_by_nobody():
    whole = record(np.random.default_rng(7), benchmarks=2)
    whole.benchmarks["task 1"].samples.pop("base")
    whole.benchmarks["task 1"].errors["base"] = "KeyError: 'task 1'"
    judged = judge(whole, 0.25)
    last = judged.benchmarks[-1]
    assert (last.verdict, last.reason) == ("only one side", "KeyError: 'task 1'")
    assert [ratio.name for ratio in judged.groups] == ["group 0"]


def test_records_of_two_machines_are_not_compared():
    one = record(np.random.default_rng(8))
    alone = Record(
        "a machine", "f", "v", {"head": one.sides["head"]}, dict(one.benchmarks)
    )
    other = Record("another", "g", "v", alone.sides, alone.benchmarks)
    with pytest.raises(UserInputError, match="different machines"):
        merged(alone, other)
    with pytest.raises(UserInputError, match="which have one"):
        merged(one, alone)
