"""Elementary functions written so that LLVM turns a loop over them into vector code.

Numba's own `exp`, `tanh`, … call one libm function per element (8–20 ns). These are
branch-free: every element takes the same path, choices are selects, and powers of two
are made by adding to the exponent field.

Every function is one source for float64 and float32, each in its own precision
(`emit.Number`): float32 has twice the lanes, shorter polynomials and 32-bit integers.
Four are computed in float64 for either: sin, cos and tan, whose reduction needs the
digits, and power. Nothing is left to libm but sin, cos and tan of |x| > 2²⁰.

Method: Cody and Waite (1980), "Software Manual for the Elementary Functions", for the
reductions; the logarithm in s = f/(2+f) is the classical artanh series. Coefficients
are Chebyshev approximations of the stated function on the stated interval, computed at
60 digits and rounded (`tests/engine/test_vector_tables.py` derives them again).

`BOUNDS` are tested against exact values; half an ulp more where the result is
subnormal. NaN, infinities, signed zeros and saturation follow IEEE 754 and NumPy.
"""

from __future__ import annotations

from typing import Final

from diffkit.engine.vector_math.exponential import (
    cosh,
    erf,
    exp,
    exp2,
    expm1,
    sigmoid,
    sinh,
    tanh,
)
from diffkit.engine.vector_math.logarithm import log, log1p, log2, power, softplus
from diffkit.engine.vector_math.trigonometric import (
    TURNS_LIMIT,
    arccos,
    arcsin,
    arctan,
    beyond,
    cos,
    sin,
    tan,
)

# Largest errors in units in the last place: float64, float32.
BOUNDS: Final = {
    "exp": (1.0, 1.0),
    "exp2": (1.1, 1.1),
    "expm1": (1.5, 1.5),
    "log": (1.0, 1.0),
    "log1p": (1.5, 1.5),
    "log2": (2.0, 2.0),
    "tanh": (2.2, 2.0),
    "sigmoid": (2.5, 2.5),
    "softplus": (2.0, 2.0),
    "erf": (1.5, 1.5),
    "sinh": (2.0, 2.0),
    "cosh": (1.5, 1.5),
    "sin": (1.0, 0.51),
    "cos": (1.0, 0.51),
    "tan": (2.5, 0.51),
    "arctan": (1.5, 1.5),
    "arcsin": (2.0, 2.0),
    "arccos": (1.5, 1.5),
    "power": (1.0, 0.51),
}

__all__ = [
    "BOUNDS",
    "TURNS_LIMIT",
    "arccos",
    "arcsin",
    "arctan",
    "beyond",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "power",
    "sigmoid",
    "sin",
    "sinh",
    "softplus",
    "tan",
    "tanh",
]
