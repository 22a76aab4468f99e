"""Learning rates: steps by the eigenvalues of the line, and what the network does."""

import numpy as np
import pytest

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


def test_page(rows):
    check_page(FOUND, rows)
    check_without(FOUND, rows)
