"""The race: its counts by hand, its stops as rows, and its page from planted rows."""

from pathlib import Path
from typing import Any

import pytest

from diffkit.measure import CELL_METRIC, prepare_by
from diffkit.measure.experiment import load_experiment
from diffkit.measure.sweep import run_sweep
from diffkit.measure.user_code import load_file
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "race.py")
EXPERIMENT = FOUND.experiment
CENTRAL = "finite_differences_central"
LANES = {CENTRAL, "symbolic_expanded", "autodiff"}


def lane(way: str, depth: int, width: int) -> dict[str, Any]:
    (case,) = (
        case
        for case in EXPERIMENT.cases("quick")
        if (case.backend, case["depth"], case["width"]) == (way, depth, width)
    )
    return {row.metric: row for row in EXPERIMENT.measure(case)}


def parameters(depth: int, width: int) -> int:
    return depth * (width * width + width) + width + 1


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_every_lane_is_asked_for_every_network(mode):
    cases = EXPERIMENT.cases(mode)
    networks = {(case["depth"], case["width"]) for case in cases}
    depths, widths = ({n[place] for n in networks} for place in (0, 1))
    assert len(networks) == len(depths) * len(widths)
    for network in networks:
        asked = {c.backend for c in cases if (c["depth"], c["width"]) == network}
        assert asked == LANES
    assert set(EXPERIMENT.cases("quick")) <= set(cases)


@pytest.mark.parametrize("way", sorted(LANES))
def test_work_is_counted_and_what_was_timed_is_a_gradient(way):
    depth, width = 2, 2
    rows = lane(way, depth, width)
    count = parameters(depth, width)
    assert rows["parameters_count"].value == count
    runs = 2 * count if way.startswith("finite") else 1
    assert rows["primal_evaluations"].value == runs
    assert rows["deviation_error"].value < 1e-7
    for metric in ("gradient_seconds", "gradient_engine_ratio"):
        assert rows[metric].value > 0
        assert rows[metric].samples


def test_differences_work_by_their_evaluations():
    differences, reverse = lane(CENTRAL, 1, 8), lane("autodiff", 1, 8)
    work = differences["run_operations"].value / (2 * parameters(1, 8))
    # One evaluation is one forward pass, and a gradient by reverse mode less than four.
    assert 1 < reverse["run_operations"].value / work < 4


def test_a_formula_that_is_too_long_is_a_row_that_says_so():
    rows = lane("symbolic_expanded", 8, 32)
    assert set(rows) == {"formula_operations", "budget_operations", "gradient_seconds"}
    # Every unit reads every unit before it, eight times over.
    assert rows["formula_operations"].value > 32**8
    row = rows["gradient_seconds"]
    assert (row.status, row.value) == ("too_large", None)
    assert "the race stops at 200,000" in row.message


def test_the_count_is_that_of_the_formula_which_is_made():
    """Counted by layers here; the backend counts the expression that it prints."""
    asked = load_file(FOUND.path).problem(2, 4)
    made = prepare_by("symbolic_expanded", asked.function, *asked.arguments)
    counted = lane("symbolic_expanded", 2, 4)["formula_operations"].value
    printed = made.info.details["tree_operations"]
    assert counted == pytest.approx(printed, rel=0.01)


def planted(slowest: str = "finite_differences_central") -> list[Any]:
    rows = []
    for case in EXPERIMENT.cases("quick"):
        if case.backend == "symbolic_expanded" and case["depth"] > 1:
            rows += [
                case.row("gradient_seconds", None, status="too_large", message="long"),
                case.row(CELL_METRIC, 0.1, status="too_large", message="long"),
            ]
            continue
        seconds = 8.0 if case.backend == slowest else 2.0
        count = parameters(case["depth"], case["width"])
        rows += [
            case.row("parameters_count", count),
            case.row("primal_evaluations", 2 * count),
            case.row("gradient_seconds", seconds + (case.backend != "autodiff")),
            case.row("gradient_engine_ratio", seconds),
            case.row(CELL_METRIC, 0.1),
        ]
    return rows


def test_planted_times_say_who_was_first(tmp_path):
    networks = len(EXPERIMENT.cases("quick")) // 3
    facts = EXPERIMENT.findings(planted()).facts
    assert facts["won"] == f"{networks} of {networks}"
    assert facts["behind_low"] == facts["behind_high"] == "4.50×"
    assert facts["stopped"] == networks * 3 // 4
    assert "nowhere" in facts["lost"]
    facts = EXPERIMENT.findings(planted("autodiff")).facts
    assert facts["won"] == f"0 of {networks}"
    assert "differences at depth 8 and width 2" in facts["lost"]
    assert write_page(FOUND, planted(), tmp_path).exists()


def test_a_network_with_an_unknown_lane_has_no_winner():
    rows = [row for row in planted() if row.backend != "symbolic_expanded"]
    assert EXPERIMENT.findings(rows).facts["won"] == "0 of 0"


@pytest.mark.slow
def test_the_whole_quick_sweep_ends_well(tmp_path):
    swept = run_sweep(FOUND, "quick", tmp_path)
    assert not swept.failed
