"""Update rules of optimizers: each formula written once, and read twice.

A rule says what becomes of one element: w is its parameter, g its gradient (or what the
rules before made of it), then come its moments, which are remembered from step to step,
then the numbers of the step, such as the rate, and last those that never change. It
gives the update u, to be added to w, and the new moments. Only operators and functions
of NumPy occur, so that `optim` reads the formula over whole arrays, and the engine
compiles it for one number after another, in a single pass over the flat vector. Every
operation is rounded by itself in both readings, in the precision of w: the results are
the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Formula = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: `formula(w, g, *moments, *numbers)` -> `(u, *moments)`."""

    name: str
    formula: Formula = field(repr=False)
    moments: int
    numbers: int
    needs_parameters: bool = False


def _scaled(w: Any, g: Any, factor: Any) -> tuple[Any]:
    return (factor * g,)


def _weight_decay(w: Any, g: Any, penalty: Any) -> tuple[Any]:
    return (g + penalty * w,)


def _clip(w: Any, g: Any, low: Any, high: Any) -> tuple[Any]:
    return (np.minimum(np.maximum(g, low), high),)


def _momentum(w: Any, g: Any, v: Any, factor: Any, beta: Any) -> tuple[Any, Any]:
    v = beta * v + g
    return factor * v, v


def _averaged_momentum(
    w: Any, g: Any, v: Any, factor: Any, beta: Any, rest: Any
) -> tuple[Any, Any]:
    v = beta * v + rest * g
    return factor * v, v


def _nesterov(w: Any, g: Any, v: Any, factor: Any, beta: Any) -> tuple[Any, Any]:
    v = beta * v + g
    return factor * (g + beta * v), v


def _adagrad(w: Any, g: Any, s: Any, factor: Any, eps: Any) -> tuple[Any, Any]:
    s = s + g * g
    return factor * g / (np.sqrt(s) + eps), s


def _rmsprop(
    w: Any, g: Any, v: Any, factor: Any, eps: Any, beta: Any, rest: Any
) -> tuple[Any, Any]:
    v = beta * v + rest * (g * g)
    return factor * g / (np.sqrt(v) + eps), v


# In Adam's two, c is 1 − b, and the corrections for the start at zero are inside
# `factor` and `eps`: √v̂ + ε = (√v + ε·root)/root, root = √(1 − b2ᵗ).
def _adam(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    factor: Any,
    eps: Any,
    b1: Any,
    c1: Any,
    b2: Any,
    c2: Any,
) -> tuple[Any, Any, Any]:
    m = b1 * m + c1 * g
    v = b2 * v + c2 * (g * g)
    return factor * m / (np.sqrt(v) + eps), m, v


def _adamw(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    factor: Any,
    eps: Any,
    shrink: Any,
    b1: Any,
    c1: Any,
    b2: Any,
    c2: Any,
) -> tuple[Any, Any, Any]:
    m = b1 * m + c1 * g
    v = b2 * v + c2 * (g * g)
    return factor * m / (np.sqrt(v) + eps) - shrink * w, m, v


def _rows(
    formulas: Mapping[Formula, int], need: tuple[Formula, ...]
) -> dict[str, Rule]:
    rows = {}
    for formula, moments in formulas.items():
        name = formula.__name__.removeprefix("_")
        numbers = formula.__code__.co_argcount - 2 - moments
        rows[name] = Rule(name, formula, moments, numbers, formula in need)
    return rows


#: By name; a rule's place is its number in the engine.
RULES: Mapping[str, Rule] = _rows(
    {
        _scaled: 0,
        _weight_decay: 0,
        _clip: 0,
        _momentum: 1,
        _averaged_momentum: 1,
        _nesterov: 1,
        _adagrad: 1,
        _rmsprop: 1,
        _adam: 2,
        _adamw: 2,
    },
    need=(_weight_decay, _adamw),
)
