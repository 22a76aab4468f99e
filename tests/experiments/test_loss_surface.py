"""The loss over weight and bias: heights, optimum, arrows, and the claimed loss."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("loss_surface")


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


@pytest.fixture(scope="module")
def data():
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    return x, 2 * x + 0.5 + 0.1 * legacy.randn(100)


def test_heights_are_mean_squared_errors(rows, data):
    x, y = data
    w, b, grid = (
        np.array(report.samples_of(rows, metric))
        for metric in ("w_axis_value", "b_axis_value", "grid_loss")
    )
    true = [np.mean((u * x + v - y) ** 2) for u in w for v in b]
    np.testing.assert_allclose(grid, true, rtol=2e-6)
    assert value(rows, "origin_loss") == pytest.approx(np.mean(y**2), rel=1e-13)
    assert round(value(rows, "origin_loss"), 4) == 3.3151


def test_the_optimum_is_that_of_polyfit(rows, data):
    w, b = np.polyfit(*data, 1)
    assert value(rows, "optimum_w_value") == pytest.approx(w, rel=1e-12)
    assert value(rows, "optimum_b_value") == pytest.approx(b, rel=1e-12)
    assert value(rows, "optimum_loss") < value(rows, "grid_loss")


def test_arrows_of_every_way_are_the_slopes_written_by_hand(rows, data):
    x, y = data
    at = [(w / 2, b / 2) for w in range(-2, 11) for b in range(-5, 8)]
    off = [w * x + b - y for w, b in at]
    ways = [row.backend for row in rows if row.metric == "relative_error"]
    assert len(ways) == 5
    for way in ways:
        places = [
            report.samples_of(rows, f"at_{name}_value", way) for name in ("w", "b")
        ]
        assert list(zip(*places, strict=True)) == at
        mine = report.samples_of(rows, "arrow_w_value", way)
        np.testing.assert_allclose(mine, [2 * np.mean(o * x) for o in off], rtol=2e-6)
        mine = report.samples_of(rows, "arrow_b_value", way)
        np.testing.assert_allclose(mine, [2 * np.mean(o) for o in off], rtol=2e-6)
        apart = report.samples_of(rows, "from_reverse_error", way)
        assert len(apart) == len(at)
        # Where the slope is a difference of nearly equal sums, rounding weighs more.
        assert value(rows, "from_reverse_error", way) == pytest.approx(max(apart))
        assert max(apart) < (1e-7 if way.startswith("finite") else 1e-12)
        bound = 1e-9 if way.startswith("finite") else 1e-14
        assert value(rows, "relative_error", way) < bound


def test_other_draws_are_counted(rows):
    losses = []
    for seed in range(500):
        legacy = np.random.RandomState(seed)
        x = legacy.randn(100)
        losses.append(np.mean((2 * x + 0.5 + 0.1 * legacy.randn(100)) ** 2))
    assert value(rows, "above_count") == sum(loss >= 6.1718 for loss in losses)
    assert value(rows, "draws_loss") == pytest.approx(np.median(losses), rel=1e-12)


def test_page(rows):
    page = check_page(FOUND, rows)
    assert "3.3151" in page
    check_without(FOUND, rows)
