"""What the functions in generated source do to columns and scalars of the batch."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from diffkit.interpret.sympy_functions import MEANINGS
from diffkit.ops import TABLE


def _largest(*x: Any) -> Any:
    return reduce(np.maximum, x)


def _smallest(*x: Any) -> Any:
    return reduce(np.minimum, x)


def _logsumexp(*x: Any) -> Any:
    largest = _largest(*x)
    shift = np.where(np.isfinite(largest), largest, largest * 0)
    shift = np.where(np.isnan(shift), 0, shift)
    total = np.exp(x[0] - shift)
    for other in x[1:]:
        total = total + np.exp(other - shift)
    return np.log(total) + shift


def _whole_power(x: Any, n: int) -> Any:
    """x^n for n ≥ 1 by repeated squaring."""
    power = None
    while n:
        if n & 1:
            power = x if power is None else power * x
        n >>= 1
        if n:
            x = x * x
    return power


def _positive_log(x: Any) -> Any:
    return np.log(np.where(np.greater(x, 0), x, 1))


def _exponent_below(b: Any) -> Any:
    return np.where(np.equal(b, 0), 1, b - 1)


def functions(dtype: np.dtype) -> dict[str, Any]:
    """The names that generated source may use, in the arithmetic of `dtype`."""
    of_rows = {
        row.sympy: row.numpy
        for row in TABLE.values()
        if row.family == "elementwise" and row.sympy in MEANINGS
    }
    one = dtype.type(1)

    def ties(first: Any, *x: Any) -> Any:
        count = np.equal(x[0], first) * one
        for other in x[1:]:
            count = count + np.equal(other, first)
        return count

    return {
        **of_rows,
        "absolute": np.abs,
        "real_power": np.power,
        "largest": _largest,
        "smallest": _smallest,
        "logsumexp": _logsumexp,
        "ties": ties,
        "same": lambda x, y: np.equal(x, y) * one,
        "step": lambda x: np.greater(x, 0) * one,
        "exponent_below": _exponent_below,
        "positive_log": _positive_log,
        "square": np.square,
        "whole_power": _whole_power,
        "batch_sum": np.add.reduce,
        "real": dtype.type,
        "zero": dtype.type(0),
        "one": one,
        "inf": dtype.type(np.inf),
        "nan": dtype.type(np.nan),
        "__builtins__": {},
    }
