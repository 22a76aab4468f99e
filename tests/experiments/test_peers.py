"""Beside other libraries: what runs without them, what is said, what is checked."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diffkit import report
from diffkit.errors import ExperimentError, MissingDependencyError
from diffkit.measure import beside, reference_gradient
from diffkit.measure.experiment import load_experiment
from diffkit.prepared import Prepared
from diffkit.transform import prepare
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "peers.py")
EXPERIMENT = FOUND.experiment
MODULE = EXPERIMENT.findings.__globals__
LIBRARIES = ("jax", "torch", "autograd", "casadi", "numdifftools")


def case_of(way: str, network: str, dtype: str = "float64", threads: int = 1) -> Any:
    wanted = {"network": network, "dtype": dtype, "pool": threads}
    if network == "any":
        wanted = {"network": network}
    (case,) = (
        case
        for case in EXPERIMENT.cases("full")
        if case.backend == way and dict(case.parameters) == wanted
    )
    return case


def own_calls() -> set[str]:
    """What diffkit and the floors contribute to a cell."""
    flat = {beside.FLAT} if hasattr(Prepared, "flat") else set()
    return {beside.NESTED, beside.ENGINE, beside.PRIMAL, *beside.FLOORS} | flat


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
    assert set(ratios) == own_calls()
    assert ratios["autodiff"] == 1.0
    for metric in ("products_ratio", "bytes_ratio", "value_ratio"):
        assert set(by_way(rows, metric)) == {"autodiff"}
    # The definition again, by the module that compares every entry in ulps.
    problem = MODULE["NETWORKS"]["2-8-1"].problem()
    prepared = prepare(problem.function, *problem.arguments, backend="autodiff")
    reference = reference_gradient(prepared, *problem.arguments)
    gradient = prepared.compiled(prepared.leaves(problem.arguments))[1]
    assert by_way(rows, "largest_ulps")["autodiff"] == pytest.approx(
        reference.ulps(gradient).largest_ulps, rel=1e-6
    )
    assert by_way(rows, "primal_evaluations") == {"autodiff": 1}
    expected = (("network", "2-8-1"), ("dtype", "float64"), ("pool", 1))
    assert all(row.parameters == expected for row in rows)


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
    allowed = {**MODULE["ALLOWED"], "differences": 1e-18}
    monkeypatch.setitem(MODULE, "ALLOWED", allowed)
    with pytest.raises(ExperimentError, match=r"scipy is off by .* was not timed"):
        EXPERIMENT.measure(case_of("scipy", "2-8-1"))


def planted() -> list[Any]:
    """Rows in which JAX is faster than diffkit on the second network only."""
    rows = []
    for network, ratios, products in (
        ("2-8-1", {"autodiff": 1.0, "jax": 9.0, "products_numpy": 0.4}, 2.5),
        ("10-64-32-1", {"autodiff": 1.0, "jax": 0.5, "products_numpy": 0.8}, 1.25),
    ):
        for threads in (1, 2):
            case = case_of("together", network, threads=threads)
            for way, ratio in ratios.items():
                row = MODULE["_as"](case, way).row
                rows += [
                    row("gradient_ratio", ratio, samples=[ratio] * 5),
                    row("relative_error", 1e-16),
                ]
            own = MODULE["_as"](case, "autodiff").row
            rows.append(own("products_ratio", products, samples=[products] * 5))
    return rows


def test_being_slower_is_said() -> None:
    facts = EXPERIMENT.findings(planted()).facts
    assert (facts["fastest"], facts["networks"]) == (1, 2)
    assert facts["beaten"] == "on 10-64-32-1 JAX, jit takes 0.50× its time"
    assert facts["products"] == "1.25× to 2.50×"


def test_figures_to_reach_are_judged_by_one_thread() -> None:
    verdicts = {line[:2]: line[-1] for line in MODULE["judged"](planted())}
    assert verdicts == {
        ("2-8-1", "JAX, jit ÷ diffkit"): "reached",
        ("10-64-32-1", "JAX, jit ÷ diffkit"): "**not reached**",
        ("10-64-32-1", "diffkit ÷ bare products"): "reached",
    }
    slower = [row for row in planted() if row["pool"] == 2]
    assert MODULE["judged"](slower) == []


def test_every_network_has_its_figures() -> None:
    asked = {(one.network, one.dtype) for one in MODULE["FIGURES"]}
    assert asked == set(MODULE["COLUMNS"])


def test_without_enough_cores_a_cell_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    (row,) = EXPERIMENT.measure(case_of("together", "2-8-1", threads=2))
    assert (row.status, row.value) == ("unavailable", None)
    assert row.message == "this machine has 1 cores, and the cell asks for 2"


def test_the_page_is_written_whatever_is_missing(tmp_path: Path) -> None:
    rows = planted()
    write_page(FOUND, rows, tmp_path)
    for left in (rows[:1], []):
        EXPERIMENT.figure(left)
        facts = EXPERIMENT.findings(left).facts
        report.page.fill(EXPERIMENT.page, facts, "the page")
        report.page.fill(EXPERIMENT.answer, facts, "the answer")


@pytest.mark.peers
@pytest.mark.parametrize("dtype, error", [("float64", 1e-14), ("float32", 1e-5)])
def test_all_together_agree_with_the_exact_gradient(
    dtype: str, error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULE, "BUDGET_SECONDS", 0.05)
    case = replace(
        case_of("together", "2-8-1"),
        parameters=(("network", "2-8-1"), ("dtype", dtype), ("pool", 1)),
    )
    rows = EXPERIMENT.measure(case)
    ratios = by_way(rows, "gradient_ratio")
    without = {"casadi"} if dtype == "float32" else set()
    assert set(ratios) == ({*MODULE["TOGETHER"]} - without) | own_calls()
    assert max(by_way(rows, "relative_error").values()) < error
    for way in MODULE["TOGETHER"]:
        if way != "autodiff":
            (row,) = EXPERIMENT.measure(case_of(way, "any"))
            assert row.value == 1


@pytest.mark.peers
def test_numdifftools_evaluates_thirty_times_for_each_parameter() -> None:
    rows = EXPERIMENT.measure(case_of("numdifftools", "2-8-1"))
    assert by_way(rows, "primal_evaluations") == {"numdifftools": 30 * 33 + 1}
