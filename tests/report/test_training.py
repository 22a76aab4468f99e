"""Figures of a training: what is drawn is what was measured."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from diffkit.report import figures, training
from diffkit.train import metrics


def frame(epochs=3, batches=4, scale=1.0):
    rows = [(0, "validation", 0.9, np.nan)]
    for epoch in range(1, epochs + 1):
        rows += [
            (epoch, "batch", scale / epoch + 0.01 * i, np.nan) for i in range(batches)
        ]
        rows.append((epoch, "train", scale / epoch, 1 - 0.5 / epoch))
        rows.append((epoch, "validation", scale / epoch + 0.1, 1 - 0.6 / epoch))
    return pd.DataFrame(rows, columns=["epoch", "split", "loss", "accuracy"])


def lines(axes) -> dict[str, Any]:
    return {line.get_color(): line for line in axes.get_lines()}


def test_losses_are_drawn_by_epoch_and_batches_at_their_place_in_it():
    history = frame()
    figure = training.loss_figure(history, "A title", "accuracy")
    left, right = figure.axes
    drawn = lines(left)
    for split in ("train", "validation"):
        line = drawn[training.SPLITS[split].colour]
        rows = history[history["split"] == split]
        assert line.get_xdata().tolist() == rows["epoch"].tolist()
        assert line.get_ydata().tolist() == rows["loss"].tolist()
    dots = drawn[training.SPLITS["batch"].colour]
    assert dots.get_xdata()[:5].tolist() == [0.25, 0.5, 0.75, 1.0, 1.25]
    assert left.get_title(loc="left") == "A title"
    accuracy = lines(right)[training.SPLITS["train"].colour]
    assert accuracy.get_ydata()[-1] == pytest.approx(1 - 0.5 / 3)


def test_names_stand_where_the_lines_end():
    figure = training.loss_figure(frame(scale=3.0))
    (axes,) = figure.axes
    figure.canvas.draw()
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    for name, split in (("training", "train"), ("validation", "validation")):
        line = lines(axes)[training.SPLITS[split].colour]
        end = axes.transData.transform((0, line.get_ydata()[-1]))[1]
        place = axes.transAxes.transform((0, heights[name]))[1]
        assert place == pytest.approx(end, abs=0.07 * axes.bbox.height)
    assert heights["validation"] - heights["training"] >= 0.0599


@pytest.mark.parametrize("epochs, scale", [(3, "linear"), (60, "log")])
def test_the_axis_is_logarithmic_where_losses_span_a_lot(epochs, scale):
    rows = frame(epochs, batches=1)
    rows.loc[rows["split"] == "validation", "loss"] = 0.5
    (axes,) = training.loss_figure(rows).axes
    assert axes.get_yscale() == scale
    # One batch an epoch: the training line has the same points.
    assert training.SPLITS["batch"].colour not in lines(axes)


def test_what_is_not_finite_is_left_out_and_many_batches_are_thinned():
    rows = frame(100, 100)
    rows.loc[rows.index[-1], "loss"] = np.inf
    (axes,) = training.loss_figure(rows).axes
    drawn = lines(axes)
    assert len(drawn[training.SPLITS["batch"].colour].get_xdata()) <= 4000
    assert len(drawn[training.SPLITS["validation"].colour].get_xdata()) == 100


def test_calibration_shows_each_model_with_its_error(rng):
    p, y = rng.random(300), rng.integers(2, size=300)
    curves = {
        "one": metrics.reliability_curve(p, y),
        "two": metrics.reliability_curve(p**2, y),
    }
    figure = training.calibration_figure(curves, "Rows")
    upper, lower = figure.axes
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == [
        "perfectly calibrated",
        f"one, ECE {curves['one'].error:.3f}",
        f"two, ECE {curves['two'].error:.3f}",
    ]
    points = upper.get_lines()[1]
    np.testing.assert_array_equal(points.get_xdata(), curves["one"].predicted)
    np.testing.assert_array_equal(points.get_ydata(), curves["one"].observed)
    assert lower.get_lines()[0].get_ydata().sum() == 300


@pytest.mark.parametrize("right, of", [(0, 5), (3, 7), (5, 5), (40, 100)])
def test_intervals_are_wilsons(right, of):
    low, high = training.wilson(np.array([right / of]), np.array([of]))
    theirs: Any = binomtest(right, of).proportion_ci(method="wilson")
    np.testing.assert_allclose([low[0], high[0]], [theirs.low, theirs.high], atol=1e-7)


def test_predictions_are_drawn_against_what_was_observed(rng):
    observed, predicted = rng.normal(size=(2, 20, 1))
    figure = training.prediction_figure(observed, predicted, "Rows", "weight")
    (axes,) = figure.axes
    diagonal, points = axes.get_lines()
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    np.testing.assert_array_equal(points.get_ydata(), predicted[:, 0])
    assert axes.get_xlabel() == "observed weight"


def test_the_same_rows_give_the_same_bytes(tmp_path, rng):
    p, y = rng.random(50), rng.integers(2, size=50)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        curve = metrics.reliability_curve(p, y)
        figures.save(training.loss_figure(frame()), tmp_path / name, "loss")
        figures.save(
            training.calibration_figure({"net": curve}), tmp_path / name, "calibration"
        )
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
