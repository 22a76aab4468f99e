"""A surface and the recorded walks over it: drawn flat, and handed to the script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from diffkit.lesson import chart, heat

WIDTH, HEIGHT, RIGHT = 540, 440, 130
#: Points of a walk that the still figure draws.
STILL = 31


@dataclass(frozen=True, slots=True)
class Walk:
    """One recorded run: where it was at each kept step, and the height there."""

    label: str
    u: Sequence[float]
    v: Sequence[float]
    heights: Sequence[float]
    shown: bool = True

    @property
    def steps(self) -> int:
        """Steps that every part of the run has."""
        return min(len(self.u), len(self.v), len(self.heights))

    def thinned(self, every: int) -> Walk:
        """Every n-th step."""
        end = self.steps
        u, v, heights = (part[:end:every] for part in (self.u, self.v, self.heights))
        return Walk(self.label, u, v, heights, self.shown)


@dataclass(frozen=True, slots=True)
class Terrain:
    """A surface with its walks, of which each ``every``-th step is kept.

    ``axes`` name both parameters, ``least`` is the lowest point that is known.
    """

    name: str
    title: str
    heights: heat.Heights
    axes: tuple[str, str]
    walks: Sequence[Walk]
    least: tuple[float, float, float]
    every: int = 1

    def payload(self, most: int) -> dict[str, Any]:
        """Rows for the script, the grid thinned to at most so many points a side."""
        every = -(-max(len(self.heights.x), len(self.heights.y)) // most)
        grid = self.heights.thinned(every)
        return {
            "title": self.title,
            "x": grid.x,
            "y": grid.y,
            "z": grid.values,
            "axes": self.axes,
            "least": self.least,
            "every": self.every,
            "walks": [[walk.u, walk.v, walk.heights] for walk in self.walks],
        }

    def drawing(self, name: str, title: str) -> Markup:
        """The surface from above with the walks that are shown where nothing moves."""
        x = chart.Axis(self.axes[0], self.heights.x[0], self.heights.x[-1])
        y = chart.Axis(self.axes[1], self.heights.y[0], self.heights.y[-1])
        to = chart.frame(x, y, width=WIDTH, height=HEIGHT, right=RIGHT)
        shown = [walk for walk in self.walks if walk.shown]
        paths = Markup("").join(
            Markup('<g class="look{}{}"><path class="line" d="{}"/></g>').format(
                look,
                " dashed" if look % 2 else "",
                chart.path(list(self.inside(walk))[:STILL], to),
            )
            for look, walk in enumerate(shown, 2)
        )
        u, v = to(*self.least[:2])
        extra = (
            heat.bands(self.heights, to)
            + Markup('<g class="walks">{}</g>').format(paths)
            + Markup(
                '<path class="least" d="M{:.5g} {:.5g}l10 10m0 -10l-10 10"/>'
                '<path class="line chosen" id="{}-path"/>'
                '<circle class="here" id="{}-ball" r="0"/>'
            ).format(u - 5, v - 5, name, name)
            + heat.key(self.heights, "height", (WIDTH - 112, 28))
            + self._names(shown)
        )
        return chart.chart(
            name, title, x, y, [], extra=extra, width=WIDTH, height=HEIGHT, right=RIGHT
        )

    def inside(self, walk: Walk) -> Iterator[tuple[float, float]]:
        """The points of a walk until it leaves the surface."""
        x, y = self.heights.x, self.heights.y
        for u, v, _ in zip(walk.u, walk.v, walk.heights, strict=False):
            if not (x[0] <= u <= x[-1] and y[0] <= v <= y[-1]):
                return
            yield u, v

    def _names(self, walks: Sequence[Walk]) -> Markup:
        """What the lines are, below the key of the heights."""
        parts = []
        for look, walk in enumerate(walks, 2):  # The first colour is that of heights.
            x, y = WIDTH - 112, 249 + 19 * look
            dashed = " dashed" if look % 2 else ""
            parts.append(
                f'<g class="look{look}{dashed}"><path class="line" '
                f'd="M{x} {y - 4}h24"/></g>'
                f'<text class="tick" x="{x + 31}" y="{y}">{escape(walk.label)}</text>'
            )
        return Markup("".join(parts))
