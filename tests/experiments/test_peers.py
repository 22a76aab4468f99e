"""Beside other libraries: what runs without them, what is said, what is checked."""

import sys
from pathlib import Path
from typing import Any

import pytest

from diffkit import report
from diffkit.errors import ExperimentError, MissingDependencyError
from diffkit.measure import reference_gradient
from diffkit.measure.experiment import load_experiment
from diffkit.transform import prepare

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "peers.py")
EXPERIMENT = FOUND.experiment
MODULE = EXPERIMENT.findings.__globals__
LIBRARIES = ("jax", "torch", "autograd", "casadi", "numdifftools")


def case_of(way: str, network: str) -> Any:
    (case,) = (
        case
        for case in EXPERIMENT.cases("full")
        if (case.backend, case["network"]) == (way, network)
    )
    return case


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIBRARIES:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(MODULE, "BUDGET_SECONDS", 0.05)


def by_way(rows: Any, metric: str) -> dict[str, float]:
    return {row.backend: row.value for row in rows if row.metric == metric}


def test_the_quick_cases_are_full_ones_too() -> None:
    assert set(EXPERIMENT.cases("quick")) <= set(EXPERIMENT.cases("full"))


@pytest.mark.usefixtures("nothing_installed")
def test_without_peers_diffkit_stands_beside_its_floors() -> None:
    rows = EXPERIMENT.measure(case_of("together", "2-8-1"))
    ratios = by_way(rows, "gradient_ratio")
    assert set(ratios) == {"autodiff", "floor_products", "floor_copies"}
    assert ratios["autodiff"] == 1.0
    # The definition again, by the module that compares every entry in ulps.
    problem = MODULE["NETWORKS"]["2-8-1"].problem()
    prepared = prepare(problem.function, *problem.arguments, backend="autodiff")
    reference = reference_gradient(prepared, *problem.arguments)
    gradient = prepared.compiled(prepared.leaves(problem.arguments))[1]
    assert by_way(rows, "largest_ulps")["autodiff"] == pytest.approx(
        reference.ulps(gradient).largest_ulps, rel=1e-6
    )
    assert by_way(rows, "primal_evaluations") == {"autodiff": 1}
    assert all(row.parameters == (("network", "2-8-1"),) for row in rows)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("way", LIBRARIES)
def test_a_missing_library_is_unavailable_with_the_command(way: str) -> None:
    network = "2-8-1" if way == "numdifftools" else "any"
    with pytest.raises(MissingDependencyError, match=r"pip install 'diffkit\["):
        EXPERIMENT.measure(case_of(way, network))


@pytest.mark.usefixtures("nothing_installed")
def test_scipy_evaluates_twice_for_each_parameter() -> None:
    rows = EXPERIMENT.measure(case_of("scipy", "2-8-1"))
    parameters = 2 * 8 + 8 + 8 + 1
    assert by_way(rows, "primal_evaluations") == {"scipy": 2 * parameters}
    assert 1e-14 < by_way(rows, "relative_error")["scipy"] < 1e-5
    assert set(by_way(rows, "gradient_ratio")) == {"scipy"}


def test_what_is_bound_to_take_long_is_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MODULE, "PATIENCE_SECONDS", 1e-9)
    counted, row = EXPERIMENT.measure(case_of("scipy", "2-8-1"))
    assert (counted.metric, counted.value) == ("primal_evaluations", 66)
    assert (row.status, row.value) == ("too_large", None)
    assert row.message.startswith("not begun: 66 evaluations of ")


def test_a_wrong_gradient_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULE, "ALLOWED", {"exact": 1e-11, "differences": 1e-18})
    with pytest.raises(ExperimentError, match=r"scipy is off by .* was not timed"):
        EXPERIMENT.measure(case_of("scipy", "2-8-1"))


def planted() -> list[Any]:
    """Rows in which JAX is faster than diffkit on the second network only."""
    first, second = case_of("together", "2-8-1"), case_of("together", "10-64-32-1")
    rows = []
    for case, ratios in (
        (first, {"autodiff": 1.0, "jax": 9.0, "floor_products": 0.4}),
        (second, {"autodiff": 1.0, "jax": 0.5, "floor_products": 0.8}),
    ):
        for way, ratio in ratios.items():
            row = MODULE["_row"](case, way, "none")
            rows += [row("gradient_ratio", ratio), row("relative_error", 1e-16)]
    return rows


def test_being_slower_is_said() -> None:
    facts = EXPERIMENT.findings(planted()).facts
    assert (facts["fastest"], facts["networks"]) == (1, 2)
    assert facts["beaten"] == "on 10-64-32-1 JAX, jit takes 0.50× its time"
    assert facts["products"] == "40 to 80 %"


def test_the_page_is_written_whatever_is_missing(tmp_path: Path) -> None:
    rows = planted()
    report.write_report(FOUND, rows, tmp_path, "quick")
    for left in (rows[:1], []):
        EXPERIMENT.figure(left)
        facts = EXPERIMENT.findings(left).facts
        report.page.fill(EXPERIMENT.page, facts, "the page")
        report.page.fill(EXPERIMENT.answer, facts, "the answer")


@pytest.mark.peers
def test_all_together_agree_with_the_exact_gradient() -> None:
    rows = EXPERIMENT.measure(case_of("together", "2-8-1"))
    ratios = by_way(rows, "gradient_ratio")
    assert set(ratios) == {*MODULE["TOGETHER"], *MODULE["FLOORS"]}
    assert max(by_way(rows, "relative_error").values()) < 1e-14
    for way in MODULE["TOGETHER"]:
        if way != "autodiff":
            (row,) = EXPERIMENT.measure(case_of(way, "any"))
            assert row.value == 1


@pytest.mark.peers
def test_numdifftools_evaluates_thirty_times_for_each_parameter() -> None:
    rows = EXPERIMENT.measure(case_of("numdifftools", "2-8-1"))
    assert by_way(rows, "primal_evaluations") == {"numdifftools": 30 * 33 + 1}
