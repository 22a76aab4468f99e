"""Downhill: walks are descent by hand, on surfaces that are those of the page."""

import re

import numpy as np
import pytest

from diffkit.lesson import heat
from diffkit.lesson.data import Data, GapError, Measured
from diffkit.lesson.sections import downhill
from diffkit.lesson.terrain import Terrain, Walk
from tests.lesson.conftest import REPORTS
from tests.lesson.drawn import points


@pytest.fixture(scope="module")
def view(registry):
    return downhill.view(Data(REPORTS, registry.found))


@pytest.fixture(scope="module")
def exercise():
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    return x, 2 * x + 0.5 + 0.1 * legacy.randn(100)


LOSSES = {
    "mse": (np.square, lambda e: 2 * e),
    "mae": (np.abs, np.sign),
    "huber": (
        lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5),
        lambda e: np.clip(e, -1, 1),
    ),
}
HEIGHTS = {
    "ravine": lambda u, v: (u**2 + 50 * v**2) / 2,
    "saddle": lambda u, v: u**2 / 2 - v**2 / 2 + v**4 / 4,
    "rosenbrock": lambda u, v: (1 - u) ** 2 + 100 * (v - u**2) ** 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_walks_of_the_line_are_descent_by_hand(view, exercise, name):
    x, y = exercise
    loss, slope = LOSSES[name]
    payload = view.payload
    assert {0.02, 0.1, 0.4, 0.95, 1.0} < set(payload["rates"])
    assert max(payload["rates"]) > float(view.facts["huber"])
    walks = payload["terrains"][name]["walks"]
    for rate, (w, b, heights) in zip(payload["rates"], walks, strict=True):
        assert len(w) == len(b) == len(heights) <= downhill.MOST
        at = np.zeros(2)
        for step in range(8):
            error = at[0] * x + at[1] - y
            assert (w[step], b[step]) == pytest.approx(at, rel=1e-5, abs=1e-6)
            assert heights[step] == pytest.approx(np.mean(loss(error)), rel=1e-5)
            at = at - rate * np.array([np.mean(slope(error) * x), slope(error).mean()])


@pytest.mark.parametrize("name", [*LOSSES, *HEIGHTS])
def test_grids_run_along_the_second_axis(view, exercise, name):
    terrain = view.payload["terrains"][name]
    u, v = np.meshgrid(terrain["x"], terrain["y"], indexing="ij")
    if name in HEIGHTS:
        true = HEIGHTS[name](u, v)
    else:
        x, y = exercise
        true = LOSSES[name][0](u[..., None] * x + v[..., None] - y).mean(axis=-1)
    assert max(u.shape) <= downhill.SIDE
    np.testing.assert_allclose(
        np.reshape(terrain["z"], u.shape), true, rtol=1e-5, atol=1e-6
    )
    assert terrain["least"][2] <= np.min(true) + 1e-6


@pytest.mark.parametrize("name", HEIGHTS)
def test_steps_that_were_left_out_are_counted(view, name):
    terrain = view.payload["terrains"][name]
    for u, v, heights in terrain["walks"]:
        assert 2 <= len(u) == len(v) == len(heights) <= downhill.MOST
        true = HEIGHTS[name](np.array(u), np.array(v))
        np.testing.assert_allclose(heights, true, rtol=1e-3, atol=1e-4)
    longest = max(len(walk[0]) for walk in terrain["walks"])
    assert terrain["every"] * (longest - 1) >= 40


def test_only_rates_below_the_limit_arrive(view):
    limit = float(view.facts["limit"])
    arrived = {str(rate): steps for rate, steps in view.facts["arrives"]}
    assert len(arrived) == 5
    for said, steps in arrived.items():
        rate = float(re.sub("<[^>]*>", "", said))
        assert (steps is not None) == (rate < limit)


def test_a_walk_is_drawn_until_it_leaves_the_surface():
    heights = heat.Heights([0.0, 1.0], [0.0, 1.0], [0.0, 1.0, 1.0, 2.0])
    walk = Walk("far", [0, 0.5, 3, 0.5], [0, 1, 1, 1], [0, 1, 9, 1])
    terrain = Terrain("t", "T", heights, ("u", "v"), [walk], (0.0, 0.0, 0.0))
    assert list(terrain.inside(walk)) == [(0, 0), (0.5, 1)]
    (drawn,) = re.findall(
        r'walks"><g class="\S+"><path [^>]* d="([^"]+)"', terrain.drawing("n", "t")
    )
    assert len(points(drawn)) == 2
    short = Walk("cut", [1, 2, 3], [1, 2], [1, 2, 3, 4]).thinned(2)
    assert (short.u, short.v, short.heights) == ([1], [1], [1])


def test_rates_that_one_loss_lacks_are_not_offered(registry):
    data = Data(REPORTS, registry.found)
    rows = data["learning_rate"]
    kept = [
        row
        for row in rows.rows
        if not (row.get("problem") == "fit_mae" and row.metric == "rate_0.4_run_loss")
    ]
    assert 0.4 in downhill._rates(rows)
    assert 0.4 not in downhill._rates(Measured(rows.name, kept, rows.mode))
    without = [row for row in rows.rows if row.get("problem") != "fit_huber"]
    with pytest.raises(GapError, match=rows.command):
        downhill._rates(Measured(rows.name, without, rows.mode))
