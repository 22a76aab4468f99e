"""Learning rates: steps by the eigenvalues of the line, and what the network does."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("learning_rate")


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


@pytest.fixture(scope="module")
def line():
    """Eigenvalues of the line's Hessian and the start's parts along their vectors."""
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100)
    design = np.column_stack([x, np.ones(100)])
    hessian = 2 * design.T @ design / 100
    curvature, directions = np.linalg.eigh(hessian)
    best = np.linalg.solve(design.T @ design, design.T @ y)
    return curvature, directions.T @ -best


def left(line, rate, step):
    """Loss above the minimum after some steps, in closed form."""
    curvature, start = line
    return 0.5 * np.sum(curvature * start**2 * (1 - rate * curvature) ** (2 * step))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4, 0.7, 0.95])
def test_steps_to_arrive_are_those_of_the_closed_form(rows, line, rate):
    steps = value(rows, f"rate_{rate:g}_steps_count", problem="line")
    goal = 1e-6 * left(line, rate, 0)
    assert left(line, rate, steps) <= goal < left(line, rate, steps - 1)


def test_the_limit_and_the_best_rate_are_those_of_the_curvatures(rows, line):
    (small, large), _ = line
    limit = value(rows, "limit_value", problem="line")
    assert limit == pytest.approx(2 / large, rel=1e-12)
    best = value(rows, "best_rate_value", problem="line")
    assert best == pytest.approx(2 / (small + large), rel=1e-12)


@pytest.mark.parametrize("rate, diverges", [(0.95, 0), (0.96, 1), (1.0, 1), (1.2, 1)])
def test_only_rates_above_the_limit_diverge(rows, rate, diverges):
    assert value(rows, f"rate_{rate:g}_diverged_count", problem="line") == diverges


def test_a_network_arrives_beyond_its_first_limit_and_crawls_far_below(rows):
    metrics = {row.metric for row in rows if row.get("problem") == "net"}
    assert value(rows, "limit_value", problem="net") < 5
    assert "rate_5_steps_count" in metrics
    assert value(rows, "rate_5_rises_count", problem="net") > 0
    assert "rate_0.02_steps_count" not in metrics


def errors_at(w, b):
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100)
    return x, w * x + b - y


BY_HAND = {
    "mse": (lambda e: e**2, lambda e: 2 * e),
    "mae": (np.abs, np.sign),
    "huber": (
        lambda e: np.where(abs(e) <= 1, e**2 / 2, abs(e) - 0.5),
        lambda e: np.clip(e, -1, 1),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("rate", ["0.02", "0.4", "1", "2.2"])
def test_runs_by_each_loss_are_those_by_hand(rows, name, rate):
    loss, slope = BY_HAND[name]
    w, b, values = (
        report.samples_of(rows, f"rate_{rate}_{part}", problem=f"fit_{name}")
        for part in ("w_value", "b_value", "run_loss")
    )
    lost = name == "mse" and rate == "2.2"  # Beyond the bound before the last step.
    assert len(w) == len(b) == len(values) == (13 if lost else 61)
    at = np.zeros(2)
    # By sign of an error near nothing two runs may part; before that they are one.
    for step in range(12):
        assert (w[step], b[step]) == pytest.approx(at, rel=1e-5, abs=1e-7)
        x, e = errors_at(*at)
        assert values[step] == pytest.approx(np.mean(loss(e)), rel=1e-5)
        at = at - float(rate) * np.array([np.mean(slope(e) * x), np.mean(slope(e))])


def test_minima_are_where_they_are_by_hand(rows):
    def best(name):
        return [
            value(rows, f"best_{part}_value", problem=f"fit_{name}") for part in "wb"
        ]

    x, e = errors_at(0.0, 0.0)
    np.testing.assert_allclose(best("mse"), np.polyfit(x, -e, 1), rtol=1e-7)
    _, e = errors_at(*best("huber"))
    assert abs(np.mean(np.clip(e, -1, 1) * x)) < 1e-9
    assert abs(np.mean(np.clip(e, -1, 1))) < 1e-9
    # The least absolute error lies on two of the points (Laplace): try each pair.
    y = -errors_at(0.0, 0.0)[1]
    i, j = np.triu_indices(100, 1)
    w = (y[j] - y[i]) / (x[j] - x[i])
    b = y[i] - w * x[i]
    every = np.abs(np.outer(w, x) + b[:, None] - y).mean(axis=1)
    assert value(rows, "best_loss", problem="fit_mae") == pytest.approx(min(every))
    assert best("mae") == pytest.approx((w[every.argmin()], b[every.argmin()]))


def test_only_the_squared_error_is_lost_past_its_limit(rows):
    limits = {
        name: value(rows, "limit_value", problem=f"fit_{name}")
        for name in ("mse", "huber")
    }
    assert limits["huber"] == pytest.approx(2 * limits["mse"], rel=1e-6)
    metrics = {r.metric for r in rows if r.get("problem") == "fit_mae"}
    assert "limit_value" not in metrics
    ends = {
        name: value(rows, "rate_2.2_run_loss", problem=f"fit_{name}")
        for name in BY_HAND
    }
    assert ends["mse"] > 1e9
    assert max(ends["huber"], ends["mae"]) < 3


def test_page(rows):
    check_page(FOUND, rows)
    check_without(FOUND, rows)
