"""Numbers for readers: never wrong by more than the digits they show."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.report import numbers

_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


def read(text):
    head, _, power = text.replace(",", "").partition(" × 10")
    return float(head) * 10.0 ** int(power.translate(_PLAIN) or 0)


@given(st.floats(1e-200, 1e200) | st.integers(1, 10**200))
def test_scientific_is_right_to_three_figures(number):
    assert read(numbers.scientific(number)) == pytest.approx(float(number), rel=5.1e-3)


@given(st.integers(0, 10**30))
def test_counts_are_exact_below_a_million(number):
    shown = numbers.count(number)
    assert read(shown) == pytest.approx(number, rel=0 if number < 10**6 else 5.1e-3)


@given(st.floats(1e-8, 1e4))
def test_seconds_are_right_to_three_figures(number):
    head, unit = numbers.seconds(number).replace(",", "").split()
    assert float(head) * _UNITS[unit] == pytest.approx(number, rel=5.1e-3)


def test_logarithms_of_integers_beyond_any_float():
    assert numbers.log10(7 * 10**5000) == pytest.approx(5000 + math.log10(7))


@pytest.mark.parametrize(
    "number, shown",
    [(9.999e5, "1.00 × 10⁶"), (-(16 * 10**97), "-1.60 × 10⁹⁸"), (0, "0")],
)
def test_edges_of_scientific(number, shown):
    assert numbers.scientific(number) == shown
