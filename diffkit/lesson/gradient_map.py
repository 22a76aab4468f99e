"""How much of a gradient reaches the first layer: the map, and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from diffkit.lesson import chart
from diffkit.lesson.data import Measured, Number
from diffkit.report import numbers
from diffkit.report.lookup import rows_of

ACTIVATIONS = ("sigmoid", "tanh", "relu")
INITS = ("N(0, 1)", "U(-1, 1)", "Xavier", "He")
#: Beyond these factors from first layer to last a gradient fades or explodes: a little,
#: and altogether.
LIMITS = (1e2, 1e6)
#: Networks whose layers the still figure shows.
SHOWN = (
    ("sigmoid", "Xavier"),
    ("tanh", "N(0, 1)"),
    ("tanh", "Xavier"),
    ("relu", "N(0, 1)"),
    ("relu", "He"),
)
_DEPTHS = 3
_METRICS = "gradient_norm_value", "first_over_last_ratio"


@dataclass(frozen=True, slots=True)
class Cell:
    """A network's ratio, first layer over last, and how it looks on the map."""

    activation: str
    init: str
    ratio: Number | str
    look: str
    word: str


def size(value: float) -> str:
    """Three figures, with a power of ten where that is needed.

    >>> size(3.5229), size(4.652e-32)
    ('3.52', '4.65 × 10⁻³²')
    """
    if 0.01 <= value < 1000:
        return f"{value:.3g}"
    return numbers.scientific(value)


def depths(rows: Measured) -> list[int]:
    """At most three of the measured depths: the least, one between, the largest."""
    known = {int(row["depth"]) for row in rows.having(_METRICS[0], part="norms")}
    every = sorted(known)
    return [every[round(i * (len(every) - 1) / (_DEPTHS - 1))] for i in range(_DEPTHS)]


def grid(rows: Measured, depth: int) -> list[list[Cell]]:
    """The map at a depth: a line for each activation."""
    return [
        [_cell(rows, depth, activation, init) for init in INITS]
        for activation in ACTIVATIONS
    ]


def _cell(rows: Measured, depth: int, activation: str, init: str) -> Cell:
    asked = {"part": "norms", "depth": depth, "activation": activation, "init": init}
    norms = rows.samples(_METRICS[0], **asked)
    # A gradient that is lost altogether has no ratio.
    if not rows_of(rows.rows, _METRICS[1], **asked):
        gone = norms[-1] == 0 or norms[0] == 0
        look, word = ("fade2", "all lost") if gone else ("grow2", "overflows")
        return Cell(activation, init, "–", look, word)
    ratio = rows.number(_METRICS[1], words=size, **asked)
    return Cell(activation, init, ratio, *_look(ratio.value))


def _look(ratio: float) -> tuple[str, str]:
    for strength, limit in reversed(list(enumerate(LIMITS, 1))):
        if ratio <= 1 / limit:
            return f"fade{strength}", "fades" if strength == 1 else "lost"
        if ratio >= limit:
            return f"grow{strength}", "grows" if strength == 1 else "explodes"
    return "level", "level"


def norms(rows: Measured, depth: int) -> Mapping[str, Sequence[float]]:
    """The norm of the gradient of each layer's weights, by network."""
    return {
        f"{activation}, {init}": rows.samples(
            _METRICS[0], part="norms", depth=depth, activation=activation, init=init
        )
        for activation in ACTIVATIONS
        for init in INITS
    }


def layers(found: Mapping[str, Sequence[float]], every: Sequence[Any]) -> Markup:
    """The chart of norms by layer, with room for ``every`` norm there is."""
    lines = [
        chart.Line(
            f"{activation}, {init}",
            [(n, v) for n, v in enumerate(found[f"{activation}, {init}"], 1) if v > 0],
            look=place,
            dashed=activation == "tanh",
        )
        for place, (activation, init) in enumerate(SHOWN, 1)
    ]
    longest = max(len(values) for values in found.values())
    return chart.chart(
        "fading-norms",
        "The norm of each layer's gradient: level where activation and first weights "
        "suit each other, else it fades or explodes by the layer",
        chart.Axis("layer, from the input", 1, longest),
        chart.fit(
            "norm of its gradient", [v for v in every if math.isfinite(v)], log=True
        ),
        lines,
        extra='<path class="line chosen" id="fading-path"/>',
    )
