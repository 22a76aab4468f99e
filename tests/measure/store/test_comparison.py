"""Two runs side by side: counts exactly, times with intervals, machines apart."""

import math
import random
from dataclasses import replace
from statistics import median

import pytest

from diffkit.measure.rows import CELL_METRIC, case
from diffkit.measure.store.comparison import (
    TimeRatio,
    bootstrap_ratio,
    compare_rows,
)
from diffkit.report.table import from_csv, to_csv


def rows(factor=1.0, operations=10**98, machine="m", depths=(1, 2), noise_seed=0):
    rng = random.Random(noise_seed)
    found = []
    for depth in depths:
        one = case("cost", "autodiff", runtime="engine", depth=depth, note=None)
        samples = [factor * rng.uniform(0.9, 1.1) for _ in range(15)]
        found += [
            one.row("tree_operations", operations + depth),
            one.row("gradient_seconds", median(samples), samples=samples),
            one.row("relative_error", 1e-16),
            one.row(CELL_METRIC, factor),
        ]
    return [row.stamped(machine=machine, commit="c", threads=1) for row in found]


def test_a_run_is_equal_to_itself():
    found = compare_rows(rows(), rows())
    assert (found.cells, found.equal_counts) == (2, 2)
    assert (found.counts, found.figures, found.ended) == ((), (), ())
    assert (found.only_before, found.only_after) == ((), ())
    assert [time.ratio for time in found.times] == [1.0, 1.0]
    assert [time.verdict for time in found.times] == ["", ""]


def test_one_more_operation_in_a_hundred_digits_is_seen():
    found = compare_rows(rows(), rows(operations=10**98 + 1))
    assert [item.after - item.before for item in found.counts] == [1, 1]
    assert found.counts[0].cell == "cost autodiff engine depth=1"
    assert found.counts[0].metric == "tree_operations"


@pytest.mark.parametrize(
    "factor, verdict", [(1.4, "slower"), (1 / 1.4, "faster"), (1.005, "")]
)
def test_a_verdict_needs_an_interval_without_one(factor, verdict):
    found = compare_rows(rows(), rows(factor, noise_seed=1))
    for time in found.times:
        assert time.verdict == verdict
        assert time.low <= time.ratio <= time.high
        assert time.ratio == pytest.approx(factor, rel=0.1)
    assert found.counts == ()


def test_the_interval_covers_the_true_ratio_as_often_as_it_says():
    """A coverage experiment: 99 % of the intervals hold the ratio, here of 100."""
    rng = random.Random(3)
    hit = 0
    for trial in range(100):
        a = [rng.lognormvariate(0.0, 0.2) for _ in range(15)]
        b = [2 * rng.lognormvariate(0.0, 0.2) for _ in range(15)]
        low, high = bootstrap_ratio(a, b, seed=trial)
        hit += low <= 2 <= high
    assert 94 <= hit <= 100


def test_few_samples_give_a_ratio_and_no_verdict():
    low, high = bootstrap_ratio([1.0] * 4, [9.0] * 15)
    assert math.isnan(low)
    assert math.isnan(high)
    assert TimeRatio("c", "m", 9.0, low, high).verdict == ""


def test_a_time_without_samples_gives_a_ratio_and_no_verdict():
    one = case("cost", "null").row("prepare_seconds", 1.0)
    (time,) = compare_rows([one], [replace(one, value=3.0)]).times
    assert (time.ratio, time.verdict) == (3.0, "")


def test_times_of_two_machines_are_not_compared_and_counts_are():
    found = compare_rows(rows(), rows(operations=5, machine="another"))
    assert found.times is None
    assert len(found.counts) == 2
    assert found.machines == (("m",), ("another",))


def test_cells_that_one_side_lacks_are_listed():
    found = compare_rows(rows(depths=(1, 2)), rows(depths=(2, 3)))
    assert found.cells == 1
    assert found.only_before == ("cost autodiff engine depth=1",)
    assert found.only_after == ("cost autodiff engine depth=3",)


def test_a_cell_that_was_stopped_on_one_side_is_listed_with_both_ends():
    before = case("cost", "null", depth=1)
    found = compare_rows(
        [before.row("work_seconds", 1.0), before.row(CELL_METRIC, 1.0)],
        [before.row(CELL_METRIC, 60.0, status="timeout")],
    )
    name = "cost null none depth=1"
    assert found.ended == (
        (name, "work_seconds", "ok", "not measured"),
        (name, CELL_METRIC, "ok", "timeout"),
    )


def test_other_figures_that_differ_are_apart_from_counts():
    other = [
        replace(row, value=2e-16) if row.metric == "relative_error" else row
        for row in rows()
    ]
    found = compare_rows(rows(), other)
    assert found.counts == ()
    assert [item.after for item in found.figures] == [2e-16, 2e-16]


def test_a_metric_that_a_case_has_twice_is_compared_turn_by_turn():
    one = case("cost", "null")
    before = [one.row("n_count", 1), one.row("n_count", 2)]
    after = [one.row("n_count", 1), one.row("n_count", 3)]
    found = compare_rows(before, after)
    assert found.equal_counts == 1
    assert [(item.before, item.after) for item in found.counts] == [(2, 3)]


def test_rows_from_a_csv_file_match_those_of_a_store():
    found = compare_rows(rows(), from_csv(to_csv(rows())))
    assert (found.cells, found.equal_counts, found.counts) == (2, 2, ())
