"""Line charts as inline SVG: legible without script, moved by it where there is one.

Matplotlib's drawings are files of their own: tens of kilobytes each, in fixed colours,
with coordinates that only it knows. These take their colours from the page (light, dark
and print), and tell the script where a value lies: see ``lesson.plot`` in
``script/core.js``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup, escape

from diffkit.report.numbers import SUPERSCRIPT

Point = tuple[float, float]
#: Margins in pixels: left, top, bottom.
_MARGINS = (66, 14, 52)
#: Pixels between the baselines of two labels at the least.
_LINE = 17.0
#: A tick on a logarithmic axis stands at every n-th power of ten, so that few remain.
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its label with the unit, its ends, and whether it is logarithmic."""

    label: str
    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] | None = None
    words: Callable[[float], str] | None = None

    def place(self, value: float) -> float:
        """Where a value lies between the ends: 0 at the low one, 1 at the high one.

        >>> Axis("n", 1, 100, log=True).place(10)
        0.5
        """
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(value) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> list[tuple[float, str]]:
        """Ticks and what is written at them."""
        if self.ticks is not None:
            return [(tick, self._said(tick)) for tick in self.ticks]
        if self.log:
            first = math.ceil(math.log10(self.low) - 1e-9)
            last = math.floor(math.log10(self.high) + 1e-9)
            step = max(1, math.ceil((last - first) / _MOST_TICKS))
            powers = range(first, last + 1, step)
            return [(10.0**power, self._power(power)) for power in powers]
        step = _nice((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(n * step, self._said(n * step)) for n in range(first, last + 1)]

    def _said(self, tick: float) -> str:
        if self.words is not None:
            return self.words(tick)
        return f"{tick:,.10g}".replace("-", "−")

    def _power(self, power: int) -> str:
        if self.words is not None:
            return self.words(10.0**power)
        if 0 <= power <= 3:
            return f"{10**power:,}"
        return "10" + str(power).translate(SUPERSCRIPT)


def fit(
    label: str,
    values: Iterable[float],
    *,
    log: bool = False,
    words: Callable[[float], str] | None = None,
) -> Axis:
    """An axis that holds all of the values, ending at round numbers.

    >>> fit("loss", [0.3, 9.2]).high
    10.0
    >>> fit("loss", [0.03, 9.2], log=True).low
    0.01
    """
    known = [v for v in values if math.isfinite(v) and (not log or v > 0)]
    low, high = (min(known), max(known)) if known else (1.0, 10.0)
    if log:
        first = math.floor(math.log10(low) + 1e-9)
        last = math.ceil(math.log10(high) - 1e-9)
        return Axis(label, 10.0**first, 10.0 ** max(last, first + 1), True, None, words)
    if low == high:
        around = max(0.5, 0.1 * abs(low))  # A tick has to differ from the next.
        low, high = low - around, high + around
    step = _nice((high - low) / 5)
    low = math.floor(low / step + 1e-9) * step
    high = math.ceil(high / step - 1e-9) * step
    return Axis(label, float(low), float(high), False, None, words)


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its points in order, how it looks, and where it was stopped.

    ``look`` is a colour of the page, 1 to 7 (see ``style/page.css``); a line that
    differs by colour differs by dashes or dots too. ``stopped`` are points with the
    word for how the cell ended, drawn as a cross.
    """

    label: str
    points: Sequence[Point]
    look: int = 1
    kind: Literal["line", "dots", "both"] = "line"
    dashed: bool = False
    stopped: Sequence[tuple[float, float, str]] = field(default=())
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A reference line across the whole chart, at a value of x or of y."""

    label: str
    at: float
    across: Literal["x", "y"] = "y"


def chart(
    name: str,
    title: str,
    x: Axis,
    y: Axis,
    lines: Sequence[Line],
    *,
    rules: Sequence[Rule] = (),
    extra: Markup | str = "",
    width: int = 640,
    height: int = 360,
    right: int = 150,
) -> Markup:
    """An ``<svg>`` called ``name`` whose title says what there is to see.

    Lines are labelled at their ends, in the margin of ``right`` pixels; ``extra`` is
    drawn on top (what the script moves). The element carries both scales.
    """
    to = frame(x, y, width=width, height=height, right=right)
    box = to.box
    parts = [
        *_grid(x, y, to, box),
        *(part for rule in rules for part in _rule(rule, to, box)),
        *(part for line in lines for part in _line(line, to)),
        *_labels(lines, to, box),
        str(extra),
    ]
    body = "".join(parts)
    return Markup(
        f'<svg class="chart" id="{name}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title" data-x="{_scale(x, box[0], box[1])}" '
        f'data-y="{_scale(y, box[3], box[2])}">'
        f'<title id="{name}-title">{escape(title)}</title>{body}</svg>'
    )


def frame(
    x: Axis, y: Axis, *, width: int = 640, height: int = 360, right: int = 150
) -> Scale:
    """Where a chart of this size draws a value: what `extra` is drawn by."""
    left, top, bottom = _MARGINS
    return Scale(x, y, (left, width - right, top, height - bottom))


def path(points: Iterable[Point], scale: Callable[[float, float], Point]) -> str:
    """The ``d`` of a polyline through points; breaks where one cannot be drawn.

    Steps from point to point, in tenths of a pixel: half as long as the places.

    >>> path([(0, 0), (1, 2), (2, 1)], lambda x, y: (10 * x, 10 * y))
    'M0 0l10 20 10-10'
    """
    drawn, pen = "", ""
    at: tuple[int, int] | None = None
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            at = None
            continue
        a, b = (round(10 * value) for value in scale(x, y))
        if at is None:
            drawn += f"M{_tenths(a)} {_tenths(b)}"
            pen = "l"
        else:
            for step in (a - at[0], b - at[1]):
                said = _tenths(step)
                # A sign or a letter parts two numbers as well as a blank does.
                drawn += pen + said if pen == "l" or said[0] == "-" else f" {said}"
                pen = ""
        at = a, b
    return drawn


def _tenths(value: int) -> str:
    return f"{value / 10:g}"


class Scale:
    """Pixels of a value; one outside of an axis is drawn at its end."""

    def __init__(self, x: Axis, y: Axis, box: tuple[int, int, int, int]) -> None:
        self.x, self.y, self.box = x, y, box

    def __call__(self, x: float, y: float) -> Point:
        left, right, top, bottom = self.box
        return (
            left + _within(self.x, x) * (right - left),
            bottom - _within(self.y, y) * (bottom - top),
        )


def _within(axis: Axis, value: float) -> float:
    if axis.log and value <= 0:
        return 0.0
    return min(max(axis.place(value), 0.0), 1.0)


def _grid(x: Axis, y: Axis, to: Scale, box: tuple[int, int, int, int]):
    left, right, top, bottom = box
    heights = [(to(x.low, value)[1], words) for value, words in y.marks()]
    places = [(to(value, y.low)[0], words) for value, words in x.marks()]
    lines = "".join(f"M{left} {at:.4g}H{right}" for at, _ in heights)
    lines += "".join(f"M{at:.4g} {bottom}v6" for at, _ in places)
    yield f'<path class="grid" d="{lines}"/>'
    yield '<g class="tick" text-anchor="end">'
    for at, words in heights:
        yield f'<text x="{left - 8}" y="{at + 4:.4g}">{escape(words)}</text>'
    yield '</g><g class="tick" text-anchor="middle">'
    for at, words in places:
        yield f'<text x="{at:.4g}" y="{bottom + 20}">{escape(words)}</text>'
    yield "</g>"
    yield f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>'
    yield (
        f'<text class="name" x="{(left + right) / 2:.5g}" y="{bottom + 42}" '
        f'text-anchor="middle">{escape(x.label)}</text>'
    )
    middle = (top + bottom) / 2
    yield (
        f'<text class="name" transform="translate(14 {middle:.5g}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.label)}</text>'
    )


def _rule(rule: Rule, to: Scale, box: tuple[int, int, int, int]):
    left, right, top, bottom = box
    if rule.across == "y":
        at = to(to.x.low, rule.at)[1]
        drawn, x, y = f"M{left} {at:.5g}H{right}", left + 6.0, at - 5
    else:
        at = to(rule.at, to.y.low)[0]
        drawn, x, y = f"M{at:.5g} {bottom}V{top}", at + 5, top + 11.0
    yield f'<path class="rule" d="{drawn}"/>'
    yield f'<text class="note" x="{x:.5g}" y="{y:.5g}">{escape(rule.label)}</text>'


def _line(line: Line, to: Scale):
    name = escape(line.name or line.label)
    dashed = " dashed" if line.dashed else ""
    yield f'<g class="look{line.look}{dashed}" data-line="{name}">'
    if line.kind in ("line", "both") and line.points:
        yield f'<path class="line" d="{path(line.points, to)}"/>'
    if line.kind in ("dots", "both"):
        for point in line.points:
            a, b = to(*point)
            yield f'<circle class="dot" cx="{a:.5g}" cy="{b:.5g}" r="3.2"/>'
    for x, y, word in line.stopped:
        a, b = to(x, y)
        yield (
            f'<path class="stop" d="M{a - 5:.5g} {b - 5:.5g}l10 10m0 -10l-10 10">'
            f"<title>{escape(word)}</title></path>"
            f'<text class="note" x="{a + 8:.5g}" y="{b - 6:.5g}">{escape(word)}</text>'
        )
    yield "</g>"


def _labels(lines: Sequence[Line], to: Scale, box: tuple[int, int, int, int]):
    """Labels beside the last points, moved apart where they would overlap."""
    ends = [
        (*to(*line.points[-1]), line) for line in lines if line.label and line.points
    ]
    wanted = sorted(ends, key=lambda end: end[1])
    low = box[2] + 8.0
    placed: list[float] = []
    for _, at, _ in wanted:
        placed.append(max(at, low))
        low = placed[-1] + _LINE
    # Pushed below the chart: all go up again by what is needed.
    high = float(box[3] + 4)
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], high)
        high = placed[place] - _LINE
    for at, (end, _, line) in zip(placed, wanted, strict=True):
        yield (
            f'<text class="label look{line.look}" x="{end + 8:.5g}" '
            f'y="{at + 4:.5g}">{escape(line.label)}</text>'
        )


def _scale(axis: Axis, first: float, last: float) -> str:
    kind = "log" if axis.log else "lin"
    return f"{kind},{axis.low:g},{axis.high:g},{first},{last}"


def _nice(step: float) -> float:
    """The round number (1, 2 or 5 times a power of ten) at or above a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * (1 - 1e-9))
