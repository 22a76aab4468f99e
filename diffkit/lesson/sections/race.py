"""The race: one gradient of a network by three ways, over depth and width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from diffkit.lesson import chart
from diffkit.lesson.data import Data, Measured, Number, given
from diffkit.lesson.section import Section, View
from diffkit.lesson.spread import spread
from diffkit.report import numbers

NAME = "race"
#: Lane -> what the lesson calls it, and its colour.
LANES: Mapping[str, tuple[str, int]] = {
    "finite_differences_central": ("Way one: nudge every weight", 2),
    "symbolic_expanded": ("Way two: write the formula", 4),
    "autodiff": ("Way three: remember and reuse", 1),
}
CENTRAL, FORMULA, REVERSE = LANES
SECONDS, RATIO = "gradient_seconds", "gradient_engine_ratio"
#: What the script says of a lane, in this order.
HANDED = (SECONDS, "prepare_seconds", "run_operations", "primal_evaluations")
#: What is drawn of a lane: metric -> name of the axis.
SHOWN = {
    SECONDS: "time for one gradient",
    "run_operations": "operations for one gradient",
}
#: So many depths and widths can be picked: each network is a row of the payload.
MOST = 5
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 214, 66, 24, 14, 52


@dataclass(frozen=True, slots=True)
class Lane:
    """How one way did on one network: numbers by metric, or how it was stopped."""

    numbers: Mapping[str, Number]
    stop: tuple[str, str] | None

    def cell(self, metric: str) -> Number | str:
        """A table's cell."""
        return self.numbers[metric] if self.stop is None else f"stopped: {self.stop[0]}"


Networks = Mapping[tuple[int, int], Mapping[str, Lane]]


def view(data: Data) -> View:
    """Three lanes at every depth and width, and how much slower the first two are."""
    rows = data["race"]
    networks = _networks(rows)
    depths, widths = (sorted({place[axis] for place in networks}) for axis in (0, 1))
    depth, width = (found[len(found) // 2] for found in (depths, widths))
    # The corners of the grid and what is drawn; script shows the others.
    tabled = [(d, w) for d in (depths[0], depths[-1]) for w in (widths[0], widths[-1])]
    tabled.append((depth, width))
    runs = rows.having("primal_evaluations", CENTRAL)
    return View(
        {
            "depth": depth,
            "width": width,
            "late": bool(rows.stop(CENTRAL)),
            "depths": [(d, d) for d in depths],
            "widths": [(w, w) for w in widths],
            "drawings": [
                _drawing(metric, networks, (depth, width)) for metric in SHOWN
            ],
            "lines": {metric: _lines(metric, networks, tabled) for metric in SHOWN},
            "ratios": _ends(rows, REVERSE),
            "behind": _ends(rows, CENTRAL),
            "runs": rows.said(max(runs, key=lambda row: row.value or 0.0)),
            "budget": rows.number("budget_operations", FORMULA),
        },
        {
            "start": {"depth": depth, "width": width},
            "lanes": {way: name for way, (name, _) in LANES.items()},
            "cells": {
                f"{d} {w}": {way: _handed(lane) for way, lane in lanes.items()}
                for (d, w), lanes in networks.items()
            },
        },
    )


def _ends(rows: Measured, way: str) -> list[Number]:
    """The least and the largest ratio of one way to a forward pass."""
    found = sorted(rows.having(RATIO, way), key=lambda row: row.value or 0.0)
    return [rows.said(found[0]), rows.said(found[-1])]


def _networks(rows: Measured) -> Networks:
    """(depth, width) -> lanes, over a whole grid of what was measured."""
    rows.having(SECONDS, REVERSE)
    depths, widths = (
        spread(sorted({int(row[name]) for row in rows.rows}), MOST)
        for name in ("depth", "width")
    )
    return {
        (depth, width): {way: _lane(rows, way, depth, width) for way in LANES}
        for depth in depths
        for width in widths
    }


def _lane(rows: Measured, way: str, depth: int, width: int) -> Lane:
    """One lane; a gap where it neither arrived nor was stopped."""
    stop = rows.stop(way, depth=depth, width=width)
    if stop is not None:
        return Lane({}, (stop[0].replace("_", " "), stop[1]))
    place: dict[str, Any] = {"depth": depth, "width": width}
    return Lane({metric: rows.number(metric, way, **place) for metric in HANDED}, None)


def _handed(lane: Lane) -> Any:
    if lane.stop is not None:
        return {"stop": lane.stop}
    return [float(lane.numbers[metric]) for metric in HANDED]


def _lines(metric: str, networks: Networks, tabled: Sequence[tuple[int, int]]):
    return [
        [
            Markup("{} × {}").format(given(depth), given(width)),
            *(networks[depth, width][way].cell(metric) for way in LANES),
        ]
        for depth, width in tabled
    ]


def _drawing(metric: str, networks: Networks, place: tuple[int, int]) -> Markup:
    """Three lanes on a logarithmic axis that holds every network."""
    label = SHOWN[metric]
    values = [
        float(lane.numbers[metric])
        for lanes in networks.values()
        for lane in lanes.values()
        if metric in lane.numbers
    ]
    said = numbers.seconds if metric == SECONDS else None
    axis = chart.fit(label, values, log=True, words=said)
    drawn = "".join(
        _drawn(way, at, networks[place][way], metric, axis)
        for at, way in enumerate(LANES)
    )
    return chart.chart(
        f"{NAME}-{metric.partition('_')[2]}",
        f"The {label} by each of three ways on a logarithmic axis; left is better",
        axis,
        chart.Axis("", 0, len(LANES), ticks=()),
        [],
        extra=Markup(drawn),  # Made here, of escaped texts.
        width=WIDTH,
        height=HEIGHT,
        right=RIGHT,
    )


def _drawn(way: str, at: int, lane: Lane, metric: str, axis: chart.Axis) -> str:
    name, look = LANES[way]
    y = TOP + (at + 0.62) * (HEIGHT - BOTTOM - TOP) / len(LANES)
    number = lane.numbers.get(metric)
    share = 1.0 if number is None else axis.place(float(number))
    x = LEFT + share * (WIDTH - RIGHT - LEFT)
    stopped = " stopped" if number is None else ""
    said = lane.cell(metric)
    return (
        f'<g class="lane look{look}{stopped}" data-way="{way}">'
        f'<text class="name" x="{LEFT + 8}" y="{y - 12:.5g}">{escape(name)}</text>'
        f'<path class="line" d="M{LEFT} {y:.5g}H{x:.5g}"/>'
        f'<g class="runner" transform="translate({x:.5g} {y:.5g})">'
        '<circle class="dot" r="6"/><path class="stop" d="M-6 -6l12 12m0 -12l-12 12"/>'
        "</g>"
        f'<text class="label" x="{WIDTH - RIGHT}" y="{y - 12:.5g}" '
        f'text-anchor="end">{escape(str(said))}</text></g>'
    )


SECTION = Section(NAME, "0", "The race", ("race",), ("C6", "C7", "C8", "C9"), view)
