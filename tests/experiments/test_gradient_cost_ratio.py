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
MODULE = EXPERIMENT.findings.__globals__
NETWORK, LARGEST = MODULE["NETWORK"], MODULE["LARGEST"]


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


def test_both_modes_ask_about_every_network() -> None:
    names = ["2-8-1", "10-64-32-1", "10-(32×50)-1", "64-128-10", *LARGEST]
    for mode in ("quick", "full"):
        asked = [c["network"] for c in EXPERIMENT.cases(mode) if c["sweep"] == NETWORK]
        assert asked == names


def test_a_network_is_counted_by_hand() -> None:
    (case,) = (c for c in QUICK if c.parameters[-1] == ("network", "2-8-1"))
    rows = {row.metric: row.value for row in EXPERIMENT.measure(case)}
    batch, width = 4, 8
    products = batch * width * (2 * 2 - 1) + batch * (2 * width - 1)
    # Biases, tanh, difference, square, mean.
    assert rows["primal_operations"] == products + batch * (2 * width + 1) + 3 * batch
    for what in ("flops", "bytes"):
        ratio = rows[f"gradient_{what}"] / rows[f"primal_{what}"]
        assert rows[f"{what}_ratio"] == ratio > 1
    assert rows["parameters_count"] == 2 * 8 + 8 + 8 + 1


#: Flops and bytes of the gradient, then of the primal; every cell a little different.
COUNTS = {"gradient": (2500, 3100), "primal": (1000, 1000)}


def planted(ratio: Any) -> list[Any]:
    return [
        row
        for number, case in enumerate(QUICK)
        for row in (
            case.row("time_ratio", ratio(case), samples=(ratio(case),)),
            case.row("operations_ratio", 2.9),
            case.row("flops_ratio", 2.5),
            case.row("bytes_ratio", 3.1),
            *(
                case.row(f"{which}_{what}", count + number)
                for which, counts in COUNTS.items()
                for what, count in zip(("flops", "bytes"), counts, strict=True)
            ),
        )
    ]


def test_networks_are_held_to_what_is_wanted_of_them() -> None:
    rows = planted(lambda case: 3.2)
    facts = EXPERIMENT.findings(rows).facts
    # The two largest may take 3 times the value, the others 3.5 times.
    assert facts["wanted"] == "4 of 6"
    (line,) = (x for x in facts["table"].splitlines() if x.startswith("| 1024×4 "))
    assert "| 3.20× | 2.50× | 3.10× |" in line
    assert line.endswith("| ≤ 3.00× | no |")
    assert EXPERIMENT.findings(planted(lambda case: 2.9)).facts["wanted"] == "6 of 6"


def test_the_constant_is_found_that_the_times_were_made_with() -> None:
    def slow_memory(case: Any) -> float:
        """A byte takes as long as two flops."""
        n = QUICK.index(case)
        (f, b), (g, c) = (COUNTS[which] for which in ("gradient", "primal"))
        return (f + n + 2 * (b + n)) / (g + n + 2 * (c + n))

    facts = EXPERIMENT.findings(planted(slow_memory)).facts
    assert float(facts["weight"]) == pytest.approx(2.0, rel=0.05)
    assert facts["off_both"] == "0 %"
    assert facts["off_flops"] != "0 %"


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
