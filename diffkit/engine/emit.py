"""Native code written as it is meant: LLVM's values with Python's operators.

Numba takes some 50 ms to type and lower a function of three lines, and the machine has
hundreds. A function of `Number`s is run once, by Python, and what it computes with is
written down: `x * x + 1.0` adds two instructions to the body of a loop. One source
serves both precisions, for constants follow the numbers that they meet, and integers
keep the width of the float whose bits they were (Numba would widen them to 64 bits, and
halve the lanes of a loop over float32).

Products and sums may be contracted into fused multiply-adds, as in `jit.CONTRACT`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from llvmlite import ir
from numba.core.cgutils import get_or_insert_function

from diffkit.engine.jit import intrinsic

# Longer polynomials are halved: two short chains of dependent steps instead of one.
CHAIN = 7
DOUBLE, SINGLE = ir.DoubleType(), ir.FloatType()
_BITS: dict[ir.Type, ir.Type] = {DOUBLE: ir.IntType(64), SINGLE: ir.IntType(32)}
# Numba adds its caller's flags to what has none: so everything has some.
_FUSIBLE = ("contract",)
_PLAIN = ("arcp",)  # which means something to divisions alone


class Pair(NamedTuple):
    """A constant for 64 bits and for 32, where rounding the one is not the other."""

    wide: float
    narrow: float


class Table(NamedTuple):
    """Coefficients from the constant term up, for float64 and for float32."""

    wide: tuple[float, ...]
    narrow: tuple[float, ...] = ()


class Number:
    """A value that native code will have: a float, an integer, or a truth value."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    @property
    def type(self) -> Any:
        """Its LLVM type."""
        return self.value.type

    @property
    def is_float(self) -> bool:
        """Whether it is a float64 or a float32."""
        return self.type in _BITS

    def like(self, other: Operand) -> Number:
        """A constant, or another number, in the type of this one."""
        if isinstance(other, Pair):
            other = other.wide if self.type in (DOUBLE, _BITS[DOUBLE]) else other.narrow
        if not isinstance(other, Number):
            return Number(self.builder, ir.Constant(self.type, other))
        if other.type == self.type:
            return other
        cast = self.builder.fptrunc if other.type == DOUBLE else self.builder.fpext
        return Number(self.builder, cast(other.value, self.type))

    def _do(self, name: str, *operands: Operand, **options: Any) -> Number:
        values = [self.like(x).value for x in operands]
        return Number(
            self.builder, getattr(self.builder, name)(self.value, *values, **options)
        )

    def _either(self, float_name: str, name: str, other: Operand) -> Number:
        if self.is_float:
            return self._do(float_name, other, flags=_FUSIBLE)
        return self._do(name, other)

    def _compared(self, sign: str, other: Operand) -> Number:
        values = (self.value, self.like(other).value)
        if self.is_float:
            value = self.builder.fcmp_ordered(sign, *values, flags=_FUSIBLE)
        else:
            value = self.builder.icmp_signed(sign, *values)
        return Number(self.builder, value)

    def __add__(self, other: Operand) -> Number:
        return self._either("fadd", "add", other)

    def __radd__(self, other: Operand) -> Number:
        return self.like(other) + self

    def __sub__(self, other: Operand) -> Number:
        return self._either("fsub", "sub", other)

    def __rsub__(self, other: Operand) -> Number:
        return self.like(other) - self

    def __mul__(self, other: Operand) -> Number:
        return self._either("fmul", "mul", other)

    def __rmul__(self, other: Operand) -> Number:
        return self.like(other) * self

    def __truediv__(self, other: Operand) -> Number:
        return self._do("fdiv", other, flags=_FUSIBLE)

    def __rtruediv__(self, other: Operand) -> Number:
        return self.like(other) / self

    def __neg__(self) -> Number:
        return self._do("fneg")

    def __abs__(self) -> Number:
        return call("llvm.fabs", self)

    def __lshift__(self, other: Operand) -> Number:
        return self._do("shl", other)

    def __rshift__(self, other: Operand) -> Number:
        """The shift that keeps the sign."""
        return self._do("ashr", other)

    def __and__(self, other: Operand) -> Number:
        return self._do("and_", other)

    def __or__(self, other: Operand) -> Number:
        return self._do("or_", other)

    def __xor__(self, other: Operand) -> Number:
        return self._do("xor", other)

    def __invert__(self) -> Number:
        return self._do("not_")

    def __lt__(self, other: Operand) -> Number:
        return self._compared("<", other)

    def __le__(self, other: Operand) -> Number:
        return self._compared("<=", other)

    def __gt__(self, other: Operand) -> Number:
        return self._compared(">", other)

    def __ge__(self, other: Operand) -> Number:
        return self._compared(">=", other)


Operand: TypeAlias = Number | Pair | float


def equal(x: Number, y: Operand) -> Number:
    """X = y; false for NaN."""
    return x._compared("==", y)


def unequal(x: Number, y: Operand) -> Number:
    """X ≠ y; true for NaN."""
    return ~equal(x, y)


def select(condition: Number, x: Operand, y: Operand) -> Number:
    """X if the condition holds, else y; one of them at least a `Number`."""
    kind = x if isinstance(x, Number) else y
    assert isinstance(kind, Number)
    value = condition.builder.select(
        condition.value, kind.like(x).value, kind.like(y).value
    )
    return Number(condition.builder, value)


def at_most(x: Number, limit: Operand) -> Number:
    """The smaller of the two; NaN if x is."""
    return select(x > limit, limit, x)


def at_least(x: Number, limit: Operand) -> Number:
    """The larger of the two; NaN if x is."""
    return select(x < limit, limit, x)


def call(name: str, *operands: Number) -> Number:
    """A function of LLVM (`llvm.…`) or of the C library, of floats of one type."""
    first = operands[0]
    kind = ir.FunctionType(first.type, [first.type] * len(operands))
    module = first.builder.module
    if name.startswith("llvm."):
        function = module.declare_intrinsic(name, [first.type], kind)
    else:
        function = get_or_insert_function(module, kind, name)
    return Number(
        first.builder, first.builder.call(function, [x.value for x in operands])
    )


def copysign(magnitude: Number, sign: Number) -> Number:
    """The first number with the sign of the second."""
    return call("llvm.copysign", magnitude, sign)


def fused(x: Number, y: Number, z: Number) -> Number:
    """x·y + z, rounded once: `fused(x, y, -(x·y))` is the error of a product."""
    return call("llvm.fma", x, y, z)


def rounded_twice(x: Number, y: Number, z: Number) -> Number:
    """x·y + z as two instructions give it, which nothing may fuse."""
    return x._do("fmul", y, flags=_PLAIN)._do("fadd", z, flags=_PLAIN)


def bits_of(x: Number) -> Number:
    """The bits of a float as an integer of its width."""
    return Number(x.builder, x.builder.bitcast(x.value, _BITS[x.type]))


def float_of(bits: Number) -> Number:
    """The float with the given bits."""
    kind = next(kind for kind, whole in _BITS.items() if whole == bits.type)
    return Number(bits.builder, bits.builder.bitcast(bits.value, kind))


def widened(x: Number) -> Number:
    """A float64, whatever it was."""
    return Number(x.builder, ir.Constant(DOUBLE, 0.0)).like(x)


def polynomial(x: Number, table: Table) -> Number:
    """c₀ + c₁x + c₂x² + …, with the coefficients made for x's precision."""
    terms = table.wide if x.type == DOUBLE else table.narrow
    return _evaluated({1: x}, [x.like(float(c)) for c in terms])


def _evaluated(powers: dict[int, Number], terms: Sequence[Number]) -> Number:
    if len(terms) > CHAIN:
        half = (len(terms) + 1) // 2
        low, high = (_evaluated(powers, part) for part in (terms[:half], terms[half:]))
        return _power(powers, half) * high + low
    total = terms[-1]
    for term in reversed(terms[:-1]):
        total = powers[1] * total + term
    return total


def _power(powers: dict[int, Number], n: int) -> Number:
    if n not in powers:
        powers[n] = _power(powers, n // 2) * _power(powers, n - n // 2)
    return powers[n]


def callable_from_numba(function: Callable[..., Number], arity: int = 1) -> Any:
    """A function of one or two `Number`s as one that Numba's functions call."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return function(*(Number(builder, x) for x in arguments)).value

    @intrinsic
    def of_one(typingctx, x):
        return x(x), codegen

    @intrinsic
    def of_two(typingctx, x, y):
        return x(x, x), codegen

    return of_one if arity == 1 else of_two


def larger(x: Number, y: Number) -> Number:
    """The larger of two numbers; NaN if either is (IEEE 754-2019 maximum)."""
    return call("llvm.maximum", x, y)


def smaller(x: Number, y: Number) -> Number:
    """The smaller of two numbers; NaN if either is (IEEE 754-2019 minimum)."""
    return call("llvm.minimum", x, y)
