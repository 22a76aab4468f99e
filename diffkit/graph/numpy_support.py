"""How a NumPy function is taught to traced values, and its axes resolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.graph.traced import FUNCTIONS, Traced, common_builder, lift

Axis = int | Sequence[int] | None


def supports(*functions: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: what these NumPy functions do with traced arguments."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = rule
        return rule

    return register


def as_traced(*values: Any) -> list[Traced]:
    """All arguments of a call as traced values of one program."""
    builder = common_builder(values)
    return [lift(builder, value) for value in values]


def all_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes meant by `axis`, counted from 0 and sorted; None means all."""
    if axis is None:
        return tuple(range(ndim))
    wanted = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    return tuple(sorted(one_axis(int(a), ndim) for a in wanted))


def one_axis(axis: int, ndim: int) -> int:
    """One axis counted from 0.

    Raises ShapeError when the array has no such axis.
    """
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is out of range for an array of {ndim} axes")
    return axis % ndim
