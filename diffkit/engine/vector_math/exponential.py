"""Exponentials, and what is made of them: tanh, sigmoid, sinh, cosh, erf.

eˣ = 2ⁿ·eʳ with n = round(x/ln 2) and r in two steps (Cody and Waite, 1980).
"""

from __future__ import annotations

from diffkit.engine.emit import (
    Number,
    Pair,
    at_least,
    at_most,
    bits_of,
    copysign,
    equal,
    float_of,
    polynomial,
    select,
)
from diffkit.engine.vector_math import tables

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
# 1.5·2⁵² or 1.5·2²³: adding it rounds to an integer and leaves that in the low bits.
ROUNDER = Pair(6755399441055744.0, 12582912.0)
ROUNDER_BITS = Pair(0x4338000000000000, 0x4B400000)
EXPONENT_BIAS = Pair(1023, 127)
MANTISSA_BITS = Pair(52, 23)
# 2⁻ⁿ is no longer wanted where 1 − 2⁻ⁿ is 1, and no longer a normal number soon after.
LARGE_EXPONENT = Pair(1000, 120)

# Beyond these a result has overflowed, vanished or saturated.
EXP_TOP, EXP_BOTTOM = Pair(710.0, 89.0), Pair(-746.0, -104.0)
EXP2_TOP, EXP2_BOTTOM = Pair(1025.0, 129.0), Pair(-1077.0, -152.0)
EXPM1_BOTTOM = Pair(-60.0, -30.0)
TANH_TOP = Pair(22.0, 10.0)
SINH_TOP = Pair(711.0, 90.0)
ERF_TOP = 6.0


def power_of_two(n: Number) -> Number:
    """2ⁿ for the exponents of normal numbers."""
    return float_of((n + EXPONENT_BIAS) << MANTISSA_BITS)


def inverse_power_of_two(n: Number) -> Number:
    """2⁻ⁿ, likewise."""
    return float_of((EXPONENT_BIAS - n) << MANTISSA_BITS)


def scaled(y: Number, n: Number) -> Number:
    """y·2ⁿ in two steps, so that 2ⁿ may lie outside the normal numbers."""
    half = n >> 1
    return y * power_of_two(half) * power_of_two(n - half)


def _reduced(x: Number) -> tuple[Number, Number, Number]:
    """N and r with x = n·ln 2 + r, |r| ≤ ln(2)/2; and what rounding r has lost."""
    shifted = x * LOG2_E + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    k = shifted - ROUNDER
    high = x - k * tables.LN2_HIGH
    low = k * tables.LN2_LOW
    r = high - low
    return n, r, (high - r) - low


def _exp_reduced(r: Number, low: Number | None = None) -> Number:
    """e^(r + low); a second part that is left out costs a quarter of an ulp."""
    rest = r * r * polynomial(r, tables.EXPM1_TAIL)
    return 1.0 + (r + (rest if low is None else low + rest))


def exp(x: Number) -> Number:
    """eˣ = 2ⁿ·eʳ with n = round(x/ln 2)."""
    n, r, lost = _reduced(at_least(at_most(x, EXP_TOP), EXP_BOTTOM))
    return scaled(_exp_reduced(r, lost), n)


def exp_of_sum(x: Number, low: Number) -> Number:
    """e^(x + low) for a second part that is small beside the first."""
    n, r, lost = _reduced(at_least(at_most(x, EXP_TOP), EXP_BOTTOM))
    s = r + low
    return scaled(_exp_reduced(s, ((r - s) + low) + lost), n)


def exp2(x: Number) -> Number:
    """2ˣ = 2ⁿ·e^(ln(2)(x−n)) with n = round(x)."""
    x = at_least(at_most(x, EXP2_TOP), EXP2_BOTTOM)
    shifted = x + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    return scaled(_exp_reduced((x - (shifted - ROUNDER)) * LN2), n)


def expm1(x: Number) -> Number:
    """eˣ − 1 = 2ⁿ·((1 − 2⁻ⁿ) + (eʳ − 1)), the small sum carried in two parts."""
    n, r, lost = _reduced(at_least(at_most(x, EXP_TOP), EXPM1_BOTTOM))
    offset = 1.0 - select(n < LARGE_EXPONENT, inverse_power_of_two(n), 0.0)
    total = offset + r
    error = (r - (total - offset)) + lost
    tail = polynomial(r, tables.EXPM1_TAIL)
    result = scaled(total + (error + r * r * tail), n)
    return select(equal(x, 0.0), x, result)  # keeps −0


def tanh(x: Number) -> Number:
    """(1 − e^(−2|x|))/(1 + e^(−2|x|)), with the sign of x.

    With e^(−2|x|) = 2ⁿ·(1 + p), 1 ∓ 2ⁿ are exact, and above and below the bar one
    fused operation is left; near zero n is 0, and p has lost nothing.
    """
    n, r, _ = _reduced(-2.0 * at_most(abs(x), TANH_TOP))
    power = power_of_two(n)
    part = power * (r + r * r * polynomial(r, tables.EXPM1_TAIL))
    return copysign(((1.0 - power) - part) / ((1.0 + power) + part), x)


def sigmoid(x: Number) -> Number:
    """1/(1 + e⁻ˣ), or eˣ/(1 + eˣ) for x < 0: no overflow, full accuracy in the tail."""
    e = exp(-abs(x))
    return select(x < 0.0, e, 1.0) / (1.0 + e)


def _halves(magnitude: Number) -> tuple[Number, Number]:
    """Half of eˣ and half of e⁻ˣ for x ≥ 0; the first overflows when the sum does."""
    n, r, _ = _reduced(at_most(magnitude, SINH_TOP))
    half = scaled(_exp_reduced(r), n - 1)
    return half, 0.25 / half


def sinh(x: Number) -> Number:
    """(eˣ − e⁻ˣ)/2, or x + x³·P(x²) where |x| < 1; sign of x."""
    magnitude = abs(x)
    rising, falling = _halves(magnitude)
    z = magnitude * magnitude
    small = magnitude + magnitude * z * polynomial(z, tables.SINH_SMALL)
    return copysign(select(magnitude < 1.0, small, rising - falling), x)


def cosh(x: Number) -> Number:
    """(eˣ + e⁻ˣ)/2."""
    rising, falling = _halves(abs(x))
    return rising + falling


def erf(x: Number) -> Number:
    """X + x·P(x²) for |x| < 1, else 1 − e^(−x²)·Q((|x|−3)/(|x|+3))."""
    magnitude = at_most(abs(x), ERF_TOP)
    z = magnitude * magnitude
    small = magnitude + magnitude * polynomial(z, tables.ERF_SMALL)
    t = (magnitude - 3.0) / (magnitude + 3.0)
    large = 1.0 - exp(-z) * polynomial(t, tables.ERFCX)
    return copysign(select(magnitude < 1.0, small, large), x)
