"""Elementwise kernels: one scalar function each, looped in the shapes that occur.

The output is contiguous. An input is read with inner stride 1 or 0 and any outer
stride, which covers contiguous, scalar, row-broadcast and column-broadcast operands
and slices of rows without copying them; lowering copies whatever is left.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba import float64

from diffkit.engine import vector_math
from diffkit.engine.jit import intrinsic, kernel, rounding_scalar, scalar
from diffkit.engine.kernels.fields import (
    A_INNER,
    A_OUTER,
    B_INNER,
    B_OUTER,
    C_INNER,
    C_OUTER,
    INNER,
    OUT,
    OUTER,
    A,
    B,
    C,
)
from diffkit.engine.kernels.memory import keep_apart, load, store


def _extremum(name):
    def typed(typingctx, x, y):
        def codegen(context, builder, signature, arguments):
            kind = arguments[0].type
            function = builder.module.declare_intrinsic(
                name, [kind], ir.FunctionType(kind, [kind, kind])
            )
            return builder.call(function, arguments)

        return x(x, x), codegen

    return typed


@intrinsic
def larger(typingctx, x, y):
    """The larger of two numbers; NaN if either is (IEEE 754-2019 maximum)."""
    return _extremum("llvm.maximum")(typingctx, x, y)


@intrinsic
def smaller(typingctx, x, y):
    """The smaller of two numbers; NaN if either is (IEEE 754-2019 minimum)."""
    return _extremum("llvm.minimum")(typingctx, x, y)


def unary(function):
    """The kernel out[i, j] = function(a[i, j]), in the arena's own precision."""

    @kernel
    def run(arena, row, lists):
        keep_apart()
        inner = row[INNER]
        for i in range(row[OUTER]):
            out = row[OUT] + i * inner
            a = row[A] + i * row[A_OUTER]
            for j in range(inner):
                store(arena, out + j, function(load(arena, a + j)))

    return run


def wide(function):
    """A function of float64 for either dtype: float32 is rounded once, at the store."""

    @scalar
    def widened(x):
        return function(float64(x))

    return widened


def wide2(function):
    """A function of two float64 for either dtype."""

    @scalar
    def widened(x, y):
        return function(float64(x), float64(y))

    return widened


def binary(function):
    """The kernel out[i, j] = function(a[i, j], b[i, j])."""

    @kernel
    def run(arena, row, lists):
        keep_apart()
        inner = row[INNER]
        a_inner = row[A_INNER]
        b_inner = row[B_INNER]
        for i in range(row[OUTER]):
            out = row[OUT] + i * inner
            a = row[A] + i * row[A_OUTER]
            b = row[B] + i * row[B_OUTER]
            if a_inner == 0:
                x = load(arena, a)
                for j in range(inner):
                    store(arena, out + j, function(x, load(arena, b + j)))
            elif b_inner == 0:
                y = load(arena, b)
                for j in range(inner):
                    store(arena, out + j, function(load(arena, a + j), y))
            else:
                for j in range(inner):
                    value = function(load(arena, a + j), load(arena, b + j))
                    store(arena, out + j, value)

    return run


@kernel
def where(arena, row, lists):
    """Out = a if c else b; the condition is a 0/1 number, any operand may be scalar."""
    keep_apart()
    inner = row[INNER]
    for i in range(row[OUTER]):
        out = row[OUT] + i * inner
        a = row[A] + i * row[A_OUTER]
        b = row[B] + i * row[B_OUTER]
        c = row[C] + i * row[C_OUTER]
        if row[C_INNER] == 0:
            # One choice for the whole row: a copy of the chosen side.
            side, step = (a, row[A_INNER]) if load(arena, c) != 0 else (b, row[B_INNER])
            if step == 0:
                x = load(arena, side)
                for j in range(inner):
                    store(arena, out + j, x)
            else:
                for j in range(inner):
                    store(arena, out + j, load(arena, side + j))
        elif row[A_INNER] == 0 and row[B_INNER] == 0:
            x = load(arena, a)
            y = load(arena, b)
            for j in range(inner):
                store(arena, out + j, x if load(arena, c + j) != 0 else y)
        elif row[A_INNER] == 0:
            x = load(arena, a)
            for j in range(inner):
                y = load(arena, b + j)
                store(arena, out + j, x if load(arena, c + j) != 0 else y)
        elif row[B_INNER] == 0:
            y = load(arena, b)
            for j in range(inner):
                x = load(arena, a + j)
                store(arena, out + j, x if load(arena, c + j) != 0 else y)
        else:
            for j in range(inner):
                x = load(arena, a + j)
                y = load(arena, b + j)
                store(arena, out + j, x if load(arena, c + j) != 0 else y)


@rounding_scalar
def _multiply_add(x, y, z):
    return x * y + z


@kernel
def multiply_add(arena, row, lists):
    """Out = a·b + c, rounded twice: what two instructions would give."""
    keep_apart()
    inner = row[INNER]
    c_inner = row[C_INNER]
    for i in range(row[OUTER]):
        out = row[OUT] + i * inner
        a, a_inner = row[A] + i * row[A_OUTER], row[A_INNER]
        b, b_inner = row[B] + i * row[B_OUTER], row[B_INNER]
        c = row[C] + i * row[C_OUTER]
        if b_inner == 0:
            a, a_inner, b, b_inner = b, b_inner, a, a_inner
        if a_inner == 0 and b_inner == 0:
            x = load(arena, a)
            y = load(arena, b)
            for j in range(inner):
                z = load(arena, c + j * c_inner)
                store(arena, out + j, _multiply_add(x, y, z))
        elif a_inner == 0 and c_inner == 0:
            x = load(arena, a)
            z = load(arena, c)
            for j in range(inner):
                store(arena, out + j, _multiply_add(x, load(arena, b + j), z))
        elif a_inner == 0:
            x = load(arena, a)
            for j in range(inner):
                y = load(arena, b + j)
                store(arena, out + j, _multiply_add(x, y, load(arena, c + j)))
        elif c_inner == 0:
            z = load(arena, c)
            for j in range(inner):
                x = load(arena, a + j)
                store(arena, out + j, _multiply_add(x, load(arena, b + j), z))
        else:
            for j in range(inner):
                x = load(arena, a + j)
                y = load(arena, b + j)
                store(arena, out + j, _multiply_add(x, y, load(arena, c + j)))


@scalar
def _square(x):
    return x * x


@scalar
def _negative(x):
    return -x


@scalar
def _reciprocal(x):
    return 1.0 / x


@scalar
def _absolute(x):
    return abs(x)


@scalar
def _sign(x):
    # NaN fails every comparison but the last, and is handed on.
    return 1.0 if x > 0 else (-1.0 if x < 0 else (0.0 if x == 0 else x))


@scalar
def _relu(x):
    return 0.0 if x < 0 else x  # NaN fails the comparison and is handed on


@scalar
def _logical_not(x):
    return 1.0 if x == 0 else 0.0


@scalar
def _root(x):
    return math.sqrt(x)


@scalar
def _tanh_pullback(g, y):
    return g * (1.0 - y * y)


@scalar
def _add(x, y):
    return x + y


@scalar
def _subtract(x, y):
    return x - y


@scalar
def _multiply(x, y):
    return x * y


@scalar
def _divide(x, y):
    return x / y


@scalar
def _power(x, y):
    return x**y


@scalar
def _maximum(x, y):
    return larger(x, y)


@scalar
def _minimum(x, y):
    return smaller(x, y)


@scalar
def _equal(x, y):
    return 1.0 if x == y else 0.0


@scalar
def _not_equal(x, y):
    return 1.0 if x != y else 0.0


@scalar
def _less(x, y):
    return 1.0 if x < y else 0.0


@scalar
def _less_equal(x, y):
    return 1.0 if x <= y else 0.0


@scalar
def _logical_and(x, y):
    return 1.0 if (x != 0) & (y != 0) else 0.0


@scalar
def _logical_or(x, y):
    return 1.0 if (x != 0) | (y != 0) else 0.0


@scalar
def _logical_xor(x, y):
    return 1.0 if (x != 0) ^ (y != 0) else 0.0


def _library(function):
    """A kernel over one of the C library's functions: right, and not vectorised."""

    @scalar
    def call(x):
        return function(x)

    return unary(wide(call))


negative = unary(_negative)
reciprocal = unary(_reciprocal)
square = unary(_square)
sqrt = unary(_root)
absolute = unary(_absolute)
sign = unary(_sign)
relu = unary(_relu)
logical_not = unary(_logical_not)
exp = unary(wide(vector_math.exp))
expm1 = unary(wide(vector_math.expm1))
exp2 = unary(wide(vector_math.exp2))
log = unary(wide(vector_math.log))
log1p = unary(wide(vector_math.log1p))
log2 = unary(wide(vector_math.log2))
tanh = unary(wide(vector_math.tanh))
sigmoid = unary(wide(vector_math.sigmoid))
softplus = unary(wide(vector_math.softplus))
erf = unary(wide(vector_math.erf))
sin = _library(math.sin)
cos = _library(math.cos)
tan = _library(math.tan)
arcsin = _library(math.asin)
arccos = _library(math.acos)
arctan = _library(math.atan)
sinh = _library(math.sinh)
cosh = _library(math.cosh)

add = binary(_add)
subtract = binary(_subtract)
multiply = binary(_multiply)
divide = binary(_divide)
power = binary(wide2(_power))
maximum = binary(_maximum)
minimum = binary(_minimum)
equal = binary(_equal)
not_equal = binary(_not_equal)
less = binary(_less)
less_equal = binary(_less_equal)
logical_and = binary(_logical_and)
logical_or = binary(_logical_or)
logical_xor = binary(_logical_xor)
tanh_pullback = binary(_tanh_pullback)
