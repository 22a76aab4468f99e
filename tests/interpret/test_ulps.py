"""Ulps against their definition, in exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from diffkit.interpret.ulps import ulp, ulp_errors, ulps

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def balls(*values):
    out = np.empty(len(values), dtype=object)
    out[:] = [arb(v) for v in values]
    return out


@given(FINITE)
def test_one_ulp_is_the_gap_above_a_float(x):
    largest = np.finfo(float).max
    gap = np.nextafter(abs(x), np.inf) - abs(x) if abs(x) < largest else 2.0**971
    assert ulp(arb(x)) == gap


def test_just_below_a_power_of_two_the_smaller_ulp_counts():
    assert ulp(arb(1) - arb(2) ** -80) == 2.0**-53
    assert ulp(arb(1) + arb(2) ** -80) == 2.0**-52
    assert ulp(arb(0.7), np.float32) == 2.0**-24
    assert ulp(arb(2) ** 5000) == 2.0**971


@given(FINITE.filter(lambda x: abs(x) < 1e300), st.integers(-40, 40))
def test_steps_of_floats_are_counted(x, steps):
    there = x + steps * float(np.spacing(abs(x)))
    expected = abs(Fraction(there) - Fraction(x)) / Fraction(ulp(arb(x)))
    assert ulps(np.array([there]), balls(x))[0] == pytest.approx(float(expected))


def test_what_is_not_finite_is_infinitely_far_off():
    errors = ulps(np.array([np.nan, np.inf, -np.inf]), balls(1.0, 1.0, 1.0))
    assert errors.tolist() == [np.inf] * 3


def test_a_radius_counts_as_error():
    wide = balls(1.0)
    wide[0] = arb(1, 2.0**-52)
    assert ulps(np.array([1.0]), wide)[0] >= 1.0


def test_the_worst_entry_has_a_name_an_index_and_both_values():
    given_ = [np.array([[1.0, 2.0], [3.0, 4.0 + 2.0**-49]]), np.array([2.0**-20])]
    off = np.array([2.0**-20 + 2.0**-60])
    true = [balls(1.0, 2.0, 3.0, 4.0).reshape(2, 2), balls(off[0])]
    found = ulp_errors(given_, true, ["w", "b"], bits=256)
    assert (found.name, found.index, found.given) == ("b", (0,), 2.0**-20)
    assert (found.ulps, found.largest_ulps, found.entries) == (2.0**12, 2.0, 5)
    assert found.true.startswith("9.5367431640")
    assert "4.1e+03 ulps at b[0]" in str(found)


def test_a_gradient_without_entries_has_no_error():
    empty = np.empty((0, 3), dtype=object)
    found = ulp_errors([np.zeros((0, 3))], [empty], ["w"])
    assert (found.entries, found.ulps, str(found)) == (0, 0.0, "no entries")
