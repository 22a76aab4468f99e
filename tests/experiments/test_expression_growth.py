"""Expression growth: counts by hand, exact laws, and what missing cells leave."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy

from diffkit import report
from diffkit.backends import get_backend
from diffkit.measure import Network, exact_law
from diffkit.measure.experiment import load_experiment
from diffkit.transform import prepare
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "expression_growth.py")
EXPERIMENT = FOUND.experiment
QUICK = EXPERIMENT.cases("quick")


def counts(system: str, width: int, depth: int) -> dict[str, Any]:
    (case,) = (
        case
        for case in QUICK
        if (case["system"], case["width"], case["depth"]) == (system, width, depth)
    )
    return {row.metric: row.value for row in EXPERIMENT.measure(case)}


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    return [row for case in QUICK for row in EXPERIMENT.measure(case)]


def law(rows: Any, system: str, width: int, metric: str) -> Any:
    found = {
        row["depth"]: row.value
        for row in rows
        if (row["system"], row["width"], row.metric) == (system, width, metric)
    }
    return exact_law([found[depth] for depth in range(1, 13)])


@pytest.mark.parametrize("width, depth", [(1, 1), (2, 5), (4, 3), (8, 12)])
def test_the_loss_is_as_large_as_counted_by_hand(width: int, depth: int) -> None:
    unit, units = 0, 0
    for _ in range(depth):  # products, their sum with the bias, tanh
        own = width + width + 1
        unit = width * unit + own
        units += width * own
    output = width + width  # the last unit has no tanh
    ends = 5  # plus −1 times the target, squared, summed over the batch, divided
    found = counts("network", width, depth)
    assert found["loss_tree_operations"] == width * unit + output + ends
    assert found["loss_shared_operations"] == units + output + ends
    assert found["parameters_count"] == depth * (width * width + width) + width + 1


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_the_logistic_map_is_as_large_as_counted_by_hand(iterations: int) -> None:
    tree = 0
    for _ in range(iterations):
        tree = 2 * tree + 4  # 4·x·(1 + (−1)·x)
    found = counts("logistic map", 1, iterations)
    assert found["loss_tree_operations"] == tree
    assert found["loss_shared_operations"] == 4 * iterations


def test_the_first_derivative_of_the_map_is_sympys_in_value_and_near_in_size() -> None:
    x = sympy.Symbol("x", real=True)
    value: Any = 4 * x * (1 - x)
    value = 4 * value * (1 - value)
    derivative = sympy.diff(value, x)
    assert sympy.expand(derivative - 16 * (1 - 2 * x) * (1 - 8 * x * (1 - x))) == 0
    whole = counts("logistic map", 1, 2)
    alone = whole["expanded_tree_operations"] - whole["loss_tree_operations"]
    assert alone == pytest.approx(int(sympy.count_ops(derivative)), abs=8)


@pytest.mark.parametrize("width, depth", [(2, 2), (4, 2)])
def test_sympy_derives_formulas_of_the_counted_size(width: int, depth: int) -> None:
    problem = Network((width,) * (depth + 1) + (1,), batch=5).problem()
    backend = get_backend("symbolic", form="expanded")
    info = prepare(problem.function, *problem.arguments, backend=backend).info
    counted = counts("network", width, depth)["expanded_tree_operations"]
    assert counted == pytest.approx(info.details["tree_operations"], rel=0.01)


def test_the_laws_are_those_of_the_claim(rows: Any) -> None:
    for form in ("expanded", "nested"):
        narrow = law(rows, "network", 1, f"{form}_tree_operations")
        assert (narrow.family, narrow.degree) == ("polynomial", 3)
    for width in (2, 4, 8):
        expanded = law(rows, "network", width, "expanded_tree_operations")
        nested = law(rows, "network", width, "nested_tree_operations")
        assert (expanded.base, expanded.degree) == (width, 2)
        assert (nested.base, nested.degree) == (width**2, 0)
        assert law(rows, "network", width, "cse_shared_operations").degree == 2
        assert law(rows, "network", width, "shared_operations").degree == 1
    chaos = law(rows, "logistic map", 1, "nested_tree_operations")
    assert (chaos.base, chaos(1)) == (Fraction(4), 10)


def test_laws_of_the_quick_cases_predict_the_full_ones(rows: Any) -> None:
    (case,) = (
        case
        for case in EXPERIMENT.cases("full")
        if (case["system"], case["width"], case["depth"]) == ("network", 4, 40)
    )
    deep = {row.metric: row.value for row in EXPERIMENT.measure(case)}
    assert deep["nested_tree_operations"] > 10**49
    for form in ("expanded_tree", "nested_tree", "cse_shared", "loss_tree"):
        found = law(rows, "network", 4, f"{form}_operations")
        assert found(40) == deep[f"{form}_operations"]


def test_the_page_follows_and_survives_missing_cells(rows: Any, tmp_path: Path) -> None:
    findings = EXPERIMENT.findings(rows)
    (verdict,) = findings.verdicts
    assert (verdict.claim, verdict.holds) == ("C8", "conditional")
    page = write_page(FOUND, rows, tmp_path).read_text()
    assert "`12·4^d + 1`" in page
    partial = [row for row in rows if row["depth"] != 3 or row["width"] == 2]
    assert EXPERIMENT.findings(partial).verdicts == ()
    for left in (partial, rows[:2], []):
        EXPERIMENT.figure(left)
        facts = EXPERIMENT.findings(left).facts
        report.page.fill(EXPERIMENT.page, facts, "the page")
