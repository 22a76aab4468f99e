"""The first experiment: its cases, its counts, and that its page follows from rows."""

from pathlib import Path

import numpy as np
import pytest

from diffkit import report
from diffkit.measure import list_runs, store_path
from diffkit.measure.experiment import load_experiment
from diffkit.measure.sweep import run_sweep
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "cost_vs_depth.py")
EXPERIMENT = FOUND.experiment
WAYS = {case.backend for case in EXPERIMENT.cases("quick")}


def value(row) -> float:
    assert row.value is not None
    return row.value


def rows_of(way, depth):
    (case,) = (
        case
        for case in EXPERIMENT.cases("quick")
        if case.backend == way and case["depth"] == depth
    )
    rows = EXPERIMENT.measure(case)
    return {row.metric: row for row in rows}


@pytest.mark.parametrize(
    "mode, all_of_them", [("quick", {1, 2, 3, 4, 6, 8}), ("full", set(range(1, 9)))]
)
def test_every_way_is_asked_for_the_same_depths_up_to_eight(mode, all_of_them):
    """But SymPy's own sharing, which takes many seconds at the last of them."""
    cases = EXPERIMENT.cases(mode)
    for way in WAYS:
        depths = {case["depth"] for case in cases if case.backend == way}
        seconds_long = {8} if (way, mode) == ("symbolic_cse", "quick") else set()
        assert all_of_them - seconds_long <= depths
    assert max(case["depth"] for case in cases if case.backend == "autodiff") >= 128


def test_the_full_cases_contain_the_quick_ones():
    assert set(EXPERIMENT.cases("quick")) <= set(EXPERIMENT.cases("full"))
    deepest = max(case["depth"] for case in EXPERIMENT.cases("full"))
    assert deepest == 1000


@pytest.mark.parametrize(
    "way, evaluations",
    [
        ("autodiff", lambda p: 1),
        ("forward", lambda p: p),
        ("finite_differences_central", lambda p: 2 * p),
        ("finite_differences_forward", lambda p: p + 1),
    ],
)
def test_evaluations_are_counted_exactly(way, evaluations):
    depth = 2
    parameters = depth * (4 * 4 + 4) + 4 * 3 + 3
    rows = rows_of(way, depth)
    assert rows["parameters_count"].value == parameters
    assert rows["primal_evaluations"].value == evaluations(parameters)
    bound = 1e-6 if way.startswith("finite") else 1e-13
    assert value(rows["relative_error"]) < bound
    assert rows["gradient_ratio"].samples


def test_written_out_a_formula_is_larger_than_shared_and_says_so():
    written = rows_of("symbolic_expanded", 2)
    tree, kept = (value(written[f"{n}_operations"]) for n in ("tree", "shared"))
    assert tree > 10 * kept
    shared = rows_of("symbolic_shared", 2)
    assert value(shared["shared_operations"]) < kept


def test_a_budget_that_stops_a_cell_is_a_row():
    (row,) = rows_of("symbolic_expanded", 8).values()
    assert (row.metric, row.status, row.value) == ("gradient_ratio", "too_large", None)
    assert "operations" in row.message


def test_the_committed_page_follows_from_the_committed_data(tmp_path):
    folder = ROOT / "reports" / "cost_vs_depth"
    rows = report.read_rows(folder / "data.csv")
    page = write_page(FOUND, rows, tmp_path)
    assert page.read_text() == (folder / "README.md").read_text()
    assert (tmp_path / "cost_vs_depth" / "data.csv").read_bytes() == (
        folder / "data.csv"
    ).read_bytes()
    for claim in EXPERIMENT.claims:
        assert f"| {claim} |" in page.read_text()


def test_the_committed_rows_are_complete():
    rows = report.read_rows(ROOT / "reports" / "cost_vs_depth" / "data.csv")
    assert {row.backend for row in rows} == WAYS
    ratios = [row for row in rows if row.metric == "gradient_ratio"]
    assert all(row.samples for row in ratios if row.status == "ok")
    for row in rows:
        assert row.machine
        assert row.commit
        assert "numpy=" in row.versions
    exact = [
        row.value
        for row in rows
        if row.metric == "relative_error" and not row.backend.startswith("finite")
        if row.value is not None
    ]
    assert max(exact) < 1e-12
    assert np.isfinite(exact).all()


@pytest.mark.slow
def test_the_whole_quick_sweep_ends_well_and_is_taken_from_disk_again(tmp_path):
    swept = run_sweep(FOUND, "quick", tmp_path)
    assert not swept.failed
    (run,) = list_runs(store_path(tmp_path))
    assert run.cells == len(swept.cells)
    again = run_sweep(FOUND, "quick", tmp_path)
    assert all(cell.reused for cell in again.cells)
    assert again.rows == swept.rows
