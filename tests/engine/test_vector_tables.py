"""The numbers in `vector_math.tables`, derived again at 60 digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from diffkit.engine.vector_math import tables


def completed(function, first, second):
    """A quotient that is 0/0 at 0, with the first two terms of its series there."""

    def value(z):
        near = abs(z) < mp.mpf(10) ** -18
        return first + second * z if near else function(z)

    return value


def of_square(function, first, second):
    """A function of x and z = x² as a function of z, likewise completed."""
    return completed(lambda z: function(mp.sqrt(z), z), first, second)


def odd(function, first, second):
    """(f(x)/x − 1)/x² in x² for an odd f = x + first·x³ + second·x⁵ and so on."""
    return of_square(lambda x, z: (function(x) / x - 1) / z, first, second)


def artanh_tail(s):
    return mp.log((1 + s) / (1 - s)) / s - 2


def erfcx(t):
    x = 3 * (1 + t) / (1 - t)
    return mp.erfc(x) * mp.exp(x * x)


def over(n):
    return mp.mpf(1) / n


def definitions():
    """Of each table: the function and the interval."""
    slack = mp.mpf("1.001")
    r = mp.log(2) / 2 * slack
    s = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * slack) ** 2
    eighth = (mp.pi / 4 * slack) ** 2
    two = mp.mpf(2)
    sine = (odd(mp.sin, -over(6), over(120)), [0, eighth])
    cosine = (
        of_square(lambda x, z: (mp.cos(x) - 1 + z / 2) / z**2, over(24), -over(720)),
        [0, eighth],
    )
    return {
        "EXPM1_TAIL": (
            completed(lambda r: (mp.expm1(r) - r) / r**2, over(2), over(6)),
            [-r, r],
        ),
        "LOG_TAIL": (
            of_square(lambda x, z: artanh_tail(x) / z, two / 3, two / 5),
            [0, s],
        ),
        "LOG_END": (
            of_square(
                lambda x, z: (artanh_tail(x) / z - two / 3) / z, two / 5, two / 7
            ),
            [0, s],
        ),
        "SINH_SMALL": (odd(mp.sinh, over(6), over(120)), [0, 1]),
        "ERF_SMALL": (
            of_square(
                lambda x, z: mp.erf(x) / x - 1,
                2 / mp.sqrt(mp.pi) - 1,
                -two / 3 / mp.sqrt(mp.pi),
            ),
            [0, 1],
        ),
        "ERFCX": (erfcx, [mp.mpf(-1) / 2, mp.mpf(1) / 3]),
        "SINE": sine,
        "SINE_SHORT": sine,
        "COSINE": cosine,
        "COSINE_SHORT": cosine,
        "ARCTAN": (odd(mp.atan, -over(3), over(5)), [0, mp.mpf(1) / 4]),
        "ARCSIN": (odd(mp.asin, over(6), mp.mpf(3) / 40), [0, mp.mpf(1) / 4]),
    }


NAMES = tuple(
    name for name, value in vars(tables).items() if isinstance(value, tables.Table)
)


@pytest.mark.parametrize("name", NAMES)
def test_coefficients_are_chebyshev_approximations(name):
    """Derive every table again: 60 digits, the interval of the reduction."""
    with mp.workdps(60):
        function, interval = definitions()[name]
        table = getattr(tables, name)
        for coefficients, kind in ((table.wide, float), (table.narrow, np.float32)):
            if coefficients:
                derived = mp.chebyfit(function, interval, len(coefficients))
                expected = [kind(float(c)) for c in reversed(derived)]
                assert [kind(c) for c in coefficients] == expected


def test_every_table_is_derived_here():
    with mp.workdps(60):
        assert set(NAMES) == set(definitions())


def trailing_zeros(number):
    bits = int(np.asarray(number).view(f"i{np.asarray(number).itemsize}"))
    return (bits & -bits).bit_length() - 1


def test_parts_of_ln_2():
    with mp.workdps(60):
        for kind, zeros, high, low in (
            (np.float64, 21, tables.LN2_HIGH.wide, tables.LN2_LOW.wide),
            (np.float32, 8, tables.LN2_HIGH.narrow, tables.LN2_LOW.narrow),
        ):
            assert kind(high) == high
            assert trailing_zeros(kind(high)) >= zeros
            assert kind(float(mp.log(2) - mp.mpf(high))) == kind(low)


def test_parts_of_half_pi():
    with mp.workdps(80):
        rest = mp.pi / 2
        for part in tables.HALF_PI_PARTS[:3]:
            assert trailing_zeros(np.float64(part)) >= 20
            assert 0 <= rest - part < mp.mpf(part) * mp.mpf(2) ** -32
            rest -= part
        assert float(rest) == tables.HALF_PI_PARTS[3]
        for kind in ("wide", "narrow"):
            high = getattr(tables.HALF_PI, kind)
            low = getattr(tables.HALF_PI_LOW, kind)
            number = np.float64 if kind == "wide" else np.float32
            assert number(float(mp.pi / 2)) == number(high)
            assert number(float(mp.pi / 2 - mp.mpf(high))) == number(low)


def test_parts_of_two_thirds():
    with mp.workdps(60):
        rest = mp.mpf(2) / 3 - mp.mpf(tables.TWO_THIRDS)
        assert float(rest) == tables.TWO_THIRDS_LOW
