"""NumPy's ufuncs on traced values: which row each one is."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
from scipy import special

from diffkit.errors import UnsupportedFunctionError
from diffkit.graph.traced import REDUCTIONS, UFUNCS, Traced, common_builder, lift
from diffkit.ops import TABLE

# What NumPy's arithmetic means between two booleans.
_ON_BOOLEANS = {
    "add": "logical_or",
    "multiply": "logical_and",
    "maximum": "logical_or",
    "minimum": "logical_and",
}


def _is_boolean(value: Any) -> bool:
    if isinstance(value, Traced):
        return value.node.kind == "boolean"
    if isinstance(value, float | int) and not isinstance(value, bool):
        return False
    return np.asarray(value).dtype == bool


def _row(name: str) -> Callable[..., Any]:
    """A ufunc that is a row of the table, with NumPy's rules for booleans."""
    op = TABLE[name]

    def apply(*values: Any) -> Any:
        if op.kind == "real" and len(values) <= 2 and all(map(_is_boolean, values)):
            if name in _ON_BOOLEANS:
                return TABLE[_ON_BOOLEANS[name]](*values)
            if name in ("subtract", "negative"):
                raise UnsupportedFunctionError(
                    f"np.{name} of booleans is not defined. Use np.logical_xor or "
                    "np.logical_not, or make them numbers with .astype(float)."
                )
        return op(*values)

    return apply


def _bitwise(name: str) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        if not all(map(_is_boolean, values)):
            raise UnsupportedFunctionError(
                "Bitwise operators (&, |, ^, ~) work on booleans only; a traced "
                "program has no integers. Compare first, as in (x > 0) & (x < 1)."
            )
        return TABLE[name](*values)

    return apply


def _power(x: Any, exponent: Any) -> Any:
    """x**b; small constant exponents are the cheaper rows they equal."""
    if isinstance(exponent, int | float) and not isinstance(exponent, bool):
        if exponent == 2:
            return TABLE["square"](x)
        if exponent == 1:
            return x
        if exponent == 3:
            return TABLE["multiply"](x, TABLE["square"](x))
        if exponent == 0.5:
            return TABLE["sqrt"](x)
        if exponent == -1:
            return TABLE["reciprocal"](x)
    return TABLE["power"](x, exponent)


def _matmul(a: Any, b: Any) -> Any:
    builder = common_builder((a, b))
    a, b = lift(builder, a), lift(builder, b)
    if a.ndim == 0 or b.ndim == 0:
        raise UnsupportedFunctionError(
            "np.matmul (@) does not take scalars; multiply with * instead."
        )
    left = a if a.ndim > 1 else a.reshape(1, a.shape[0])
    right = b if b.ndim > 1 else b.reshape(b.shape[0], 1)
    product = TABLE["matmul"](left, right)
    shape = product.shape
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = (*shape[:-2], shape[-1]) if b.ndim > 1 else shape[:-1]
    return product if shape == product.shape else product.reshape(shape)


def _logaddexp(a: Any, b: Any) -> Any:
    return TABLE["softplus"](a - b) + b


UFUNCS.update(
    {
        getattr(np, name): _row(name)
        for name in [
            "add",
            "subtract",
            "multiply",
            "divide",
            "negative",
            "exp",
            "expm1",
            "exp2",
            "log",
            "log1p",
            "log2",
            "sqrt",
            "square",
            "reciprocal",
            "sign",
            "sin",
            "cos",
            "tan",
            "arcsin",
            "arccos",
            "arctan",
            "sinh",
            "cosh",
            "tanh",
            "maximum",
            "minimum",
            "equal",
            "not_equal",
            "less",
            "less_equal",
            "greater",
            "greater_equal",
            "logical_and",
            "logical_or",
            "logical_xor",
            "logical_not",
        ]
    }
)
UFUNCS.update(
    {
        np.absolute: _row("abs"),
        np.fabs: _row("abs"),
        np.positive: lambda x: x,
        np.conjugate: lambda x: x,
        np.power: _power,
        np.float_power: _power,
        np.matmul: _matmul,
        np.bitwise_and: _bitwise("logical_and"),
        np.bitwise_or: _bitwise("logical_or"),
        np.bitwise_xor: _bitwise("logical_xor"),
        np.invert: _bitwise("logical_not"),
        np.logaddexp: _logaddexp,
        np.hypot: lambda a, b: np.sqrt(np.square(a) + np.square(b)),
        np.deg2rad: lambda x: x * (pi / 180.0),
        np.rad2deg: lambda x: x * (180.0 / pi),
        np.isnan: lambda x: TABLE["not_equal"](x, x),
        np.isfinite: lambda x: TABLE["less"](TABLE["abs"](x), np.inf),
        np.isinf: lambda x: TABLE["equal"](TABLE["abs"](x), np.inf),
        special.expit: _row("sigmoid"),
        special.erf: _row("erf"),
    }
)
REDUCTIONS.update(
    {
        np.add: lambda x, axis=0, keepdims=False, **_: np.sum(
            x, axis, keepdims=keepdims
        ),
        np.multiply: lambda x, axis=0, keepdims=False, **_: np.prod(
            x, axis, keepdims=keepdims
        ),
        np.maximum: lambda x, axis=0, keepdims=False, **_: np.max(
            x, axis, keepdims=keepdims
        ),
        np.minimum: lambda x, axis=0, keepdims=False, **_: np.min(
            x, axis, keepdims=keepdims
        ),
    }
)
