"""Neighbouring numbers in one register, each operation rounded by itself.

What a formula of `diffkit.rules` computes with when the engine writes it down: where
`emit` may fuse products and sums, nothing may be fused here, so that the results are
NumPy's, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.cgutils import get_or_insert_function

from diffkit.engine.emit import DOUBLE
from diffkit.engine.kernels.tile import VECTOR_BYTES, splat

_WHOLE = ir.IntType(64)
# Numba adds its caller's flags to what has none: these mean nothing to sums, products
# and differences, and to divisions.
_ARITHMETIC, _DIVISION = ("arcp",), ("contract",)

# Of a float64: its exponent, as it lies in the bits; and the bits after it.
_EXPONENT, _MANTISSA = 0x7FF << 52, (1 << 52) - 1
# Exponents from 2⁻⁴⁰⁰ to below 2⁴⁰⁰: remainders of what lies there are exact.
_LOW, _SPAN = (1023 - 400) << 52, 800 << 52
# Lanes of the registers that x86's approximate reciprocal exists for.
_WIDE = 8


class Elements:
    """Lanes of a vector register (or one number) that a formula computes with."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _do(self, name: str, *others: Elements, **options: Any) -> Elements:
        operands = [other.value for other in others]
        done = getattr(self.builder, name)(self.value, *operands, **options)
        return Elements(self.builder, done)

    def __add__(self, other: Elements) -> Elements:
        return self._do("fadd", other, flags=_ARITHMETIC)

    def __sub__(self, other: Elements) -> Elements:
        return self._do("fsub", other, flags=_ARITHMETIC)

    def __mul__(self, other: Elements) -> Elements:
        return self._do("fmul", other, flags=_ARITHMETIC)

    def __truediv__(self, other: Elements) -> Elements:
        return quotient(self, other)

    def __array_ufunc__(
        self, function: np.ufunc, method: str, *operands: Elements
    ) -> Elements:
        """NumPy's functions of formulas, by LLVM's of the same meaning."""
        return called(_FUNCTIONS[function], *operands)


_FUNCTIONS: dict[Callable[..., Any], str] = {
    np.sqrt: "llvm.sqrt",
    # IEEE 754-2019: NaN if either is, as NumPy's.
    np.maximum: "llvm.maximum",
    np.minimum: "llvm.minimum",
}


def called(name: str, *operands: Elements) -> Elements:
    """A function of LLVM, lane by lane."""
    builder, kind = operands[0].builder, operands[0].value.type
    signature = ir.FunctionType(kind, [kind] * len(operands))
    # Named by hand: llvmlite knows no names of intrinsics of vectors.
    lanes, element = (
        (f"v{kind.count}", kind.element)
        if isinstance(kind, ir.VectorType)
        else ("", kind)
    )
    full_name = f"{name}.{lanes}{element.intrinsic_name}"
    return Elements(
        builder,
        builder.call(
            get_or_insert_function(builder.module, signature, full_name),
            [operand.value for operand in operands],
        ),
    )


def quotient(a: Elements, b: Elements) -> Elements:
    """a/b, correctly rounded.

    Dividing takes a CPU's one divider 16 cycles for eight float64, which a square root
    wants as well. Where AVX-512 is, 1/b is refined from 14 bits by Newton's iteration
    in fused multiply-adds, and the quotient corrected by its exact remainder: if the
    reciprocal is the nearest number, so is then the quotient (Markstein, "Computation
    of elementary functions on the IBM RISC System/6000 processor", 1990). A reciprocal
    made so may not be the nearest for a mantissa of ones alone, and a remainder may be
    inexact near the ends of the range, and for zeros: where one of the eight is such
    a number, the divider does it.
    """
    builder, kind = a.builder, a.value.type
    if VECTOR_BYTES != 64 or kind != ir.VectorType(DOUBLE, _WIDE):
        return a._do("fdiv", b, flags=_DIVISION)
    usual = builder.and_(_ordinary(a), _ordinary(b))
    usual = builder.and_(usual, _has_zeros(b))
    every = builder.icmp_unsigned(
        "==",
        builder.bitcast(usual, ir.IntType(_WIDE)),
        ir.Constant(ir.IntType(_WIDE), (1 << _WIDE) - 1),
    )
    with builder.if_else(every, likely=True) as (then, otherwise):
        with then:
            refined = _refined(a, b).value
            fast = builder.block
        with otherwise:
            divided = a._do("fdiv", b, flags=_DIVISION).value
            slow = builder.block
    found = builder.phi(kind)
    found.add_incoming(refined, fast)
    found.add_incoming(divided, slow)
    return Elements(builder, found)


def _refined(a: Elements, b: Elements) -> Elements:
    one = like(a, 1.0)
    minus_b = b._do("fneg")
    y = _approximate_reciprocal(b)
    for _ in range(3):
        y = _fused(y, _fused(minus_b, y, one), y)
    q = a * y
    for _ in range(2):
        q = _fused(y, _fused(minus_b, q, a), q)
    return q


def _fused(x: Elements, y: Elements, z: Elements) -> Elements:
    """x·y + z, rounded once."""
    return called("llvm.fma", x, y, z)


def _approximate_reciprocal(b: Elements) -> Elements:
    """1/b to 14 bits."""
    builder, kind = b.builder, b.value.type
    mask = ir.IntType(8)
    function = get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind, kind, mask]),
        "llvm.x86.avx512.rcp14.pd.512",
    )
    everywhere = ir.Constant(mask, 0xFF)
    return Elements(builder, builder.call(function, [b.value, b.value, everywhere]))


def _ordinary(x: Elements) -> Any:
    """In which lanes the size is from 2⁻⁴⁰⁰ to below 2⁴⁰⁰."""
    builder = x.builder
    bits = _bits(x)
    exponent = builder.and_(bits, _whole(_EXPONENT))
    above = builder.sub(exponent, _whole(_LOW))
    return builder.icmp_unsigned("<", above, _whole(_SPAN))


def _has_zeros(x: Elements) -> Any:
    """In which lanes the mantissa is not of ones alone."""
    builder = x.builder
    rest = builder.and_(_bits(x), _whole(_MANTISSA))
    return builder.icmp_unsigned("!=", rest, _whole(_MANTISSA))


def _bits(x: Elements) -> Any:
    return x.builder.bitcast(x.value, ir.VectorType(_WHOLE, _WIDE))


def _whole(value: int) -> Any:
    return ir.Constant(ir.VectorType(_WHOLE, _WIDE), [value] * _WIDE)


def like(x: Elements, value: float) -> Elements:
    """A constant in every lane."""
    kind = x.value.type
    each = [value] * kind.count if isinstance(kind, ir.VectorType) else value
    return Elements(x.builder, ir.Constant(kind, each))


def spread(builder: Any, number: Any, lanes: int) -> Elements:
    """One number in every lane; with one lane, the number itself."""
    return Elements(builder, number if lanes == 1 else splat(builder, number, lanes))


def chosen(condition: Any, x: Elements, y: Elements) -> Elements:
    """X if a condition holds, for all lanes at once, else y."""
    return Elements(x.builder, x.builder.select(condition, x.value, y.value))
