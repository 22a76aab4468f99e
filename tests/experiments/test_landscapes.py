"""Landscapes: minima by mathematics, steps by theory, and the saddle's logarithm."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("landscapes")
MODULE = FOUND.experiment.measure.__globals__
MINIMA = {
    "ravine": (0.0, 0.0),
    "saddle": (0.0, -1.0),
    "plateau": (0.0, 0.0),
    "rosenbrock": (1.0, 1.0),
    "himmelblau": (3.0, 2.0),
    "beale": (3.0, 0.5),
}


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


@pytest.mark.parametrize("name", MINIMA)
def test_surfaces_have_the_minima_of_the_literature(rows, name):
    surface = MODULE["SURFACES"][name]
    at = surface.function(np.array(MINIMA[name]))
    assert at == pytest.approx(surface.least, abs=1e-12)
    lowest = value(rows, "height_value", surface=name)
    assert lowest >= surface.least - 1e-12


def test_runs_that_arrive_are_at_a_minimum(rows):
    arrived = 0
    for name, surface in MODULE["SURFACES"].items():
        for optimizer in MODULE["OPTIMIZERS"]:
            left = value(rows, f"{optimizer}_above_least_loss", surface=name)
            steps = report.rows_of(rows, f"{optimizer}_steps_count", surface=name)
            assert bool(steps) == (left <= 1e-6)
            arrived += bool(steps)
            u = report.samples_of(rows, f"{optimizer}_u_value", surface=name)
            assert u[0] == surface.start[0]
            v = report.samples_of(rows, f"{optimizer}_v_value", surface=name)
            values = report.samples_of(rows, f"{optimizer}_path_loss", surface=name)
            height = surface.function(np.array([u, v]))
            # Points are kept to seven figures, and Rosenbrock's walls are steep.
            np.testing.assert_allclose(values, height, rtol=1e-4, atol=1e-4)
    assert arrived >= 20


@pytest.mark.parametrize("condition", [3, 30, 1000])
def test_descent_crosses_a_ravine_in_the_steps_of_theory(rows, condition):
    factor = (condition - 1) / (condition + 1)
    steps = value(rows, f"descent_condition_{condition}_steps_count")
    assert factor ** (2 * steps) <= 1e-6 * (1 + 1e-9)
    assert factor ** (2 * (steps - 1)) > 1e-6


def test_momentum_needs_about_the_root_of_the_steps(rows):
    descent, momentum = (
        [value(rows, f"{name}_condition_{c}_steps_count") for c in (100, 1000)]
        for name in ("descent", "momentum")
    )
    assert descent[1] / descent[0] == pytest.approx(10, rel=0.01)
    assert 2.5 < momentum[1] / momentum[0] < 4.0


def test_leaving_the_saddle_takes_the_logarithm_of_the_offset(rows):
    near, far = (value(rows, f"offset_{d:g}_steps_count") for d in (1e-15, 1e-3))
    assert near - far == pytest.approx(12 * np.log(10) / np.log(1.1), abs=1.0)
    assert value(rows, "offset_0_escaped_count") == 0
    assert "offset_0_steps_count" not in {row.metric for row in rows}


def test_page(rows):
    check_page(FOUND, rows)
    check_without(FOUND, rows)
