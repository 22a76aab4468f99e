"""Logarithms, and what is made of them: log, log2, log1p, softplus, power.

log(2ᵏm) = k·ln 2 + log m, and log m = 2·artanh(s) with s = (m − 1)/(m + 1).
"""

from __future__ import annotations

from math import inf, nan

from diffkit.engine.emit import (
    SINGLE,
    Number,
    Pair,
    at_least,
    bits_of,
    call,
    equal,
    float_of,
    fused,
    polynomial,
    select,
    unequal,
    widened,
)
from diffkit.engine.vector_math import tables
from diffkit.engine.vector_math.exponential import (
    LOG2_E,
    MANTISSA_BITS,
    ROUNDER,
    ROUNDER_BITS,
    exp,
    exp_of_sum,
    inverse_power_of_two,
)
from diffkit.engine.vector_math.tables import LN2_HIGH, LN2_LOW, TWO_THIRDS

SQRT_HALF_BITS = Pair(0x3FE6A09E667F3BCD, 0x3F3504F3)
SMALLEST_NORMAL = Pair(2.2250738585072014e-308, 1.1754943508222875e-38)
# Subnormal arguments are multiplied by this power of two first.
LIFT, LIFT_EXPONENT = Pair(2.0**54, 2.0**25), Pair(54.0, 25.0)
# From here on 1 + x is x, or its neighbour.
LOG1P_LARGE = Pair(1e16, 1e8)
SQRT_2_LESS_1 = 0.4142135623730951
# A logarithm so large makes any power 0 or ∞, whatever its second part.
POWER_END = 800.0


def _mantissa(u: Number) -> tuple[Number, Number, Number]:
    """K, as a float, and m with u = 2ᵏm, √½ ≤ m < √2; and k as a whole number."""
    bits = bits_of(u)
    k = (bits - SQRT_HALF_BITS) >> MANTISSA_BITS
    m = float_of(bits - (k << MANTISSA_BITS))
    return float_of(k + ROUNDER_BITS) - ROUNDER, m, k


def _normal_mantissa(x: Number) -> tuple[Number, Number]:
    """K and m of any positive number, subnormal ones too."""
    tiny = x < SMALLEST_NORMAL
    k, m, _ = _mantissa(select(tiny, x * LIFT, x))
    return k - select(tiny, k.like(LIFT_EXPONENT), 0.0), m


def _log_rest(f: Number) -> Number:
    """F − log(1 + f) = f²/2 − s·(f²/2 + z·tail), which loses nothing for small f."""
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    return half_square - s * (half_square + z * polynomial(z, tables.LOG_TAIL))


def _assembled(k: Number, f: Number) -> Number:
    """k·ln 2 + log(1 + f)."""
    return k * LN2_HIGH - ((_log_rest(f) - k * LN2_LOW) - f)


def _log_ends(x: Number, result: Number) -> Number:
    result = select(x < inf, result, x)
    return select(x > 0.0, result, select(equal(x, 0.0), x.like(-inf), nan))


def log(x: Number) -> Number:
    """k·ln 2 + log m for x = 2ᵏm."""
    k, m = _normal_mantissa(x)
    return _log_ends(x, _assembled(k, m - 1.0))


def log2(x: Number) -> Number:
    """log₂(2ᵏm) = k + log(m)/ln 2."""
    k, m = _normal_mantissa(x)
    f = m - 1.0
    return _log_ends(x, k + (f - _log_rest(f)) * LOG2_E)


def log1p(x: Number) -> Number:
    """log(1 + x), with the rounding error of 1 + x put back into the mantissa."""
    u = 1.0 + x
    low = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x))
    k, m, exponent = _mantissa(u)
    low = select(x < LOG1P_LARGE, low * inverse_power_of_two(exponent), 0.0)
    result = _log_ends(u, _assembled(k, (m - 1.0) + low))
    return select(equal(x, 0.0), x, result)  # keeps −0


def softplus(x: Number) -> Number:
    """log(1 + eˣ) = max(x, 0) + log(1 + e) with e = e^(−|x|), 1 + e = 2ᵏ(1 + f)."""
    e = exp(-abs(x))
    upper = e > SQRT_2_LESS_1
    k = select(upper, x.like(1.0), 0.0)
    return at_least(x, 0.0) + _assembled(k, select(upper, 0.5 * (e - 1.0), e))


def _log_in_two_parts(x: Number) -> tuple[Number, Number]:
    """Log x for 0 < x < ∞ as a sum of two numbers, right to about 2⁻⁶⁵ of itself.

    log m = s·(2 + z·(⅔ + z·P(z))) with s and z = s² in two parts as well: what is lost
    is P's rounding, which enters times z². Products are made exact by fused
    multiply-adds, sums by taking the larger term back (Dekker, 1971).
    """
    k, m = _normal_mantissa(x)
    f = m - 1.0
    g = 2.0 + f
    g_low = f - (g - 2.0)
    inverse = 1.0 / g
    s = f * inverse
    s_low = (fused(-s, g, f) - s * g_low) * inverse
    z = s * s
    z_low = fused(s, s, -z) + 2.0 * s * s_low
    p = z * polynomial(z, tables.LOG_END)
    q = TWO_THIRDS + p
    q_low = (p - (q - TWO_THIRDS)) + tables.TWO_THIRDS_LOW
    v = z * q
    v_low = fused(z, q, -v) + (z * q_low + z_low * q)
    w = s * v
    w_low = fused(s, v, -w) + (s * v_low + s_low * v)
    twice = s + s
    log_m = twice + w
    log_m_low = (w - (log_m - twice)) + (2.0 * s_low + w_low)
    high = k * LN2_HIGH
    total = high + log_m
    low = (log_m - (total - high)) + (k * LN2_LOW + log_m_low)
    result = total + low
    return result, (total - result) + low


def power(base: Number, exponent: Number) -> Number:
    """X to the y, in float64: e^(y·log|x|), the logarithm in two parts, and C's ends.

    float32 has digits to spare: one part, and one rounding at the end.
    1 for y = 0 or x = 1 or (−1)^±∞, whatever the other is; NaN for x < 0 unless y is
    whole; the sign of x for odd y.
    """
    x, y = widened(base), widened(exponent)
    magnitude = abs(x)
    if base.type == SINGLE:
        log_x, log_low = log(magnitude), x.like(0.0)
    else:
        log_x, log_low = _log_in_two_parts(magnitude)
    log_x = select(magnitude < inf, log_x, magnitude)  # infinite, or NaN
    log_x = select(equal(magnitude, 0.0), -inf, log_x)
    z = y * log_x
    low = fused(y, log_x, -z) + y * log_low
    result = exp_of_sum(z, select(abs(z) < POWER_END, low, 0.0))
    half = 0.5 * y
    whole = equal(call("llvm.trunc", y), y)
    odd = whole & unequal(call("llvm.trunc", half), half)
    result = select(odd & (bits_of(x) < 0), -result, result)
    result = select((x < 0.0) & (x > -inf) & ~whole, nan, result)
    one = equal(y, 0.0) | equal(x, 1.0) | (equal(x, -1.0) & equal(abs(y), inf))
    return base.like(select(one, 1.0, result))
