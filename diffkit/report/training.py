"""Figures of one training: its losses, and whether its probabilities are honest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from diffkit.report.placing import apart
from diffkit.report.style import Look, house_style, panels
from diffkit.train.metrics import Reliability

#: Looks of the parts of the data, the same in every figure of a training.
SPLITS: Mapping[str, Look] = {
    "batch": Look("each batch", "#9ecae1", ".", "none"),
    "train": Look("training", "#0072B2", "o"),
    "validation": Look("validation", "#D55E00", "s"),
    "test": Look("test", "#000000", "D"),
}
#: Looks of several models in one figure, in order.
MODELS = (
    Look("", "#0072B2", "o"),
    Look("", "#D55E00", "s"),
    Look("", "#009E73", "^"),
    Look("", "#CC79A7", "v"),
)
#: Beyond this ratio of largest to smallest loss the axis is logarithmic.
_LOGARITHMIC = 20.0
_MOST_DOTS = 4000
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Series:
    """One line: (epoch, value) of one split."""

    look: Look
    points: Sequence[tuple[float, float]]


def loss_figure(frame: Any, title: str = "Loss", metric: str | None = None) -> Figure:
    """The losses of a history by epoch, and a metric beside them where one is named.

    `frame` is that of a `History`, with a row for each batch and for each part after
    each epoch. Batch losses are dots at their place within the epoch. The axis is
    logarithmic where losses span more than a factor of 20.
    """
    with house_style():
        count = 2 if metric else 1
        figure, axes = panels(1, count, width=5.4 * count + 0.4, height=3.9)
        _draw_losses(axes[0], frame, title)
        if metric:
            shown = [
                Series(SPLITS[split], _points(frame, split, metric))
                for split in ("train", "validation")
            ]
            _draw_lines(axes[1], [line for line in shown if line.points])
            axes[1].set_title(metric.replace("_", " ").capitalize())
            axes[1].set_xlabel("epoch")
    return figure


def calibration_figure(
    curves: Mapping[str, Reliability], title: str = "Calibration"
) -> Figure:
    """Observed against predicted frequency, with how many rows each point stands for.

    On the diagonal, what is called 30 % comes true in 30 % of the rows. Bars are 95 %
    intervals of the observed share (Wilson, 1927): a point off the diagonal whose bar
    reaches it may be chance. The lower panel counts rows by predicted probability.
    """
    with house_style():
        figure = Figure(figsize=(5.2, 6.0), layout="constrained")
        upper, lower = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 1]}
        )
        upper.plot(
            [0, 1],
            [0, 1],
            color="#999999",
            linewidth=1,
            linestyle="--",
            label="perfectly calibrated",
        )
        for place, (name, curve) in enumerate(curves.items()):
            look = MODELS[place % len(MODELS)]
            _draw_reliability(upper, curve, look, f"{name}, ECE {curve.error:.3f}")
            lower.plot(
                curve.predicted,
                curve.counts,
                color=look.colour,
                marker=look.marker,
                linewidth=1.2,
            )
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03))
        upper.set_title(title)
        upper.set_ylabel("observed share")
        figure.legend(frameon=False, loc="outside lower center", fontsize=9)
        lower.set_yscale("log")
        lower.set_ylim(bottom=0.7)
        lower.set_xlabel("predicted probability")
        lower.set_ylabel("rows")
    return figure


def prediction_figure(
    observed: np.ndarray, predicted: np.ndarray, title: str, unit: str = "target"
) -> Figure:
    """Predicted against observed numbers; right predictions lie on the diagonal."""
    with house_style():
        figure, (axes,) = panels(1, 1, width=4.8, height=4.6)
        low = float(min(observed.min(), predicted.min()))
        high = float(max(observed.max(), predicted.max()))
        axes.plot([low, high], [low, high], color="#999999", linestyle="--")
        axes.plot(
            observed.ravel(),
            predicted.ravel(),
            color="#0072B2",
            marker="o",
            markersize=3.5,
            linestyle="none",
            alpha=0.6,
        )
        axes.set_title(title)
        axes.set_xlabel(f"observed {unit}")
        axes.set_ylabel(f"predicted {unit}")
    return figure


def wilson(share: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the 95 % score interval of a share of `counts` rows.

    >>> low, high = wilson(np.array([0.5]), np.array([100]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.404], [0.596])
    """
    z2 = _Z95**2
    middle = (share + z2 / (2 * counts)) / (1 + z2 / counts)
    variance = share * (1 - share) / counts + z2 / (4 * counts**2)
    half = sqrt(z2) * np.sqrt(variance) / (1 + z2 / counts)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _draw_losses(axes: Axes, frame: Any, title: str) -> None:
    lines = [
        Series(SPLITS[split], _points(frame, split, "loss"))
        for split in ("train", "validation")
    ]
    lines = [line for line in lines if line.points]
    dots = _batch_points(frame)
    values = [value for line in lines for _, value in line.points]
    values += [value for _, value in dots]
    if values and min(values) > 0 and max(values) > _LOGARITHMIC * min(values):
        axes.set_yscale("log")
    if dots:
        look = SPLITS["batch"]
        axes.plot(
            [at for at, _ in dots],
            [value for _, value in dots],
            color=look.colour,
            marker=look.marker,
            markersize=2.5,
            linestyle="none",
            zorder=1,
            label=look.name,
            rasterized=True,
        )
        axes.legend(frameon=False, fontsize=8.5, markerscale=2.5, loc="upper right")
    _draw_lines(axes, lines)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")


def _draw_lines(axes: Axes, lines: Sequence[Series]) -> None:
    """Lines with their names at their ends, moved apart where they are close."""
    many = max((len(line.points) for line in lines), default=0) > 25
    for line in lines:
        axes.plot(
            [at for at, _ in line.points],
            [value for _, value in line.points],
            color=line.look.colour,
            marker="" if many else line.look.marker,
            linestyle=line.look.dash,
            zorder=3,
        )
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10])
    )
    if not lines:
        return
    axes.autoscale_view()
    scale, limits = axes.transScale, axes.get_ylim()
    low, high = (scale.transform((1.0, limit))[1] for limit in limits)
    heights = [scale.transform((1.0, line.points[-1][1]))[1] for line in lines]
    # In shares of the axis, where a gap is a gap on either scale.
    ends = sorted(zip(heights, range(len(lines)), strict=True))
    places = [(height - low) / (high - low) for height, _ in ends]
    spread = apart(places, 0.06, 1.0)
    for (_, number), place in zip(ends, spread, strict=True):
        look = lines[number].look
        axes.annotate(
            look.name,
            xy=(1.0, place),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            color=look.colour,
            fontsize=8.5,
            va="center",
            annotation_clip=False,
        )


def _draw_reliability(axes: Axes, curve: Reliability, look: Look, name: str) -> None:
    low, high = wilson(curve.observed, curve.counts)
    axes.vlines(curve.predicted, low, high, color=look.colour, alpha=0.45, linewidth=2)
    axes.plot(
        curve.predicted,
        curve.observed,
        color=look.colour,
        marker=look.marker,
        markersize=5.5,
        linewidth=1.2,
        label=name,
        zorder=3,
    )


def _points(frame: Any, split: str, column: str) -> list[tuple[float, float]]:
    """Finite values of one split by epoch."""
    rows = frame[frame["split"] == split]
    pairs = zip(rows["epoch"].tolist(), rows[column].tolist(), strict=True)
    return [(at, value) for at, value in pairs if np.isfinite(value)]


def _batch_points(frame: Any) -> list[tuple[float, float]]:
    """Batch losses at their place within the epoch, thinned evenly where many.

    None when each epoch is one batch: the training line is the same points.
    """
    rows = frame[(frame["split"] == "batch") & np.isfinite(frame["loss"])]
    epochs = rows["epoch"].to_numpy()
    if len(rows) == 0 or len(rows) == len(np.unique(epochs)):
        return []
    first = np.searchsorted(epochs, epochs)
    count = np.searchsorted(epochs, epochs, side="right") - first
    at = epochs - 1 + (np.arange(len(rows)) - first + 1) / count
    every = -(-len(rows) // _MOST_DOTS)
    loss = rows["loss"].to_numpy()
    return list(zip(at[::every].tolist(), loss[::every].tolist(), strict=True))
