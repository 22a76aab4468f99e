"""One weight: (w − 3)² step by step, and how large a step may be."""

from __future__ import annotations

import re

import sympy

from diffkit.lesson import chart
from diffkit.lesson.data import Data, GapError, Measured, Number, given
from diffkit.lesson.mathematics import math
from diffkit.lesson.section import Section, View

NAME = "one_weight"
#: Steps that are written out with their numbers.
WRITTEN = 6
#: The rates that the still figure shows.
SHOWN = (0.02, 0.1, 0.5, 0.95, 1.0, 1.05)


def view(data: Data) -> View:
    """Steps with numbers filled in, paths at every rate."""
    rows = data["one_weight"]
    rates = _rates(rows)
    paths = {
        rate: rows.samples(f"rate_{rate:g}_w_value", part="rates") for rate in rates
    }
    w, alpha = sympy.symbols("w alpha")
    loss = (w - 3) ** 2
    factors = {rate: _number(rows, rate, "factor_ratio") for rate in rates}
    counts = {rate: _steps(rows, rate) for rate in rates}
    return View(
        {
            "loss": math(sympy.Eq(sympy.Symbol("L"), loss)),
            "slope": math(sympy.diff(loss, w)),
            "update": math(w - alpha * sympy.diff(loss, w)),
            "steps": [_step(rows, k) for k in range(WRITTEN)],
            "drawing": _drawing(paths),
            "places": len(rates),
            "start": rates.index(0.1) if 0.1 in rates else 0,
            "lines": [
                [given(f"{rate:g}"), factors[rate], counts[rate]] for rate in rates
            ],
            "limit": rows.number("limit_value", part="rates", words="{:.6f}".format),
            "slowest": counts[min(rates)],
        },
        {"rates": rates, "paths": [paths[rate] for rate in rates]},
    )


def _rates(rows: Measured) -> list[float]:
    """Rates whose path was recorded, from the smallest to the largest."""
    found = (re.fullmatch(r"rate_(.+)_w_value", row.metric) for row in rows.rows)
    rates = sorted({float(name[1]) for name in found if name})
    if not rates:
        raise GapError(rows.name, "no rate_…_w_value", rows.mode)
    return rates


def _number(rows: Measured, rate: float, what: str) -> Number:
    return rows.number(f"rate_{rate:g}_{what}", words="{:.4g}".format, part="rates")


def _steps(rows: Measured, rate: float) -> Number | str:
    """Steps until the weight is a millionth away, where it ever was."""
    metric = f"rate_{rate:g}_steps_count"
    if any(row.metric == metric for row in rows.rows):
        return rows.number(metric, part="rates")
    return "never"


def _step(rows: Measured, k: int) -> dict[str, Number]:
    """The numbers of one update, as reverse mode recorded them."""

    def number(metric: str, sample: int) -> Number:
        words = "{:.6g}".format
        return rows.number(metric, "autodiff", sample=sample, words=words, part="steps")

    return {
        "w": number("w_value", k),
        "loss": number("squared_loss", k),
        "slope": number("gradient_value", k),
        "next": number("w_value", k + 1),
    }


def _drawing(paths: dict[float, tuple[float, ...]]):
    shown = [rate for rate in SHOWN if rate in paths]
    lines = [
        chart.Line(
            f"α = {rate:g}",
            [(k, w) for k, w in enumerate(paths[rate][:31]) if -3 <= w <= 9],
            look=1 + place,
            dashed=rate >= 1,
            name=f"rate {rate:g}",
        )
        for place, rate in enumerate(shown)
    ]
    return chart.chart(
        "one_weight-chart",
        "The weight by step at several learning rates: below a rate of one it "
        "reaches the minimum, at one it jumps from side to side, above it leaves",
        chart.Axis("step", 0, 30),
        chart.Axis("weight w", -3, 9),
        lines,
        rules=[chart.Rule("the minimum", 3.0)],
        extra='<path class="line chosen" id="one_weight-path"/>'
        '<circle class="here" id="one_weight-ball" r="0"/>',
    )


SECTION = Section(
    NAME, "1", "One weight", ("one_weight",), ("C1", "C14", "C19", "W5"), view
)
