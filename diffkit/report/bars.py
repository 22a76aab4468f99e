"""Bars with their values written at their ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from diffkit.report.lines import Scale
from diffkit.report.style import SMALL, Look, say_nothing


@dataclass(frozen=True, slots=True)
class Bars:
    """One series: a value for each label, None where there is none, and why.

    ``spread`` holds (low, high) by label, drawn as a thin line over the end of its bar.
    """

    look: Look
    values: Mapping[str, float | None]
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)


def bars(
    axes: Axes,
    series: Sequence[Bars],
    *,
    title: str,
    x: str,
    scale: Scale = "linear",
    show: Callable[[float], str] = "{:.3g}".format,
) -> None:
    """Horizontal bars, a group for each label, from top to bottom; values at the ends.

    A logarithmic axis has no zero for a bar to stand on, so there the value is a dot at
    the end of a thin line. A value that is None is written as its ``why``.
    """
    labels = list(dict.fromkeys(label for one in series for label in one.values))
    axes.set_title(title)
    axes.set_xlabel(x)
    if not labels:
        say_nothing(axes)
        return
    known = [
        float(value)
        for one in series
        for value in one.values.values()
        if value is not None and (scale == "linear" or value > 0)
    ]
    low, high = (min(known), max(known)) if known else (1.0, 10.0)
    start = 0.0 if scale == "linear" else low / (high / low * 10) ** 0.08
    thick = 0.8 / max(len(series), 1)
    axes.set_xscale(scale)
    for number, one in enumerate(series):
        offset = (number - (len(series) - 1) / 2) * thick
        for place, label in enumerate(labels):
            value = one.values.get(label)
            at = place + offset
            if value is None or (scale == "log" and value <= 0):
                why = one.why.get(label, "" if value is None else show(value))
                _write(axes, why, start, at, one.look.colour)
                continue
            _draw_one(axes, one, label, float(value), at, thick, start, scale)
            end = max(float(value), one.spread.get(label, (0.0, value))[1])
            _write(axes, show(value), max(end, start), at, "#333333")
    axes.set_yticks(range(len(labels)), [label.replace("_", " ") for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    if scale == "log":
        axes.set_xlim(start, high * (high / start) ** 0.16)
    else:
        room = (max(high, 0.0) - min(low, 0.0)) or 1.0
        axes.set_xlim(min(low, 0.0) * 1.08, max(high, 0.0) + 0.16 * room)
    if len(series) > 1:
        handles = [
            axes.scatter([], [], color=one.look.colour, marker="s", label=one.look.name)
            for one in series
        ]
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=min(len(series), 4),
            fontsize=SMALL,
        )


def _draw_one(
    axes: Axes,
    one: Bars,
    label: str,
    value: float,
    at: float,
    thick: float,
    start: float,
    scale: Scale,
) -> None:
    if scale == "linear":
        axes.barh(at, value, height=0.86 * thick, color=one.look.colour)
    else:
        axes.plot([start, value], [at, at], color=one.look.colour, linewidth=1.2)
        axes.plot([value], [at], color=one.look.colour, marker=one.look.marker)
    if label in one.spread:
        low, high = one.spread[label]
        axes.plot([low, high], [at, at], color="#222222", linewidth=1.0)


def _write(axes: Axes, text: str, x: float, y: float, colour: str) -> None:
    axes.annotate(
        text,
        xy=(x, y),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=colour,
    )
