"""Variances against closed forms, and units that stay alike to the last bit."""

import numpy as np
import pytest

from diffkit import nn
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("initialization")
MODULE = load_file(ROOT / "experiments" / "initialization.py")


def test_zeros_leave_every_activation_at_its_origin():
    _, tanh = MODULE.spreads("tanh", nn.zeros, 3)
    _, sigmoid = MODULE.spreads("sigmoid", nn.zeros, 3)
    assert tanh[1:] == [0.0, 0.0, 0.0]
    assert sigmoid[1:] == [0.25, 0.25, 0.25]


def test_the_variance_of_a_sum_is_that_of_its_terms():
    # n terms of variance 1/3 each: U(−1, 1) on standard normal inputs.
    before, _ = MODULE.spreads("relu", nn.uniform, 1)
    assert before[1] == pytest.approx(MODULE.WIDTH / 3, rel=0.1)


def test_relu_keeps_half_of_the_square_so_he_levels_and_xavier_halves():
    _, he = MODULE.spreads("relu", nn.he, 8)
    _, xavier = MODULE.spreads("relu", nn.xavier, 8)
    assert he[-1] == pytest.approx(1.0, rel=0.6)
    assert xavier[-1] == pytest.approx(he[-1] * 2.0**-8, rel=1e-9)


def test_the_second_argument_read_as_a_deviation_is_far_too_small():
    weights = MODULE.deviation_misread(np.random.default_rng(0), 300, 100)
    assert weights.std() == pytest.approx(2 / 400, rel=0.02)


def test_different_units_are_counted():
    assert MODULE.different_units(np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])) == 2


def test_units_that_start_alike_end_alike_and_the_page_says_so():
    rows = (
        *measured(FOUND, part="training", activation="sigmoid", init="zeros"),
        *measured(FOUND, part="training", activation="tanh", init="constant"),
        *measured(FOUND, part="training", activation="tanh", init="Xavier"),
        *measured(FOUND, part="variance", activation="relu"),
    )
    for init in ("zeros", "constant"):
        assert value(rows, "first_layer_units_count", init=init) == 1
    units = value(rows, "first_layer_units_count", init="Xavier", part="training")
    assert units == MODULE.HIDDEN
    page = check_page(FOUND, rows, whole=False)
    assert "has 1 different unit" in page
    check_without(FOUND, rows)
