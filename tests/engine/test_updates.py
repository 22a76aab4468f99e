"""Native passes of the rules against the same formulas read by NumPy."""

import numpy as np
import pytest

from diffkit.engine.updates import vector_update
from diffkit.errors import DtypeError
from diffkit.rules import RULES

#: Sizes on both sides of what a vector register and an unrolled loop hold.
SIZES = (0, 1, 3, 4, 8, 15, 31, 64, 1000)
#: What arithmetic does with the ends of its range has to be the same, too.
ODD = (0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 1.7e308, -1.7e308, 1e-160)


def numbers_for(rule, rng):
    return [float(number) for number in rng.uniform(0.05, 0.95, rule.numbers)]


def vectors_for(rule, size, dtype, rng):
    """Parameters, gradient, and moments that squares can have."""
    w, g, *moments = rng.normal(size=(2 + rule.moments, size)).astype(dtype)
    return w, g, [np.abs(moment) for moment in moments]


def run(rule, w, g, moments, numbers, added=True, on_top=False, constants=0):
    result = g.copy()
    gradient = result if on_top else g.copy()
    before = [moment.copy() for moment in moments]
    after = before if on_top else [np.empty_like(w) for _ in moments]
    changing = rule.numbers - constants
    update = vector_update(
        rule,
        numbers[changing:],
        parameters=w,
        gradient=gradient,
        result=result,
        moments=before,
        moments_after=after,
        added=added,
    )
    update(numbers[:changing])
    return [result, *after]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RULES)
def test_a_pass_is_the_formula_to_the_bit(name, dtype, rng):
    rule = RULES[name]
    for size in SIZES:
        for added in (True, False):
            w, g, moments = vectors_for(rule, size, dtype, rng)
            numbers = numbers_for(rule, rng)
            u, *after = rule.formula(w, g, *moments, *numbers)
            constants = rule.numbers - 1
            found = run(rule, w, g, moments, numbers, added, constants=constants)
            on_top = run(rule, w, g, moments, numbers, added, on_top=True)
            for mine, again, theirs in zip(
                found, on_top, [w + u if added else u, *after], strict=True
            ):
                assert mine.dtype == dtype
                np.testing.assert_array_equal(mine, theirs)
                np.testing.assert_array_equal(again, theirs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RULES)
def test_numbers_at_the_ends_of_the_range(name, dtype, rng):
    rule = RULES[name]
    with np.errstate(all="ignore"):
        odd = np.array(ODD).astype(dtype)
        # Every pair of odd numbers as gradient and moment, and as parameter.
        g, first = (part.ravel() for part in np.meshgrid(odd, odd))
        w = rng.permutation(g)
        moments = [first, np.abs(rng.permutation(first))][-rule.moments :]
        moments = moments[: rule.moments]
        numbers = numbers_for(rule, rng)
        u, *after = rule.formula(w, g, *moments, *numbers)
        expected = [w + u, *after]
    for mine, theirs in zip(run(rule, w, g, moments, numbers), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        known = ~np.isnan(theirs)
        np.testing.assert_array_equal(
            np.signbit(mine)[known], np.signbit(theirs)[known]
        )


def test_steps_are_counted_in_the_other_place(rng):
    w, g, out = rng.normal(size=(3, 5))
    step, after = np.array(41), np.array(0)
    update = vector_update(
        RULES["scaled"],
        parameters=w,
        gradient=g,
        result=out,
        step=step,
        step_after=after,
        added=True,
    )
    update((-0.5,))
    update((-0.5,))  # from the same place: the same step again
    assert (int(step), int(after)) == (41, 42)
    np.testing.assert_array_equal(out, w - 0.5 * g)


def test_what_a_rule_reads_is_left_alone(rng):
    rule = RULES["adamw"]
    w, g, moments = vectors_for(rule, 100, np.float64, rng)
    kept = [array.copy() for array in (w, g, *moments)]
    for array in (w, g, *moments):
        array.flags.writeable = False
    outs = [np.empty_like(w) for _ in range(3)]
    update = vector_update(
        rule,
        parameters=w,
        gradient=g,
        result=outs[0],
        moments=moments,
        moments_after=outs[1:],
        added=True,
    )
    update(numbers_for(rule, rng))
    for array, before in zip((w, g, *moments), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_other_precisions_are_refused():
    w = np.ones(2, np.float16)
    with pytest.raises(DtypeError, match="float64 or float32, and was given float16"):
        vector_update(RULES["scaled"], parameters=w, gradient=w, result=w)
