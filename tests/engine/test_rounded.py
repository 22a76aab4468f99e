"""Quotients that the engine refines instead of dividing: NumPy's, to the bit."""

from fractions import Fraction

import numpy as np
import pytest

from diffkit.engine import rounded, update_loop
from diffkit.engine.jit import compile_native
from diffkit.engine.updates import vector_update
from diffkit.rules import RULES

#: Quotients of one divisor in a call; rmsprop divides by √v + ε, which is ε for v = 0.
MANY = 4096
ONES = np.nextafter(2.0, 1.0)


def quotients(a, divisor):
    """The a / divisor of rmsprop's pass."""
    nothing = np.zeros_like(a)
    result, kept = np.empty_like(a), np.empty_like(a)
    rule = RULES["rmsprop"]
    update = vector_update(
        rule,
        parameters=nothing,
        gradient=a,
        result=result,
        moments=[nothing],
        moments_after=[kept],
    )
    update((1.0, divisor, 0.0, 0.0))
    return result


def scaled(rng, mantissas):
    """The same mantissas with exponents and signs of all kinds."""
    exponents = rng.integers(-380, 380, mantissas.shape)
    return np.ldexp(mantissas, exponents) * rng.choice([-1.0, 1.0], mantissas.shape)


def test_quotients_of_random_mantissas(rng):
    for _ in range(300):
        a = scaled(rng, rng.uniform(1.0, 2.0, MANY))
        divisor = float(np.ldexp(rng.uniform(1.0, 2.0), rng.integers(-300, 300)))
        np.testing.assert_array_equal(quotients(a, divisor), a / divisor)


def nearest_to_a_tie(divisor, count):
    """Mantissas whose quotients lie nearest to the middle between two numbers.

    With whole mantissas A and B of 53 bits, A·2⁵⁴ = (2Q + 1)·B + r for a small odd r
    is solved by A ≡ r·2⁻⁵⁴ (mod B).
    """
    whole = int(Fraction(divisor) * 2**52)
    found = []
    inverse = pow(2**54, -1, whole)
    for r in range(1, 2 * count, 2):
        for sign in (1, -1):
            a = (sign * r * inverse) % whole
            while a < 2**52:
                a += whole
            if a < 2**53:
                found.append(a / 2**52)
    return found


def test_quotients_that_nearly_lie_between_two_numbers(rng):
    hard = 0
    for _ in range(200):
        divisor = (int(rng.integers(2**51, 2**52)) * 2 + 1) / 2**52
        a = np.array(nearest_to_a_tie(divisor, 40) * 8)
        hard += len(a)
        np.testing.assert_array_equal(quotients(a, divisor), a / divisor)
    assert hard > 10_000


def test_divisors_and_dividends_at_the_ends_of_the_mantissas(rng):
    ends = np.array([1.0, np.nextafter(1.0, 2.0), ONES, np.nextafter(ONES, 0.0), 1.5])
    a = np.repeat(ends, 8)
    for divisor in ends:
        for power in (-399, -1, 0, 1, 398):
            b = float(np.ldexp(divisor, power))
            np.testing.assert_array_equal(quotients(a, b), a / b)
            np.testing.assert_array_equal(quotients(-a, b), -a / b)


def test_one_odd_number_among_eight_changes_none_of_the_others(rng):
    # Their squares are finite: the rule multiplies them by nought.
    for odd in (0.0, -0.0, np.nan, 5e-324, 1e-150, 1e150):
        for place in range(8):
            a = rng.uniform(1.0, 2.0, 16)
            a[place] = odd
            with np.errstate(all="ignore"):
                expected = a / 3.0
            found = quotients(a, 3.0)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("width", [16, 32])
def test_registers_of_other_computers_give_the_same(width, rng, monkeypatch):
    monkeypatch.setattr(rounded, "VECTOR_BYTES", width)
    monkeypatch.setattr(update_loop, "VECTOR_BYTES", width)
    step = compile_native("void(int64)", error_model="numpy")(update_loop.step_double)
    rule, size = RULES["adamw"], 37
    w, g, m, v = np.abs(rng.normal(size=(4, size)))
    numbers = rng.uniform(0.05, 0.95, rule.numbers)
    out = np.empty((3, size))
    control = np.zeros(update_loop.CONTROL_WIDTH, np.int64)
    control[update_loop.RULE] = list(RULES).index("adamw")
    control[update_loop.COUNT] = size
    fields = {
        update_loop.PARAMETERS: w,
        update_loop.GRADIENT: g,
        update_loop.RESULT: out[0],
        update_loop.NUMBERS: numbers,
        update_loop.MOMENTS: m,
        update_loop.MOMENTS + 1: v,
        update_loop.MOMENTS_AFTER: out[1],
        update_loop.MOMENTS_AFTER + 1: out[2],
    }
    for field, array in fields.items():
        control[field] = array.ctypes.data
    step(control.ctypes.data)
    expected = rule.formula(w, g, m, v, *numbers)
    np.testing.assert_array_equal(out, np.array(expected))
