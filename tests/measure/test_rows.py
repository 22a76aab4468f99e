"""Rows and cases: what they refuse, and what names a cell."""

import pytest

from diffkit.errors import ExperimentError
from diffkit.measure.limits import STATUSES, Limits
from diffkit.measure.rows import CELL_METRIC, Row, case

CASE = case("depths", "autodiff", runtime="engine", depth=4, note="a, b", exact=True)


def test_a_metric_has_to_end_in_its_unit():
    with pytest.raises(ExperimentError, match="does not end in a unit"):
        CASE.row("gradient_time", 1.0)


def test_a_status_has_to_be_known():
    with pytest.raises(ExperimentError, match="status 'fine'"):
        CASE.row("gradient_seconds", 1.0, status="fine")


def test_a_runtime_has_to_be_known():
    with pytest.raises(ExperimentError, match="runtime 'cuda'"):
        case("depths", "autodiff", runtime="cuda")


@pytest.mark.parametrize("status", [s for s in STATUSES if s != "ok"])
def test_a_value_goes_with_ok_and_with_nothing_else(status):
    with pytest.raises(ExperimentError, match="exactly when it is ok"):
        CASE.row("gradient_seconds", 1.0, status=status)
    with pytest.raises(ExperimentError, match="exactly when it is ok"):
        CASE.row("gradient_seconds", None)
    # The row of a cell as a whole says how long it took, however it ended.
    assert CASE.row(CELL_METRIC, 2.0, status=status).value == 2.0


def test_the_key_changes_with_whatever_changes_the_measurement():
    other = case("depths", "autodiff", runtime="engine", depth=5, note="a, b")
    numpy = case("depths", "autodiff", runtime="numpy", depth=4, note="a, b")
    seeded = case("depths", "autodiff", seed=1, runtime="engine", depth=4, note="a, b")
    longer = case(
        "depths", "autodiff", runtime="engine", depth=4, limits=Limits(seconds=61)
    )
    keys = [c.key("code") for c in (CASE, other, numpy, seeded, longer)]
    assert len({*keys, CASE.key("other code")}) == 6
    assert CASE.key("code") == keys[0]


def test_a_case_gives_its_parameters_by_name():
    assert CASE["depth"] == 4
    assert CASE.label == "autodiff depth=4 note=a, b exact=True"
    with pytest.raises(KeyError):
        CASE["width"]


def test_a_row_can_be_stamped_and_read_by_name():
    row = CASE.row("gradient_seconds", 1.0).stamped(machine="m", threads=1)
    assert isinstance(row, Row)
    assert (row.machine, row.threads, row["depth"]) == ("m", 1, 4)
