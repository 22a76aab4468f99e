"""Parameter scaling: evaluations counted again by hand, and the page from its rows."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffkit import report
from diffkit.measure import Network
from diffkit.measure.experiment import load_experiment
from diffkit.transform import prepare
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "parameter_scaling.py")
EXPERIMENT = FOUND.experiment


def measured(way: str, network: str) -> dict[str, Any]:
    (case,) = (
        case
        for case in EXPERIMENT.cases("quick")
        if (case.backend, case["network"]) == (way, network)
    )
    return {row.metric: row for row in EXPERIMENT.measure(case)}


@pytest.mark.parametrize(
    "network, parameters, central",
    [("2-4-1", 17, 34), ("10-32-1", 385, 770), ("10-64-32-1", 2817, 5634)],
)
def test_c7_c30_evaluations_of_the_named_networks(
    network: str, parameters: int, central: int
) -> None:
    rows = measured("finite_differences_central", network)
    assert rows["parameters_count"].value == parameters
    assert rows["primal_evaluations"].value == central == 2 * parameters
    rows = measured("finite_differences_forward", network)
    assert rows["primal_evaluations"].value == parameters + 1


def test_a_loop_that_counts_its_calls_makes_as_many() -> None:
    problem = Network((10, 8, 1), batch=32).problem()
    engine = prepare(problem.function, *problem.arguments, backend="autodiff")
    leaves = engine.leaves(problem.arguments)
    called = 0

    def evaluate(changed: int, entry: int, step: float) -> float:
        nonlocal called
        called += 1
        moved = [np.array(leaf) for leaf in leaves]
        moved[changed].flat[entry] += step
        return float(engine.compiled.value(moved))

    true = engine.compiled(leaves)[1]
    for place, leaf in zip(engine.program.wrt, true, strict=True):
        for entry in range(leaf.size):
            both = [evaluate(place, entry, step) for step in (1e-6, -1e-6)]
            slope = (both[0] - both[1]) / 2e-6
            assert slope == pytest.approx(leaf.flat[entry], abs=1e-7)
    rows = measured("finite_differences_central", "10-8-1")
    assert rows["primal_evaluations"].value == called
    assert rows["deviation_error"].value < 1e-6


@pytest.mark.parametrize("way", ["autodiff", "forward"])
def test_derivations_agree_to_rounding(way: str) -> None:
    rows = measured(way, "10-8-1")
    assert rows["deviation_error"].value < 1e-13
    assert rows["primal_evaluations"].value == (1 if way == "autodiff" else 97)
    assert len(rows["gradient_ratio"].samples) >= 3


def planted() -> list[Any]:
    """Rows of a machine on which every forward pass takes a nanosecond a parameter."""
    rows = []
    for case in EXPERIMENT.cases("quick"):
        sizes = [int(size) for size in case["network"].split("-")]
        p = sum((a + 1) * b for a, b in pairwise(sizes))
        runs = {
            "autodiff": 1,
            "forward": p,
            "finite_differences_central": 2 * p,
            "finite_differences_forward": p + 1,
        }[case.backend]
        rows += [
            case.row("parameters_count", p),
            case.row("primal_evaluations", runs),
            case.row("gradient_ratio", float(runs)),
            case.row("gradient_seconds", runs * p * 1e-9),
        ]
    return rows


def test_planted_times_are_carried_to_a_million(tmp_path: Path) -> None:
    rows = planted()
    facts = EXPERIMENT.findings(rows).facts
    # 2·10⁶ passes of 10⁶ nanoseconds are 2,000 seconds, with nothing left to chance.
    assert facts["central_time"].startswith("2,000 s (between 2,000 s and 2,000 s")
    assert facts["finite_differences_central_rate"] == "2.00 (2.00 to 2.00)"
    assert facts["autodiff_ratio_rate"] == "0.00 (0.00 to 0.00)"
    verdicts = {v.claim: v for v in EXPERIMENT.findings(rows).verdicts}
    assert verdicts["C7"].holds == "right"
    assert "5,634 evaluations" in verdicts["C30"].measured
    assert write_page(FOUND, rows, tmp_path).exists()


def test_one_wrong_count_makes_the_claim_wrong() -> None:
    rows = [
        row.stamped(value=row.value + 1)
        if row.metric == "primal_evaluations" and row["network"] == "10-8-1"
        else row
        for row in planted()
    ]
    verdicts = {v.claim: v for v in EXPERIMENT.findings(rows).verdicts}
    assert verdicts["C7"].holds == "wrong"


@pytest.mark.parametrize("kept", [0, 3, 40])
def test_missing_cells_leave_a_page(kept: int) -> None:
    rows = planted()[:kept]
    EXPERIMENT.figure(rows)
    report.page.fill(EXPERIMENT.page, EXPERIMENT.findings(rows).facts, "the page")
