"""The exercise's line: figures to reproduce, least squares, the limit of the rate."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("linear_regression")


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


@pytest.fixture(scope="module")
def data():
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    return x, 2 * x + 0.5 + 0.1 * legacy.randn(100)


def test_every_way_ends_at_the_figures_of_the_exercise(rows):
    ways = [row.backend for row in rows if row.metric == "w_value"]
    assert len(ways) == 5
    for way in ways:
        assert value(rows, "w_value", way) == pytest.approx(1.985674, abs=5e-7)
        assert value(rows, "b_value", way) == pytest.approx(0.500743, abs=5e-7)
        assert value(rows, "origin_loss", way) == pytest.approx(3.3151, abs=5e-5)


def test_the_path_is_that_of_the_gradient_written_by_hand(rows, data):
    x, y = data
    w = b = 0.0
    for _ in range(100):
        off = w * x + b - y
        w, b = w - 0.1 * 2 * np.mean(off * x), b - 0.1 * 2 * np.mean(off)
    assert value(rows, "w_value", "autodiff") == pytest.approx(w, rel=1e-13)
    assert value(rows, "b_value", "autodiff") == pytest.approx(b, rel=1e-13)


def test_one_point_is_followed_through_the_steps(rows, data):
    x, y = data
    assert value(rows, "example_x_value", "autodiff") == x[0]
    assert value(rows, "example_y_value", "autodiff") == y[0]

    def of(metric):
        return np.array(report.samples_of(rows, metric, "autodiff", part="train"))

    w, b = of("w_value"), of("b_value")
    assert of("example_prediction_value") == pytest.approx(w * x[0] + b, rel=1e-5)
    off = np.outer(w, x) + b[:, None] - y
    assert of("w_gradient_value") == pytest.approx(2 * np.mean(off * x, 1), abs=1e-5)
    assert of("b_gradient_value") == pytest.approx(2 * np.mean(off, 1), abs=1e-5)


def test_evaluations_are_counted(rows):
    assert value(rows, "primal_evaluations", "autodiff") == 100
    assert value(rows, "primal_evaluations", "finite_differences_central") == 400


def test_least_squares_is_polyfit_and_has_no_slope(rows, data):
    w, b = np.polyfit(*data, 1)
    assert value(rows, "least_squares_w_value") == pytest.approx(w, rel=1e-12)
    assert value(rows, "least_squares_b_value") == pytest.approx(b, rel=1e-12)
    assert value(rows, "slope_at_best_error") < 1e-13
    assert value(rows, "slope_at_best_bent_error") < 1e-13


def test_the_limit_is_that_of_the_largest_curvature(rows, data):
    x, _ = data
    hessian = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1.0]])
    limit = 2 / np.linalg.norm(hessian, 2)
    assert limit == pytest.approx(0.954, abs=1e-3)
    assert value(rows, "predicted_limit_value") == pytest.approx(limit, rel=1e-12)
    assert value(rows, "measured_limit_value") == pytest.approx(limit, rel=1e-8)


def test_the_loss_falls_below_the_limit_and_grows_above_it(rows):
    assert value(rows, "part_0.9_above_best_loss") < 1e-12
    assert value(rows, "part_1.1_above_best_loss") > 1e6


def test_only_the_line_has_one_hessian(rows):
    assert value(rows, "line_hessian_change_ratio") < 1e-15
    assert value(rows, "net_hessian_change_ratio") > 0.1


def test_page(rows):
    page = check_page(FOUND, rows)
    assert "1.985674" in page
    assert "0.953554" in page
    check_without(FOUND, rows)
