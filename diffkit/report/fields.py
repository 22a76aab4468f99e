"""Values over two axes: tables in colour, and landscapes with the paths taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm

from diffkit.report.lines import Scale
from diffkit.report.style import SMALL, Look, say_nothing

#: One hue from dark to light, and two hues about a middle: both told apart by readers
#: with any colour vision (Nuñez, Anderton and Renslow, 2018; ColorBrewer's PuOr).
ONE_WAY, TWO_WAYS = "cividis", "PuOr_r"
#: A table of at most so many cells has its values written in them.
_WRITTEN = 150


@dataclass(frozen=True, slots=True)
class Path:
    """A path over a landscape, from its first point to its last: (x, y) by step."""

    look: Look
    points: Sequence[tuple[float, float]]
    labelled: bool = True


def heat_map(
    axes: Axes,
    values: Any,
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    title: str,
    x: str,
    y: str,
    unit: str,
    scale: Scale = "linear",
    middle: float | None = None,
    reach: float | None = None,
    show: Callable[[float], str] = "{:.3g}".format,
) -> None:
    """A table ``values[row, column]`` in colour, the first row on top.

    NaN is a hatched cell: nothing was measured. With ``middle`` the colours are of two
    hues that meet there; they differ up to ``reach`` from it, and no further. Values
    are written into the cells where they are few.
    """
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    values = np.ma.masked_invalid(np.asarray(values, dtype=float))
    if values.count() == 0:
        say_nothing(axes)
        return
    if scale == "log":
        values = np.ma.masked_less_equal(values, 0.0)
    norm = _norm(values, scale, middle, reach)
    axes.set_facecolor("#f2f2f2")
    axes.patch.set_hatch("///")
    axes.patch.set_edgecolor("#c8c8c8")
    image = axes.imshow(
        values,
        cmap=ONE_WAY if middle is None else TWO_WAYS,
        norm=norm,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_xticks(range(len(columns)), list(columns))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.grid(False)
    axes.tick_params(length=0)
    _colour_bar(axes, image, unit)
    if values.size > _WRITTEN:
        return
    for (row, column), value in np.ma.ndenumerate(values):
        red, green, blue, _ = image.cmap(norm(value))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        axes.text(
            column,
            row,
            show(float(value)),
            ha="center",
            va="center",
            fontsize=SMALL,
            color="#000000" if light else "#ffffff",
        )


def contours(
    axes: Axes,
    xs: Any,
    ys: Any,
    values: Any,
    *,
    title: str,
    x: str,
    y: str,
    unit: str,
    scale: Scale = "linear",
    levels: int = 14,
    paths: Sequence[Path] = (),
    best: tuple[float, float] | None = None,
) -> None:
    """A landscape ``values[j, i]`` over ``xs[i]``, ``ys[j]``, dark where it is low.

    Paths begin at a ring and carry a marker for each step (where they are few), and
    ``best`` is a star. What leaves the landscape is cut off.
    """
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    values = np.asarray(values, dtype=float)
    if not np.isfinite(values).any():
        say_nothing(axes)
        return
    norm = _norm(np.ma.masked_invalid(values), scale, None)
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    spaced = np.geomspace if scale == "log" else np.linspace
    steps = spaced(low, high, levels)
    axes.contourf(xs, ys, values, levels=steps, cmap=ONE_WAY, norm=norm)
    axes.contour(xs, ys, values, levels=steps, colors="#ffffff", linewidths=0.3)
    axes.grid(False)
    axes.set_xlim(float(np.min(xs)), float(np.max(xs)))
    axes.set_ylim(float(np.min(ys)), float(np.max(ys)))
    for path in paths:
        _draw_path(axes, path)
    if best is not None:
        axes.plot(
            [best[0]],
            [best[1]],
            marker="*",
            markersize=14,
            color="#ffffff",
            markeredgecolor="#000000",
            zorder=5,
        )
    _colour_bar(axes, ScalarMappable(norm, ONE_WAY), unit)


def _draw_path(axes: Axes, path: Path) -> None:
    points = [(u, v) for u, v in path.points if np.isfinite(u) and np.isfinite(v)]
    if not points:
        return
    us, vs = zip(*points, strict=True)
    look = path.look
    # A white casing keeps any colour legible on any part of the landscape.
    axes.plot(us, vs, color="#ffffff", linewidth=3.4, zorder=3)
    axes.plot(
        us,
        vs,
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker if len(points) <= 40 else "",
        markeredgecolor="#ffffff",
        markeredgewidth=0.5,
        zorder=4,
    )
    axes.plot(
        us[:1],
        vs[:1],
        marker="o",
        markersize=8,
        markerfacecolor="#ffffff",
        markeredgecolor=look.colour,
        markeredgewidth=1.8,
        zorder=5,
    )
    if not path.labelled:
        return
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    inside = [p for p in points if left <= p[0] <= right and low <= p[1] <= high]
    end = inside[-1] if inside else points[0]
    to_the_left = end[0] > (left + right) / 2
    axes.annotate(
        look.name,
        xy=end,
        xytext=(-8 if to_the_left else 8, 0),
        textcoords="offset points",
        ha="right" if to_the_left else "left",
        va="center",
        color=look.colour,
        fontsize=SMALL,
        fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.85, "pad": 1.0, "linewidth": 0},
        zorder=6,
    )


def _norm(
    values: Any, scale: Scale, middle: float | None, reach: float | None = None
) -> Normalize:
    """Colours over the range of the values; a range of nothing is given some width."""
    known = np.ma.compressed(values)
    if scale == "log":
        known = known[known > 0]
    low, high = (float(known.min()), float(known.max())) if known.size else (1.0, 2.0)
    if scale == "log":
        return LogNorm(low, high if high > low else 10 * low)
    if middle is not None:
        reach = reach or max(high - middle, middle - low) or 1.0
        return TwoSlopeNorm(middle, middle - reach, middle + reach)
    return Normalize(low, high if high > low else low + 1.0)


def _colour_bar(axes: Axes, image: Any, unit: str) -> None:
    figure: Any = axes.get_figure(root=True)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(unit)
    bar.outline.set_visible(False)
