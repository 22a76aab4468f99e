"""Libraries beside each other: threads as asked, results checked, calls complete."""

import os
from typing import Any

import numpy as np
import optree
import pytest
from threadpoolctl import threadpool_info

from diffkit import measure
from diffkit.errors import ExperimentError, UserInputError
from diffkit.measure import beside
from diffkit.measure.beside import ENGINE, FLOORS, NESTED, PRIMAL

SMALL = measure.Network((3, 5, 2), batch=4)
OWN = {NESTED: beside.Library("diffkit", "autodiff", runtime="engine")}
NUMPY = beside.Library("plain", "autodiff", {"runtime": "numpy"})


def line_up(dtype: str = "float64", **more: beside.Library) -> beside.LineUp:
    return beside.LineUp(beside.Setting(SMALL, dtype), {**OWN, **more})


def blas_threads() -> set[int]:
    return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_one_thread_is_one_core_and_everything_is_put_back() -> None:
    cores, flags = os.sched_getaffinity(0), os.environ.get("XLA_FLAGS")
    before = blas_threads()
    with beside.threads_set(1):
        assert len(os.sched_getaffinity(0)) == 1
        assert blas_threads() == {1}
        for more in (0, 2):
            refused = pytest.raises(UserInputError, match=f"{more} threads were asked")
            with refused, beside.threads_set(more):
                pass
    assert os.sched_getaffinity(0) == cores
    assert os.environ.get("XLA_FLAGS") == flags
    assert blas_threads() == before


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_call_gives_the_gradient_that_was_checked(dtype: str) -> None:
    found = line_up(dtype, plain=NUMPY)
    unit = float(np.finfo(dtype).eps)
    errors = found.check({NESTED: 8 * unit, "plain": 8 * unit})
    assert {NESTED, "plain"} <= set(errors)
    assert 0 < max(errors.values()) <= 8 * unit
    value, gradient = found.calls()[NESTED]()
    assert optree.tree_structure(gradient) == optree.tree_structure(
        found.problem.arguments[0]
    )
    _, leaves, _ = found.bare()[ENGINE]()
    for mine, nested in zip(leaves, optree.tree_leaves(gradient), strict=True):
        np.testing.assert_array_equal(mine, nested)
        assert mine.dtype == dtype
    assert found.bare()[PRIMAL]() == pytest.approx(value, rel=8 * unit)
    assert set(found.bare()) == {ENGINE, PRIMAL, *FLOORS}


def test_a_wide_reference_agrees_with_a_proved_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proved = line_up()
    assert proved.truth.bits >= 256
    monkeypatch.setattr(beside, "PROVED_OPERATIONS", 0)
    wide = line_up()
    leaves = [np.asarray(g) for g in proved.diffkit.compiled(proved.leaves)[1]]
    assert wide.truth.bits == np.finfo(np.longdouble).nmant + 1
    assert wide.truth.errors(leaves) == pytest.approx(
        proved.truth.errors(leaves), abs=1e-18
    )
    leaves[0] = leaves[0] + 1.0
    assert wide.truth.errors(leaves) == pytest.approx(
        proved.truth.errors(leaves), rel=1e-9
    )


def test_a_result_that_is_off_is_not_timed() -> None:
    found = line_up(plain=NUMPY)
    with pytest.raises(ExperimentError, match=r"plain is off by .* was not timed"):
        found.check({NESTED: 1e-11, "plain": -1.0})


def test_half_the_bytes_in_half_the_precision() -> None:
    assert line_up("float64").moved_bytes == 2 * line_up("float32").moved_bytes > 0


def test_slow_ways_are_timed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found = line_up()
    monkeypatch.setattr(beside, "SLOW_SECONDS", 1e-3)
    calls: dict[str, Any] = {
        NESTED: lambda: None,
        "fast": lambda: None,
        "slow": lambda: sum(range(100_000)),
    }
    timed = found.time(calls, samples=9, budget_seconds=10.0)
    assert set(timed) == set(calls)
    assert timed["fast"][1] is timed[NESTED][0]
    assert timed["slow"][1] is not timed[NESTED][0]
    assert len(timed["fast"][0].samples) == 9
    assert len(timed["slow"][0].samples) == beside.SLOW_SAMPLES


def test_threads_are_told_to_backends_that_have_them() -> None:
    backend: Any = beside.Library("x", "finite_differences").make(2)
    assert backend.threads == 2
    plain: Any = beside.Library("x", "null").make(2)
    assert not hasattr(plain, "threads")
