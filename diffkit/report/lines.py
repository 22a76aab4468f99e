"""Lines with their names at their ends, on linear or logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from diffkit.report.numbers import log10
from diffkit.report.placing import Box, label_ends, place_along, place_beside
from diffkit.report.style import Look, panels, say_nothing
from diffkit.report.ticks import tick_places, tick_powers

Scale = Literal["log", "linear"]
#: A line of more points has no markers: they would be all that is seen.
_MANY = 40


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one series, and where limits stopped it: (x, how it was stopped).

    ``band`` is (x, low, high): an interval, drawn as a shade behind the line.
    """

    look: Look
    points: Sequence[tuple[float, float]]
    stopped: Sequence[tuple[float, str]] = ()
    labelled: bool = True
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin grey line across the panel at a value of one axis, with its name."""

    value: float
    name: str
    axis: Literal["x", "y"] = "y"


def draw(
    axes: Axes,
    lines: Sequence[Line],
    *,
    title: str,
    x: str,
    y: str,
    x_scale: Scale = "log",
    y_scale: Scale = "log",
    y_limits: tuple[float, float] | None = None,
    y_reach: tuple[float, float] | None = None,
    rules: Sequence[Rule] = (),
) -> None:
    """Draw series with labels at their ends, stops as crosses, rules in grey.

    On a logarithmic axis values may be integers beyond the range of a float: the
    logarithm is drawn, with ticks that show the powers of ten; values that are not
    positive are left out, as are infinities and NaN on any axis. What lies outside
    ``y_limits`` is cut off; values in ``y_reach`` are on the axis whether any line
    gets there or not.
    """
    height_of = log10 if y_scale == "log" else float
    drawn = [_Drawn(line, height_of, x_scale, y_scale) for line in lines]
    drawn = [line for line in drawn if line.points or line.line.stopped]
    stops = any(line.line.stopped for line in drawn)
    if y_limits is None:
        heights = [at for line in drawn for at in line.heights]
        heights += map(height_of, y_reach or ())
        low, high = _range(heights, rules, y_scale)
    else:
        low, high = height_of(y_limits[0]), height_of(y_limits[1])
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if not drawn:
        say_nothing(axes)
        return
    span = max(high - low, 0.5 if y_scale == "log" else 1e-300)
    cut = y_limits is not None
    ends: list[tuple[float, float, Look]] = []
    crosses: list[tuple[float, float, str, Look]] = []
    paths: list[Sequence[tuple[float, float]]] = []
    axes.set_xscale(x_scale)
    for line in drawn:
        look, points, stopped = line.line.look, line.points, line.line.stopped
        _draw_line(axes, line, clip=cut)
        paths.append(points)
        if points and line.line.labelled and not stopped:
            end = points[-1]
            if not cut or low <= end[1] <= high:
                ends.append((*end, look))
        if stopped:
            at, how = stopped[0]
            base = points[-1][1] if points else low
            rise = min(base + 0.12 * span, high + 0.15 * span)
            if points:
                paths.append([points[-1], (at, rise)])
            _draw_stop(axes, paths[-1][0] if points else None, (at, rise), look)
            crosses.append((at, rise, how, look))
    if cut:
        axes.set_ylim(low, high)
    else:
        axes.set_ylim(low - 0.08 * span, high + (0.34 if stops else 0.12) * span)
    if x_scale == "log":
        tick_places(axes, sorted({at for line in drawn for at in line.places}))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
        axes.margins(x=0.02)
    axes.autoscale_view(scaley=False)
    if y_scale == "log":
        tick_powers(axes)
    taken: list[Box] = []
    _draw_rules(axes, rules, height_of, paths, taken)
    for at, rise, how, look in crosses:
        text = f"{look.name}:\nstopped, {how.replace('_', ' ')}"
        place_beside(axes, text, (at, rise), look.colour, paths, taken)
    label_ends(axes, ends)


def multiples(
    groups: Mapping[str, Sequence[Line]],
    *,
    x: str,
    y: str,
    columns: int = 3,
    width: float = 12.5,
    height: float = 3.0,
    x_scale: Scale = "log",
    y_scale: Scale = "log",
    rules: Sequence[Rule] = (),
) -> Figure:
    """Small multiples: a panel for each name, all with the same vertical axis.

    ``width`` is that of the figure and ``height`` that of one row of panels, in inches.
    """
    columns = min(columns, max(len(groups), 1))
    rows = -(-max(len(groups), 1) // columns)
    figure, places = panels(rows, columns, width=width, height=height * rows)
    for axes in places[len(groups) :]:
        axes.remove()
    known = [
        value
        for lines in groups.values()
        for line in lines
        for value in (
            *(value for _, value in line.points),
            *(end for _, *ends in line.band for end in ends),
        )
        if _is_finite(value) and (y_scale == "linear" or value > 0)
    ]
    for number, (name, lines) in enumerate(groups.items()):
        draw(
            places[number],
            lines,
            title=name,
            x=x if number + columns >= len(groups) else "",
            y=y if number % columns == 0 else "",
            x_scale=x_scale,
            y_scale=y_scale,
            y_reach=(min(known), max(known)) if known else None,
            rules=rules,
        )
    return figure


class _Drawn:
    """One line in the coordinates of the axes, without what they cannot show."""

    def __init__(
        self,
        line: Line,
        height_of: Callable[[float], float],
        x_scale: Scale,
        y_scale: Scale,
    ) -> None:
        def shown(at: float, *values: float) -> bool:
            return (
                all(map(_is_finite, (at, *values)))
                and (x_scale == "linear" or at > 0)
                and (y_scale == "linear" or min(values, default=1) > 0)
            )

        self.line = line
        self.points = [(at, height_of(v)) for at, v in line.points if shown(at, v)]
        self.band = [
            (at, height_of(low), height_of(high))
            for at, low, high in line.band
            if shown(at, low, high)
        ]
        self.heights = [height for _, height in self.points]
        self.heights += [height for _, *ends in self.band for height in ends]
        self.places = [at for at, _ in self.points]
        self.places += [at for at, _ in line.stopped if shown(at)]


def _draw_line(axes: Axes, line: _Drawn, *, clip: bool) -> None:
    look = line.line.look
    if line.points:
        axes.plot(
            [at for at, _ in line.points],
            [value for _, value in line.points],
            color=look.colour,
            marker=look.marker if len(line.points) <= _MANY else "",
            linestyle=look.dash,
            clip_on=clip,
            zorder=3,
        )
    if line.band:
        axes.fill_between(
            [at for at, _, _ in line.band],
            [low for _, low, _ in line.band],
            [high for _, _, high in line.band],
            color=look.colour,
            alpha=0.18,
            linewidth=0,
            zorder=2,
        )


def _draw_stop(
    axes: Axes,
    start: tuple[float, float] | None,
    at: tuple[float, float],
    look: Look,
) -> None:
    """A cross where the line would have gone on, dotted up to there."""
    if start is not None:
        axes.plot(
            [start[0], at[0]],
            [start[1], at[1]],
            color=look.colour,
            linestyle=":",
            linewidth=1.2,
            zorder=2,
        )
    axes.plot(
        [at[0]],
        [at[1]],
        color=look.colour,
        marker="X",
        markersize=8,
        linestyle="none",
        clip_on=False,
        zorder=4,
    )


def _draw_rules(
    axes: Axes,
    rules: Sequence[Rule],
    height_of: Callable[[float], float],
    paths: Sequence[Sequence[tuple[float, float]]],
    taken: list[Box],
) -> None:
    for rule in rules:
        style = {"color": "#777777", "linewidth": 1.0, "linestyle": (0, (4, 3))}
        if rule.axis == "y":
            axes.axhline(height_of(rule.value), zorder=1, **style)
            place_along(axes, rule.name, height_of(rule.value), "y", paths, taken)
        else:
            axes.axvline(rule.value, zorder=1, **style)
            place_along(axes, rule.name, rule.value, "x", paths, taken)


def _is_finite(number: float) -> bool:
    # An integer may be beyond the range of a float.
    return isinstance(number, int) or math.isfinite(number)


def _range(
    heights: Sequence[float], rules: Sequence[Rule], scale: Scale
) -> tuple[float, float]:
    height_of = log10 if scale == "log" else float
    levels = [height_of(rule.value) for rule in rules if rule.axis == "y"]
    both = [*heights, *levels]
    if not both:
        return 0.0, 1.0
    low, high = min(both), max(both)
    if scale == "linear" and low == high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    return low, high
