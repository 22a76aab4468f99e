"""Extrapolation: planted laws arrive where they should, and all of it says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffkit import report
from diffkit.measure.experiment import load_experiment
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "extrapolation.py")
EXPERIMENT = FOUND.experiment
QUICK = EXPERIMENT.cases("quick")


def planted(scatter: float = 0.0) -> list[Any]:
    """Rows of a core on which each parameter costs a nanosecond and sixteen bytes."""
    rng, rows = np.random.default_rng(4), []
    for case in QUICK:
        w = case["width"]
        p = 4 * (w * w + w) + w + 1
        runs = 1 if case.backend == "autodiff" else 2 * p
        one = p * 1e-9 * 10.0 ** rng.normal(0.0, scatter)
        gradient = 3 * one if case.backend == "autodiff" else runs * one
        samples = [one] * 5
        rows += [
            case.row("parameters_count", p),
            case.row("primal_evaluations", runs),
            case.row("primal_seconds", one, samples=samples),
            case.row("gradient_seconds", gradient, samples=samples),
            case.row("planned_bytes", 16 * p),
        ]
    return rows


@pytest.mark.parametrize("way", ["autodiff", "finite_differences_central"])
def test_counts_of_a_small_case(way: str) -> None:
    (case,) = (c for c in QUICK if c.backend == way and c["width"] == 8)
    rows = {row.metric: row for row in EXPERIMENT.measure(case)}
    parameters = 4 * (8 * 8 + 8) + 9
    assert rows["parameters_count"].value == parameters
    central = way != "autodiff"
    assert rows["primal_evaluations"].value == (2 * parameters if central else 1)
    assert rows["planned_bytes"].value >= 8 * parameters
    assert rows["deviation_error"].value < (1e-6 if central else 1e-15)


def test_a_planted_law_is_carried_exactly() -> None:
    facts = EXPERIMENT.findings(planted()).facts
    years = 2 * 1.8e12 * 1.8e12 * 1e-9 / 31_557_600
    assert facts["central_target"].startswith(report.numbers.scientific(years))
    assert facts["passes"] == "3.60 × 10¹²"
    assert facts["primal_target"].startswith("1,800 s (between 1,800 s and 1,800 s")
    assert facts["bytes_rate"] == "1.00 (1.00 to 1.00)"
    assert facts["chosen"] == "polynomial"
    assert facts["check"] == "1.00× to 1.00×"


def test_scatter_widens_the_interval_and_the_truth_lies_in_it() -> None:
    module = EXPERIMENT.findings.__globals__
    interval = module["differences_at"](planted(0.05), module["TARGET"])
    truth = 2 * 1.8e12 * 1800.0
    assert interval.low < truth < interval.high
    assert interval.high > 2 * interval.low


def test_everything_beyond_is_called_an_extrapolation(tmp_path: Path) -> None:
    rows = planted(0.05)
    assert "extrapolation" in EXPERIMENT.question
    assert "extrapolation" in EXPERIMENT.answer
    figure = EXPERIMENT.figure(rows)
    for axes in figure.axes:
        assert "Extrapolation" in axes.get_title("left") + axes.get_title()
        assert "measured where" in axes.get_xlabel()
    names = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert sum("extrapolated" in name for name in names) == 4
    page = write_page(FOUND, rows, tmp_path).read_text()
    assert "(extrapolation)" in page


@pytest.mark.parametrize("kept", [0, 2, 12])
def test_missing_cells_leave_a_page(kept: int) -> None:
    rows = planted()[:kept]
    EXPERIMENT.figure(rows)
    facts = EXPERIMENT.findings(rows).facts
    report.page.fill(EXPERIMENT.page, facts, "the page")
    report.page.fill(EXPERIMENT.answer, facts, "the answer")
