"""A map of heights: bands of colour in a chart, light and dark, with their key.

A band is one ``<path>`` of rectangles over everything that is as low, drawn on the band
above it: a twentieth of what a rectangle for each point would take. The bands are even
in the logarithm of the height above the lowest, so that the floor of a valley shows as
well as its walls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from markupsafe import Markup, escape

from diffkit.lesson.chart import Scale

#: Bands of colour; ``style/page.css`` has as many.
BANDS = 10
#: How much more the lowest heights are spread: see `Heights.band`.
SPREAD = 300.0


@dataclass(frozen=True, slots=True)
class Heights:
    """Values on a grid, x by x: ``values[i * len(y) + j]`` is the height at x, y."""

    x: Sequence[float]
    y: Sequence[float]
    values: Sequence[float]
    ends: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        # Asked for at every point: looked for once.
        object.__setattr__(self, "ends", (min(self.values), max(self.values)))

    def at(self, i: int, j: int) -> float:
        """The height at the i-th x and the j-th y."""
        return self.values[i * len(self.y) + j]

    def band(self, value: float) -> int:
        """The band of a height: 0 around the lowest, 9 at the highest.

        >>> Heights([0, 1], [0, 1], [0.0, 1.0, 2.0, 9.0]).band(1.0)
        6
        """
        low, high = self.ends
        part = (value - low) / (high - low) if high > low else 0.0
        return min(int(BANDS * math.log1p(SPREAD * part) / math.log1p(SPREAD)), 9)

    def edge(self, band: int) -> float:
        """The height at which a band begins."""
        low, high = self.ends
        part = math.expm1(band / BANDS * math.log1p(SPREAD)) / SPREAD
        return low + part * (high - low)

    def thinned(self, every: int) -> Heights:
        """Every n-th point along both axes."""
        x, y = range(0, len(self.x), every), range(0, len(self.y), every)
        return Heights(
            [self.x[i] for i in x],
            [self.y[j] for j in y],
            [self.at(i, j) for i in x for j in y],
        )


def bands(heights: Heights, to: Scale) -> Markup:
    """The bands, drawn where the chart with this scale has its values.

    A drawing within the drawing counts in cells, one around each point of the grid, and
    cuts the outer half of the cells at its edge.
    """
    columns, rows = len(heights.x), len(heights.y)
    levels = [
        [heights.band(heights.at(i, rows - 1 - j)) for i in range(columns)]
        for j in range(rows)
    ]
    drawn = Markup("").join(
        Markup('<path class="heat{}" d="{}"/>').format(band, boxes)
        for band in reversed(range(BANDS))
        if (boxes := "".join(_boxes(levels, band)))
    )
    left, right, top, bottom = to.box
    return Markup(
        '<svg x="{}" y="{}" width="{}" height="{}" viewBox="0.5 0.5 {} {}" '
        'preserveAspectRatio="none" shape-rendering="crispEdges">{}</svg>'
    ).format(left, top, right - left, bottom - top, columns - 1, rows - 1, drawn)


def _boxes(levels: Sequence[Sequence[int]], band: int) -> Iterator[str]:
    """Rectangles over all that is in this band or below, which is drawn on top later.

    Runs that a row has in common with the one before make one rectangle.
    """
    since: dict[tuple[int, int], int] = {}
    for j, row in enumerate((*levels, ())):
        here = dict.fromkeys(_runs(row, band), j)
        for (first, end), start in since.items():
            if (first, end) in here:
                here[first, end] = start
            else:
                wide, tall = end - first, j - start
                yield f"M{first} {start}h{wide}v{tall}h-{wide}z"
        since = here


def _runs(row: Sequence[int], band: int) -> Iterator[tuple[int, int]]:
    """Where neighbours are in the band or below: first, and one past the last."""
    place = 0
    for inside, group in groupby(row, lambda level: level <= band):
        first, place = place, place + sum(1 for _ in group)
        if inside:
            yield first, place


def key(heights: Heights, title: str, at: tuple[float, float]) -> Markup:
    """The bands as a column with the heights at which they begin."""
    x, y = at
    parts = [f'<text class="tick" x="{x:g}" y="{y:g}">{escape(title)}</text>']
    for place in range(BANDS):
        top = y + 10 + 20 * (BANDS - 1 - place)
        parts.append(
            f'<path class="heat{place}" d="M{x:g} {top:g}h18v20h-18z"/>'
            f'<text class="tick" x="{x + 25:g}" y="{top + 24:g}">'
            f"{_three(heights.edge(place))}</text>"
        )
    return Markup("".join(parts))


def _three(value: float) -> str:
    """Three figures, without a power of ten.

    >>> _three(1412.3), _three(-0.25)
    ('1,410', '−0.25')
    """
    return f"{float(f'{value:.3g}'):,.10g}".replace("-", "−")
