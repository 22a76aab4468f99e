"""AdaGrad's decay, the two momenta and RMSProp's ε in closed form; rates and paths."""

import numpy as np
import pytest

from diffkit import optim
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("optimizers")
MODULE = load_file(ROOT / "experiments" / "optimizers.py")


def test_adagrad_decays_as_one_over_the_root_of_the_steps():
    rows = measured(FOUND, part="decay")
    assert value(rows, "effective_rate_value") == pytest.approx(1000**-0.5, rel=1e-8)
    assert value(rows, "hundredth_rate_value") == pytest.approx(0.1, rel=1e-8)
    assert value(rows, "power_value") == pytest.approx(-0.5, abs=1e-8)


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99])
def test_the_two_momenta_differ_by_one_minus_beta(beta):
    rows = measured(FOUND, part="forms", beta=beta)
    assert value(rows, "steady_rate_ratio") == pytest.approx(1 / (1 - beta), rel=1e-9)
    assert value(rows, "rescaled_error") < 1e-13
    assert value(rows, "same_rate_error") > 1e-3


@pytest.mark.parametrize("epsilon, lost", [(0.0, 1), (1e-8, 0)])
def test_rmsprop_needs_its_epsilon_where_a_gradient_is_zero(epsilon, lost):
    rows = measured(FOUND, part="epsilon", epsilon=epsilon)
    assert value(rows, "nan_entries_count") == lost


def test_descent_in_the_ravine_has_a_closed_form():
    rate, steps = 0.01, 20
    path = MODULE.descend(MODULE.ravine, optim.sgd(rate), MODULE.START, steps).points
    bends = np.array([1.0, MODULE.BEND])
    powers = (1 - rate * bends) ** np.arange(steps + 1)[:, None]
    np.testing.assert_allclose(path, powers * MODULE.START, rtol=1e-12, atol=1e-15)


def test_the_grid_is_centred_and_reaches_rates_that_diverge():
    grid = MODULE.grid("sgd", "ravine", 5)
    assert grid == sorted(grid)
    assert grid[2] < 2 / MODULE.BEND < grid[-1]
    rows = measured(FOUND, part="ravine", optimizer="sgd")
    assert value(rows, "diverged_rates_count") == sum(r > 2 / MODULE.BEND for r in grid)


def test_the_page_follows_from_rows_and_survives_lost_cells():
    rows = (
        *measured(FOUND, part="ravine"),
        *measured(FOUND, part="decay"),
        *measured(FOUND, part="forms"),
        *measured(FOUND, part="epsilon"),
        *measured(FOUND, part="spirals", optimizer="adam"),
    )
    assert "10.0×" in check_page(FOUND, rows, whole=False)
    check_without(FOUND, rows)
