"""The surface: the loss over weight and bias, and the arrow that every way draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffkit.lesson import chart, heat
from diffkit.lesson.data import Data, GapError, Measured, Number
from diffkit.lesson.section import Section, View
from diffkit.report import numbers

NAME = "surface"
MEASURED = "loss_surface"
#: The ways in the order they are drawn, from the widest arrow to the thinnest.
WAYS = {
    "autodiff": "reverse mode",
    "symbolic_shared": "symbols, shared",
    "symbolic_expanded": "symbols, written out",
    "forward": "forward mode",
    "finite_differences_central": "central differences",
}
#: Every so many points of the sliders the still figure has arrows.
STILL = 3
#: Units of the axes for one unit of slope: arrows that fit.
LENGTH = 0.17
HEIGHT = 470


@dataclass(frozen=True, slots=True)
class Nodes:
    """Points that have gradients: rising w and b, and their place among samples."""

    w: Sequence[float]
    b: Sequence[float]

    def place(self, w: float, b: float) -> int:
        """Which sample a point is, b running fastest."""
        return self.w.index(w) * len(self.b) + self.b.index(b)


def view(data: Data) -> View:
    """Losses of the grid, gradients of each way at the points of the sliders."""
    rows = data[MEASURED]
    heights = heat.Heights(
        rows.samples("w_axis_value", part="grid"),
        rows.samples("b_axis_value", part="grid"),
        rows.samples("grid_loss", part="grid"),
    )
    if len(heights.values) != len(heights.x) * len(heights.y):
        raise GapError(rows.name, "no whole grid", rows.mode)
    nodes = _nodes(rows)
    ways = {way: _arrows(rows, way, nodes) for way in WAYS}
    best = tuple(rows.number(f"optimum_{one}_value", part="grid") for one in "wb")
    start = (_nearest(nodes.w, 0.0), _nearest(nodes.b, 0.0))
    place = start[0] * len(nodes.b) + start[1]
    return View(
        {
            "drawing": _drawing(heights, nodes, ways, (float(best[0]), float(best[1]))),
            "places": (len(nodes.w), len(nodes.b)),
            "start": start,
            "ways": list(WAYS.values()),
            "lines": [_line(rows, way, place) for way in WAYS],
            "origin": rows.number("origin_loss", words="{:.4f}".format, part="grid"),
            "claimed": rows.number("claimed_loss", part="draws", words="{:g}".format),
            "reaching": rows.number("above_count", part="draws"),
            "draws": rows.number("draws_count", part="draws"),
            "w": best[0].said("{:.3f}".format),
            "b": best[1].said("{:.3f}".format),
            "least": rows.number("optimum_loss", words="{:.4f}".format, part="grid"),
            "apart": _error(rows, "symbolic_shared"),
            "differences": _error(rows, "finite_differences_central"),
        },
        {
            "w": nodes.w,
            "b": nodes.b,
            "loss": _losses(rows, heights, nodes),
            "ways": [[arrows.w, arrows.b, arrows.apart] for arrows in ways.values()],
        },
    )


@dataclass(frozen=True, slots=True)
class Arrows:
    """A way's gradient at each point, and how far it is from reverse mode's."""

    w: tuple[float, ...]
    b: tuple[float, ...]
    apart: tuple[float, ...]


def _nodes(rows: Measured) -> Nodes:
    at = [
        rows.samples(f"at_{one}_value", "autodiff", part="arrows") for one in ("w", "b")
    ]
    nodes = Nodes(*(sorted(set(axis)) for axis in at))
    points = [(w, b) for w in nodes.w for b in nodes.b]
    if points != list(zip(*at, strict=False)):
        raise GapError(rows.name, "no arrows at all points of a grid", rows.mode)
    return nodes


def _arrows(rows: Measured, way: str, nodes: Nodes) -> Arrows:
    found = Arrows(
        *(
            rows.samples(metric, way, part="arrows")
            for metric in ("arrow_w_value", "arrow_b_value", "from_reverse_error")
        )
    )
    if any(
        len(one) != len(nodes.w) * len(nodes.b)
        for one in (found.w, found.b, found.apart)
    ):
        raise GapError(rows.name, f"no arrows by {way} at all points", rows.mode)
    return found


def _losses(rows: Measured, heights: heat.Heights, nodes: Nodes) -> list[float]:
    """The recorded loss at each point that has an arrow."""
    try:
        w = [heights.x.index(value) for value in nodes.w]
        b = [heights.y.index(value) for value in nodes.b]
    except ValueError as error:
        raise GapError(rows.name, "no loss at every arrow", rows.mode) from error
    return [heights.at(i, j) for i in w for j in b]


def _line(rows: Measured, way: str, place: int) -> list[str | Number]:
    def number(metric: str) -> Number:
        words = numbers.scientific if metric.endswith("error") else "{:.5f}".format
        return rows.number(metric, way, sample=place, words=words, part="arrows")

    metrics = ("arrow_w_value", "arrow_b_value", "from_reverse_error")
    return [WAYS[way], *(number(metric) for metric in metrics)]


def _error(rows: Measured, way: str) -> Number:
    return rows.number(
        "from_reverse_error", way, words=numbers.scientific, part="arrows"
    )


def _nearest(axis: Sequence[float], value: float) -> int:
    return min(range(len(axis)), key=lambda at: abs(axis[at] - value))


def _drawing(
    heights: heat.Heights,
    nodes: Nodes,
    ways: dict[str, Arrows],
    best: tuple[float, float],
) -> Markup:
    x = chart.Axis("weight w", heights.x[0], heights.x[-1])
    y = chart.Axis("bias b", heights.y[0], heights.y[-1])
    to = chart.frame(x, y, height=HEIGHT)
    u, v = to(*best)
    still = Markup("").join(
        Markup('<path class="arrow look{} wide{}" d="{}"/>').format(
            look, look, "".join(_still(nodes, arrows, to))
        )
        for look, arrows in enumerate(ways.values(), 1)
    )
    moved = Markup("").join(
        Markup('<path class="arrow look{} wide{}" id="surface-arrow{}"/>').format(
            look, look, look
        )
        for look in range(1, len(ways) + 1)
    )
    extra = (
        heat.bands(heights, to)
        + Markup('<g id="surface-still">{}</g>').format(still)
        + Markup(
            '<path class="least" d="M{:.5g} {:.5g}l12 12m0 -12l-12 12"/>'
            '<text class="mark" x="{:.5g}" y="{:.5g}">least</text>'
            '{}<circle class="here" id="surface-ball" r="0"/>'
        ).format(u - 6, v - 6, u + 9, v - 8, moved)
        + heat.key(heights, "loss", (515, 40))
    )
    return chart.chart(
        "surface-chart",
        "The mean squared error over weight and bias is a bowl; at each point the "
        "arrows of all five ways lie on one another and lead downhill",
        x,
        y,
        [],
        extra=extra,
        height=HEIGHT,
    )


def _still(nodes: Nodes, arrows: Arrows, to: chart.Scale) -> Iterator[str]:
    for w in nodes.w[1:-1:STILL]:
        for b in nodes.b[1:-1:STILL]:
            at = nodes.place(w, b)
            end = (w - LENGTH * arrows.w[at], b - LENGTH * arrows.b[at])
            yield arrow(to(w, b), to(*end))


def arrow(tail: tuple[float, float], tip: tuple[float, float]) -> str:
    """The ``d`` of an arrow from one pixel to another.

    >>> arrow((0, 0), (10, 0))
    'M0 0L10 0M5 3L10 0L5 -3'
    """
    (a, b), (c, d) = tail, tip
    length = math.hypot(c - a, d - b)
    if length < 1:
        return ""
    size = min(9.0, length / 2)
    u, v = size * (c - a) / length, size * (d - b) / length
    left, right = (c - u - 0.6 * v, d - v + 0.6 * u), (c - u + 0.6 * v, d - v - 0.6 * u)
    points = ((a, b), (c, d), left, (c, d), right)
    said = [f"{x:.4g} {y:.4g}" for x, y in points]
    return f"M{said[0]}L{said[1]}M{said[2]}L{said[3]}L{said[4]}"


SECTION = Section(NAME, "3", "The surface", (MEASURED,), ("W3", "C11", "C12"), view)
