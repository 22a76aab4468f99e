"""One operation over an array: what is timed, how errors are judged, what is said."""

from typing import Any

import numpy as np
import pytest

from diffkit import measure
from diffkit.backends.runtime import make_runner
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    cell,
    check_page,
    check_without,
    found,
    value,
)

FOUND = found("elementwise")
MODULE: Any = load_file(ROOT / "experiments" / "elementwise.py")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place in few elements, and few samples."""
    monkeypatch.setattr(MODULE, "PLACES", dict.fromkeys(MODULE.PLACES, 64))
    monkeypatch.setattr(MODULE, "BUDGET_SECONDS", 0.01)
    monkeypatch.setattr(MODULE, "LONG_SECONDS", 1e-5)


@pytest.mark.parametrize("op", MODULE.NUMPY)
@pytest.mark.parametrize("dtype", MODULE.DTYPES)
def test_the_engine_and_numpy_do_the_same(op: str, dtype: str) -> None:
    leaves = MODULE.points(op, 33, dtype)
    runner = make_runner(MODULE.program(op, 33), "engine", np.dtype(dtype))
    first, mine = runner(leaves)
    theirs = MODULE.NUMPY[op](*leaves)
    assert np.isfinite(theirs).all()
    assert mine.dtype == theirs.dtype == dtype
    np.testing.assert_allclose(mine, theirs, rtol=8 * np.finfo(dtype).eps)
    assert first == mine[0]
    again = MODULE.repeated(op, leaves, dtype)(5)
    np.testing.assert_array_equal(again, np.full(5, mine[0], float))


@pytest.mark.usefixtures("small")
def test_errors_keep_their_bounds_and_the_page_follows() -> None:
    cases = FOUND.experiment.cases("quick")
    rows = tuple(row for case in cases for row in cell(FOUND, case))
    for dtype in MODULE.DTYPES:
        for op in MODULE.NUMPY:
            bound = MODULE.DOCUMENTED[dtype][op]
            where = {"part": "error", "op": op, "dtype": dtype}
            assert 0.3 < value(rows, "engine_ulps", **where) <= bound
            assert value(rows, "numpy_ulps", **where) > 0
    text = check_page(FOUND, rows, timed=True)
    assert "No error is beyond what is documented" in text
    check_without(FOUND, rows)


def test_a_figure_that_is_not_reached_and_an_error_beyond_its_bound_are_said() -> None:
    cases = {
        (case["part"], case["op"], case["dtype"], case.parameters[-1][-1]): case
        for case in FOUND.experiment.cases("quick")
    }
    rows = [
        cases["time", op, "float64", MODULE.FIRST].row(
            "engine_seconds", seconds, samples=[seconds] * 5
        )
        for op, seconds in (("exp", 2e-9), ("tanh", 1e-9))
    ]
    rows.append(cases["error", "log", "float64", "float64"].row("engine_ulps", 1.01))
    facts = FOUND.experiment.findings(rows).facts
    assert (facts["reached"], facts["goals"]) == (1, 2)
    assert facts["beyond"] == "Errors are beyond what is documented: `log` in float64"
    assert facts["double"] == "2.00"
    verdicts = [line[-1] for line in MODULE.judged(rows)]
    assert verdicts == [measure.goals.MISSED, measure.goals.REACHED]
