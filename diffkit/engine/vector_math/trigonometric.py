"""Sines, cosines, tangents, and their inverses."""

from __future__ import annotations

from collections.abc import Callable

from diffkit.engine.emit import (
    SINGLE,
    Number,
    bits_of,
    call,
    copysign,
    equal,
    float_of,
    polynomial,
    select,
    widened,
)
from diffkit.engine.vector_math import tables
from diffkit.engine.vector_math.exponential import ROUNDER, ROUNDER_BITS
from diffkit.engine.vector_math.tables import HALF_PI, HALF_PI_LOW, HALF_PI_PARTS

# For larger |x| π/2 has too few digits here.
TURNS_LIMIT = 2.0**20
TWO_OVER_PI = 0.6366197723675814
SIGN_SHIFT = 62  # from the second bit of a whole number to the sign of a float64


def _turned(x: Number) -> tuple[Number, Number, Number]:
    """K, and sine and cosine of x − k·π/2, in float64, for |x| ≤ 2²⁰."""
    wide = widened(x)
    shifted = wide * TWO_OVER_PI + ROUNDER
    k = shifted - ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    return n, *(_rounded_once(wide, k) if x.type == SINGLE else _in_two_parts(wide, k))


def _rounded_once(x: Number, k: Number) -> tuple[Number, Number]:
    """For float32: float64 has digits to spare."""
    r = (x - k * HALF_PI_PARTS[0]) - k * HALF_PI_PARTS[1]
    z = r * r
    cosine = (1.0 - 0.5 * z) + z * z * polynomial(z, tables.COSINE_SHORT)
    return r + r * z * polynomial(z, tables.SINE_SHORT), cosine


def _in_two_parts(x: Number, k: Number) -> tuple[Number, Number]:
    """What is left of x is r and a small rest, |r| ≤ π/4.

    π/2 has four parts, of which three are exact times k. So near may x come to a
    multiple of π/2 (2⁻⁶⁰) that two parts would leave it no digit. Differences keep what
    they lose (Møller, 1965).
    """
    first, second, third, fourth = HALF_PI_PARTS
    s, lost = _difference(x - k * first, k * second)
    t, again = _difference(s, k * third)
    rest = (lost + again) - k * fourth
    r = t + rest
    return _sine_and_cosine(r, (t - r) + rest)


def _difference(x: Number, y: Number) -> tuple[Number, Number]:
    """The difference x − y, and what its rounding has lost."""
    d = x - y
    back = d - x
    return d, (x - (d - back)) - (y + back)


def _sine_and_cosine(r: Number, low: Number) -> tuple[Number, Number]:
    z = r * r
    half = 0.5 * z
    near = 1.0 - half
    sine = r + (r * z * polynomial(z, tables.SINE) + low * near)
    rest = z * z * polynomial(z, tables.COSINE) - r * low
    return sine, near + (((1.0 - near) - half) + rest)


def _even(n: Number) -> Number:
    return equal(n & 1, 0)


def _flipped(y: Number, n: Number) -> Number:
    """Y, or −y where the second bit of n is set."""
    return float_of(bits_of(y) ^ ((n & 2) << SIGN_SHIFT))


def sin(x: Number) -> Number:
    """±sin r or ±cos r, by the quarter turns k in x = k·π/2 + r."""
    n, sine, cosine = _turned(x)
    result = x.like(_flipped(select(_even(n), sine, cosine), n))
    return select(equal(x, 0.0), x, result)  # keeps −0


def cos(x: Number) -> Number:
    """±cos r or ±sin r, by the quarter turns k in x = k·π/2 + r."""
    n, sine, cosine = _turned(x)
    return x.like(_flipped(select(_even(n), cosine, sine), n + 1))


def tan(x: Number) -> Number:
    """The quotient sin r/cos r, or −cos r/sin r after odd quarter turns."""
    n, sine, cosine = _turned(x)
    even = _even(n)
    result = x.like(select(even, sine, -cosine) / select(even, cosine, sine))
    return select(equal(x, 0.0), x, result)  # keeps −0


def beyond(name: str) -> Callable[[Number], Number]:
    """The C library's function, for |x| > `TURNS_LIMIT`."""

    def function(x: Number) -> Number:
        return x.like(call(name, widened(x)))

    return function


def arctan(x: Number) -> Number:
    """0, π/4 or π/2 and the arctangent of t: x, (x − 1)/(x + 1) or −1/x; |t| ≤ ½."""
    magnitude = abs(x)
    middle, far = magnitude > 0.5, magnitude > 2.0
    above = select(middle, magnitude - 1.0, magnitude)
    below = select(middle, magnitude + 1.0, 1.0)
    t = select(far, -1.0, above) / select(far, magnitude, below)
    z = t * t
    turn = select(far, 1.0, select(middle, x.like(0.5), 0.0))
    rest = t * z * polynomial(z, tables.ARCTAN) + turn * HALF_PI_LOW
    return copysign(turn * HALF_PI + (t + rest), x)


def _arcsin_reduced(magnitude: Number) -> tuple[Number, Number]:
    """S and arcsin(s) − s with s = |x|, or s = √((1 − |x|)/2) where |x| > ½."""
    far = magnitude > 0.5
    z = select(far, 0.5 * (1.0 - magnitude), magnitude * magnitude)
    s = select(far, call("llvm.sqrt", z), magnitude)
    return s, s * z * polynomial(z, tables.ARCSIN)


def arcsin(x: Number) -> Number:
    """S + s³·P(s²) for s = |x| ≤ ½, else π/2 − 2·arcsin √((1 − |x|)/2); sign of x."""
    magnitude = abs(x)
    s, tail = _arcsin_reduced(magnitude)
    far = HALF_PI - ((s + s) + ((tail + tail) - HALF_PI_LOW))
    return copysign(select(magnitude > 0.5, far, s + tail), x)


def arccos(x: Number) -> Number:
    """π/2 − arcsin x for |x| ≤ ½, else 2·arcsin √((1 − |x|)/2) or π less that."""
    magnitude = abs(x)
    s, tail = _arcsin_reduced(magnitude)
    near = HALF_PI - (copysign(s, x) - (HALF_PI_LOW - copysign(tail, x)))
    half = select(x > 0.0, s + tail, HALF_PI - (s + (tail - HALF_PI_LOW)))
    return select(magnitude > 0.5, half + half, near)
