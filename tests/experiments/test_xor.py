"""XOR: the linear optimum by hand, lines by geometry, runs that are what they say."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("xor")


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


def test_the_best_linear_losses_are_a_quarter_and_log_two(rows):
    assert value(rows, "best_mse_loss") == pytest.approx(0.25, rel=1e-15)
    assert value(rows, "best_bce_loss") == pytest.approx(np.log(2), rel=1e-15)
    for name in ("mse", "bce"):
        assert value(rows, f"best_{name}_slope_error") < 1e-15
        assert value(rows, f"best_{name}_curvature_value") > 0
        trained = value(rows, f"linear_{name}_loss")
        assert trained == pytest.approx(value(rows, f"best_{name}_loss"), abs=1e-5)


def test_the_closed_form_of_the_linear_model_says_one_half(rows):
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    y = np.array([0, 1, 1, 0])
    theta = np.linalg.solve(x.T @ x, x.T @ y)
    assert value(rows, "best_mse_loss") == pytest.approx(np.mean((x @ theta - y) ** 2))


def test_no_line_gets_more_than_three_right(rows):
    assert value(rows, "best_line_accuracy") == 0.75


def test_one_unit_never_learns_and_eight_always_do(rows):
    for activation in ("tanh", "relu"):
        learned = {
            width: value(rows, f"width_{width}_learned_count", activation=activation)
            for width in (1, 2, 8, 16)
        }
        assert learned[1] == 0
        assert 0 < learned[2] < 10
        assert learned[8] == learned[16] == 10


def test_counts_follow_from_the_recorded_seeds(rows):
    for width in (1, 2, 3, 4, 8, 16):
        names = f"width_{width}_median_loss", f"width_{width}_worst_accuracy"
        ends, right = (
            np.array(report.samples_of(rows, name, activation="tanh")) for name in names
        )
        assert len(ends) == len(right) == 10
        learned = value(rows, f"width_{width}_learned_count", activation="tanh")
        assert learned == np.sum((right == 1) & (ends <= 0.1))


def test_the_surface_is_right_at_the_corners(rows):
    heights = report.samples_of(rows, "probability_value", activation="tanh")
    surface = np.reshape(heights, (41, 41))
    for u in (0, 1):
        for v in (0, 1):
            assert (surface[10 + 20 * u, 10 + 20 * v] > 0.5) == (u != v)


def test_page(rows):
    check_page(FOUND, rows)
    check_without(FOUND, rows)
