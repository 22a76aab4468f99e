"""Error signals flow backward: a small network, node by node, there and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from diffkit.lesson.data import Data, Measured, Number
from diffkit.lesson.section import Section, View
from diffkit.lesson.two_units import ENTRIES, UNITS, Trace, drawing, symbol

NAME = "backward"
#: A way of differentiating -> what it is called here.
WAYS = {
    "finite_differences_central": "differences",
    "symbolic_expanded": "symbols",
    "autodiff": "reverse mode",
}
#: What the claim says of each derivative, as `backward_trace` proves it.
FORMULAS = {
    "z2": "ŷ − y",
    "W2": "a1ᵀ(ŷ − y)",
    "b2": "ŷ − y",
    "a1": "(ŷ − y)·W2ᵀ",
    "z1": "∂L/∂a1 · [z1 > 0]",
    "W1": "xᵀ·∂L/∂z1",
    "b1": "∂L/∂z1",
}
#: Width of the recorded network whose paths are summed.
SUMMED = 3
#: Digits that tell any float from its neighbours.
DIGITS = 17


def view(data: Data) -> View:
    """The trace for the steps, its drawing, and every derivative by three ways."""
    rows = data["backward_trace"]
    trace = Trace(rows)
    return View(
        {
            "t": trace,
            "units": UNITS,
            "symbol": symbol,
            "drawing": drawing(trace),
            "picks": [_pick(rows, key) for key in ENTRIES],
            "first": _right_digits(rows, "W1_0"),
            "formulas": [_formula(rows, name) for name in FORMULAS],
            "paths": _paths(rows),
            "order": _order(rows),
        }
    )


def _right_digits(rows: Measured, key: str) -> Mapping[str, Number]:
    """How many leading digits of a derivative are right, by way."""
    metric = f"{key}_digits_count"
    return {name: rows.number(metric, way, part="trace") for way, name in WAYS.items()}


def _pick(rows: Measured, key: str) -> Mapping[str, Any]:
    """One derivative by every way, right digits marked, and the proved one."""
    metric = f"{key}_derivative_value"
    digits = _right_digits(rows, key)
    proved = rows.row(metric, "exact").message
    found = {name: rows.number(metric, way, part="trace") for way, name in WAYS.items()}
    text, joins = ENTRIES[key]
    return {
        "key": key,
        "symbol": symbol(text),
        "joins": joins,
        "formula": _written(key),
        "lines": [
            (
                name,
                number.said(lambda v, right=digits[name]: marked(v, int(right.value))),
                digits[name],
            )
            for name, number in found.items()
        ],
        "proved": proved.replace("-", "−"),
        "zero": float(proved) == 0,
    }


def marked(value: float, right: int) -> Markup:
    """A float in seventeen digits, of which the first ``right`` are marked.

    >>> print(marked(-0.25, 2))
    <mark>−0.25</mark>000000000000000
    >>> print(marked(0.0, 17))
    <mark>0</mark>
    """
    if value == 0:
        return Markup("<mark>0</mark>")
    power = int(f"{value:e}".split("e")[1])
    text = f"{value:.{DIGITS - 1 - power}f}".replace("-", "−")
    found = re.match(rf"−?[0.]*(?:\.?\d){{{right}}}", text) if right else None
    end = found.end() if found else 0
    return Markup("<mark>{}</mark>{}").format(text[:end], text[end:])


def _written(key: str) -> Markup:
    """The formula that symbols give, with s for the slope of ReLU."""
    name, _, entry = key.partition("_")
    unit = UNITS[int(entry) % len(UNITS)]
    signal = (f"s^{unit}", f"v^{unit}")
    factors = {
        "b2": (),
        "W2": (f"a_1^{unit}",),
        "b1": signal,
        "W1": (f"x_{1 + int(entry) // len(UNITS)}", *signal),
    }[name]
    return Markup(" · ").join([*map(symbol, factors), Markup("(ŷ − y)")])


def _formula(rows: Measured, name: str) -> list[Any]:
    metric = f"{name}_formula_error"
    return [
        Markup("<code>{}</code>").format(name),
        Markup("<code>{}</code>").format(FORMULAS[name]),
        rows.number(f"{name}_proved_count", part="proof"),
        rows.number(f"{name}_to_prove_count", part="proof"),
        rows.number(metric, "autodiff", part="trace"),
        rows.number(metric, "finite_differences_central", part="trace"),
    ]


def _paths(rows: Measured) -> Mapping[str, Number]:
    def one(width: int) -> Number:
        return rows.number(
            f"summed_{width}_one_path_ratio",
            part="paths",
            words=lambda v: f"{v:.3g}".replace("-", "−"),
        )

    return {
        "count": rows.number(f"summed_{SUMMED}_paths_count", part="paths"),
        "one": one(SUMMED),
        "off": rows.number(f"summed_{SUMMED}_error", part="paths"),
        "narrow": one(1),
    }


def _order(rows: Measured) -> Mapping[str, Any]:
    names = ("linear", "relu", "loss", "relu_cotangent", "w_cotangent")
    return {
        "listing": rows.row("both_nodes", part="order").message,
        "forward": rows.number("forward_nodes", part="order"),
        "both": rows.number("both_nodes", part="order"),
        **{name: rows.number(f"{name}_place_count", part="order") for name in names},
    }


SECTION = Section(
    NAME,
    "5",
    "Error signals flow backward",
    ("backward_trace",),
    ("C16", "C17", "C18", "W1", "W9"),
    view,
)
