"""When signals fade, and classic bugs: depth, first weights, and what goes wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from diffkit.lesson import chart, gradient_map
from diffkit.lesson.annotated import TRAINING, notes, training_loop
from diffkit.lesson.data import Data, Measured, Number, given, short
from diffkit.lesson.gradient_map import ACTIVATIONS, INITS, size
from diffkit.lesson.section import Section, View

NAME = "fading"
#: Activation and weight of the chains of single units.
CHAINS = (("sigmoid", 1.0), ("relu", 0.5), ("relu", 1.0), ("relu", 1.5))
CURES = (
    *("none", "initialization", "activation", "batch norm", "layer norm", "skips"),
    "clipping",
)
ILLS = ("vanishing", "exploding")
#: What is trained at every depth -> what it is called here.
ARMS = {
    "none": "plain",
    "skips": "with skips",
    "normalized skips": "with skips and layer norm",
}
#: First weights whose variance is followed through the layers.
STARTS = ("zeros", "U(-1, 1)", "Xavier", "He")


def view(data: Data) -> View:
    """Chains, the map, cures, bugs, and the annotated loop."""
    rows, bugs = data["vanishing_gradients"], data["pitfalls"]
    chains = {name: _chain(rows, *name) for name in CHAINS}
    depths = gradient_map.depths(rows)
    layers = {depth: gradient_map.norms(rows, depth) for depth in depths}
    deepest = depths[-1]
    code = training_loop()
    return View(
        {
            "chart_chains": _chart_of_chains(chains),
            "at_ten": [
                [given(f"{name}, weight {weight:g}"), _at_ten(rows, name, weight)]
                for name, weight in CHAINS
            ],
            "ten": {
                "sigmoid": _at_ten(rows, "sigmoid", 1.0),
                "half": _at_ten(rows, "relu", 0.5),
                "more": _at_ten(rows, "relu", 1.5),
            },
            "layers_most": max(len(chain) for chain in chains.values()),
            "maps": [(depth, gradient_map.grid(rows, depth)) for depth in depths],
            "inits": INITS,
            "depth_options": [(depth, depth) for depth in reversed(depths)],
            "activation_options": [(name, name) for name in ACTIVATIONS],
            "init_options": [(name, name) for name in INITS],
            "chart_layers": gradient_map.layers(
                layers[deepest],
                [v for found in layers.values() for one in found.values() for v in one],
            ),
            "loud": _first(rows, deepest, "relu", "N(0, 1)"),
            "fine": _first(rows, deepest, "relu", "He"),
            "cures": [_cure(rows, cure) for cure in CURES],
            "arms": _arms(rows),
            "arm_names": list(ARMS.values()),
            "starts_shown": [given(start) for start in STARTS],
            "variance": _variance(data["initialization"]),
            "equal": _equal(bugs),
            **_bugs(bugs),
            "code": code.rstrip("\n").split("\n"),
            "notes": notes(code, TRAINING),
        },
        {
            "chains": [
                {"name": f"{name}, weight {weight:g}", "factors": factors}
                for (name, weight), factors in chains.items()
            ],
            "layers": layers,
            "buffer": bugs.samples("buffer_ratio", part="accumulation"),
        },
    )


def _chain(rows: Measured, activation: str, weight: float) -> tuple[float, ...]:
    return rows.samples(
        "factor_by_depth_value", part="chain", activation=activation, weight=weight
    )


def _at_ten(rows: Measured, activation: str, weight: float) -> Number:
    return rows.number(
        "factor_at_ten_value",
        part="chain",
        activation=activation,
        weight=weight,
        words=size,
    )


def _chart_of_chains(chains: Mapping[tuple[str, float], Sequence[float]]) -> Markup:
    lines = [
        chart.Line(
            f"{name}, w = {weight:g}",
            # Powers are straight on a logarithmic axis: some of the points draw them.
            list(enumerate(factors, 1))[::7],
            look=place,
            dashed=name == "relu",
        )
        for place, ((name, weight), factors) in enumerate(chains.items(), 1)
    ]
    values = [value for factors in chains.values() for value in factors]
    longest = max(len(factors) for factors in chains.values())
    return chart.chart(
        "fading-chains",
        "What is left of a gradient after so many layers of one unit: the steepest "
        "sigmoid quarters it each time, a relu multiplies it by its weight",
        chart.Axis("layers of one unit", 1, longest),
        chart.fit("factor on the gradient", values, log=True),
        lines,
        extra='<path class="rule" id="fading-depth-mark"/>',
    )


def _first(rows: Measured, depth: int, activation: str, init: str) -> Number:
    return rows.number(
        "gradient_norm_value",
        part="norms",
        depth=depth,
        activation=activation,
        init=init,
        words=size,
    )


def _cure(rows: Measured, cure: str) -> list[Any]:
    line: list[Any] = ["untreated" if cure == "none" else cure]
    for ill in ILLS:
        asked: dict[str, Any] = {"part": "cure", "ill": ill, "cure": cure}
        line += [
            rows.number("first_over_last_ratio", words=size, **asked),
            rows.number("validation_accuracy", words="{:.0%}".format, **asked),
        ]
    return line


def _arms(rows: Measured) -> list[list[Any]]:
    """Training loss after the same epochs, by depth, plain and with skips."""

    def loss(depth: Any, arm: str) -> Number | str:
        asked: dict[str, Any] = {"part": "depth", "depth": depth, "cure": arm}
        # A run that left every bound has no last loss.
        gone = rows.number("diverged_count", **asked)
        if gone.value and not any(
            row.metric == "train_loss"
            and all(row.get(k) == v for k, v in asked.items())
            for row in rows.rows
        ):
            return "diverged"
        return rows.number("train_loss", words=size, **asked)

    known = rows.numbers("diverged_count", by="depth", part="depth", cure="none")
    return [[given(depth)] + [loss(depth, arm) for arm in ARMS] for depth in known]


def _variance(rows: Measured) -> list[list[Any]]:
    """Mean square of the activations, the last layer's over the first's."""
    return [
        [
            activation,
            *(
                rows.number(
                    "last_over_first_ratio",
                    part="variance",
                    activation=activation,
                    init=start,
                    words=size,
                )
                for start in STARTS
            ),
        ]
        for activation in ACTIVATIONS
    ]


def _equal(bugs: Measured) -> list[list[Any]]:
    return [
        [
            words,
            bugs.number(f"{name}_start_loss", part="equal_weights"),
            bugs.number(f"{name}_units_apart_value", part="equal_weights"),
        ]
        for name, words in (
            ("zeros", "all zero"),
            ("equal", "all equal"),
            ("random", "random"),
        )
    ]


def _bugs(rows: Measured) -> Mapping[str, Any]:
    """Losses of the two classic bugs beside the loop without them."""

    def loss(name: str, part: str) -> Number:
        return rows.number(name, part=part, words=size)

    buffer = rows.samples("buffer_ratio", part="accumulation")
    return {
        "chart_zeroing": _curves(
            rows, "accumulation", "fading-zeroing",
            "Loss by step: with gradients zeroed it falls, with zeroing forgotten it "
            "swings up and down",
            {"zeroed": "zeroed_loss", "forgotten": "forgotten_loss"},
        ),
        "chart_rate": _curves(
            rows, "large_rate", "fading-rate",
            "Loss by step: at a usual rate it falls, at too large a rate it falls "
            "at first and then explodes",
            {"α = 0.1": "usual_rate_loss", "α = 1": "large_rate_loss"},
        ),
        "zeroed": loss("zeroed_loss", "accumulation"),
        "forgotten": loss("forgotten_loss", "accumulation"),
        "usual": loss("usual_rate_loss", "large_rate"),
        "large": loss("large_rate_loss", "large_rate"),
        "calls": len(buffer),
        "buffer": [
            [
                given(k),
                rows.number(
                    "buffer_ratio", part="accumulation", sample=k - 1, words=short
                ),
            ]
            for k in range(1, len(buffer) + 1)
        ],
    }  # fmt: skip


def _curves(
    rows: Measured, part: str, name: str, title: str, curves: Mapping[str, str]
) -> Markup:
    found = {label: rows.samples(metric, part=part) for label, metric in curves.items()}
    lines = [
        chart.Line(
            label,
            # What was not finite is written as -1.
            [(k, v) for k, v in enumerate(values) if v > 0 and math.isfinite(v)],
            look=place,
            dashed=place > 1,
        )
        for place, (label, values) in enumerate(found.items(), 1)
    ]
    longest = max(len(values) for values in found.values())
    return chart.chart(
        name,
        title,
        chart.Axis("step", 0, longest - 1),
        chart.fit("loss", [v for line in lines for _, v in line.points], log=True),
        lines,
        height=300,
        right=110,
    )


SECTION = Section(
    NAME,
    "10",
    "When signals fade, and classic bugs",
    ("vanishing_gradients", "initialization", "pitfalls"),
    ("C2", "C3", "C4", "C5", "C24", "C27", "W7"),
    view,
)
