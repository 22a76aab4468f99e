"""The cost of a gradient: counts by hand, bounds, verdicts from planted times."""

from pathlib import Path
from typing import Any

import pytest

from diffkit import report
from diffkit.measure.experiment import load_experiment

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "gradient_cost_ratio.py")
EXPERIMENT = FOUND.experiment
QUICK = EXPERIMENT.cases("quick")


def measured(sweep: str, size: int) -> dict[str, Any]:
    (case,) = (c for c in QUICK if c["sweep"] == sweep and c[sweep] == size)
    return {row.metric: row for row in EXPERIMENT.measure(case)}


@pytest.mark.parametrize("sweep, size", [("depth", 1), ("width", 16), ("batch", 4)])
def test_operations_are_those_counted_by_hand(sweep: str, size: int) -> None:
    numbers = {"depth": 3, "width": 32, "batch": 32, sweep: size}
    d, w, b = numbers["depth"], numbers["width"], numbers["batch"]
    rows = measured(sweep, size)
    hidden = b * w * (2 * w - 1) + 2 * b * w  # product, bias, tanh
    output = b * (2 * w - 1) + b
    loss = b + b + b  # difference, square, mean
    assert rows["primal_operations"].value == d * hidden + output + loss

    # Backward: ∂/∂prediction, then for each layer the weights, the bias and, but for
    # the first, what came in, times the slope of tanh: 1 − y², by the cotangent.
    start = 2 * b
    last = w * (2 * b - 1) + (b - 1) + b * w
    inner = w * w * (2 * b - 1) + w * (b - 1) + b * w * (2 * w - 1)
    first = w * w * (2 * b - 1) + w * (b - 1)
    slopes = d * 3 * b * w
    by_hand = start + last + (d - 1) * inner + first + slopes
    counted = rows["gradient_operations"].value - rows["primal_operations"].value
    assert counted == pytest.approx(by_hand, rel=0.02)
    ratio = rows["gradient_operations"].value / rows["primal_operations"].value
    assert rows["operations_ratio"].value == ratio
    assert 1 < ratio <= 4
    assert len(rows["time_ratio"].samples) >= 3


def planted(ratio: Any) -> list[Any]:
    return [
        row
        for case in QUICK
        for row in (
            case.row("time_ratio", ratio(case), samples=(ratio(case),)),
            case.row("operations_ratio", 2.9),
            case.row("flops_ratio", 2.5),
            case.row("bytes_ratio", 3.1),
        )
    ]


@pytest.mark.parametrize(
    "ratio, twice, same",
    [
        (lambda case: 2.0, "right", "wrong"),
        (lambda case: 1.1, "wrong", "right"),
        (lambda case: 3.5, "wrong", "wrong"),
        (lambda case: 1.2 if case["sweep"] == "depth" else 2.1, "conditional", None),
    ],
)
def test_verdicts_follow_from_the_rows(ratio: Any, twice: str, same: str) -> None:
    verdicts = {v.claim: v.holds for v in EXPERIMENT.findings(planted(ratio)).verdicts}
    assert verdicts == {"C6": twice, "C9": same or "conditional"}


@pytest.mark.parametrize("kept", [0, 1, 30, None])
def test_missing_cells_leave_a_page(kept: Any) -> None:
    rows = planted(lambda case: 2.0)[:kept]
    EXPERIMENT.figure(rows)
    facts = EXPERIMENT.findings(rows).facts
    report.page.fill(EXPERIMENT.page, facts, "the page")
    report.page.fill(EXPERIMENT.answer, facts, "the answer")
