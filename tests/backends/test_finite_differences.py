"""Finite differences: exact counts, known truncation errors, honest steps."""

from __future__ import annotations

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends.finite_differences import FiniteDifferences
from tests.cases import mlp


def compiled(f, *args, **options):
    return dk.prepare(f, *args, backend=FiniteDifferences(**options)).compiled


@pytest.mark.parametrize(
    "sizes, parameters", [([10, 64, 32, 1], 2817), ([10, 32, 1], 385)]
)
def test_c7_c30_exactly_two_evaluations_a_parameter(sizes, parameters):
    """C7, C30: 2P evaluations for central, P+1 for forward differences, counted."""
    f, args = mlp(sizes, batch=2)
    for runtime in ("engine", "numpy"):
        if runtime == "numpy" and parameters > 1000:
            continue
        central = compiled(f, *args, runtime=runtime)
        leaves = dk.prepare(f, *args).leaves(args)
        assert central.info.evaluations == 2 * parameters
        central.gradient(leaves)
        assert central.evaluations_run == 2 * parameters
        central(leaves)
        assert central.evaluations_run == 4 * parameters + 1  # and the value itself
        forward = compiled(f, *args, method="forward", runtime=runtime)
        assert forward.info.evaluations == parameters + 1
        forward.gradient(leaves)
        assert forward.evaluations_run == parameters + 1


def test_truncation_errors_are_those_of_taylor():
    """F = x³ at 1: central errs by h², one-sided by 3h + h²."""
    h = 2.0**-10
    x = np.array([1.0])

    def cube(x):
        return np.sum(x * x * x)

    _, [central], _ = compiled(cube, x, step=h)([x])
    _, [forward], _ = compiled(cube, x, step=h, method="forward")([x])
    assert central[0] - 3.0 == h * h
    assert forward[0] - 3.0 == 3 * h + h * h


def test_automatic_steps_follow_their_formulas():
    x = np.array([0.0, 0.5, -100.0])
    eps = np.finfo(float).eps
    central = FiniteDifferences().steps(x)
    np.testing.assert_array_equal(central, eps ** (1 / 3) * np.array([1, 1, 100]))
    forward = FiniteDifferences(method="forward").steps(x)
    np.testing.assert_array_equal(forward, eps ** (1 / 2) * np.array([1, 1, 100]))
    single = FiniteDifferences().steps(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single[0], np.finfo(np.float32).eps ** (1 / 3))


def test_what_is_read_off_the_program_shortens_a_step_by_eight_at_most():
    def f(x):
        y = x
        for _ in range(3000):
            y = y * np.cos(y)
        return y + x

    x = np.array(0.01)
    _, slope = dk.value_and_grad(f, backend="finite_differences")(x)
    assert slope == pytest.approx(dk.grad(f)(x), rel=1e-8)


def test_float32_differences():
    f, args = mlp([3, 4, 1], batch=4)
    single_params = [{k: v.astype(np.float32) for k, v in p.items()} for p in args[0]]
    small = (single_params, *(a.astype(np.float32) for a in args[1:]))
    _, gradient = dk.value_and_grad(f, backend="finite_differences")(*small)
    _, expected = dk.value_and_grad(f)(*args)
    assert gradient[0]["w"].dtype == np.float32
    np.testing.assert_allclose(gradient[0]["w"], expected[0]["w"], atol=2e-3)


def test_a_step_that_moves_nothing_is_refused():
    x = np.array([1.0, 1e20])
    run = compiled(lambda x: np.sum(x), x, step=1e-3)
    with pytest.raises(
        errors.UserInputError, match=r"does not change x at flat index 1"
    ):
        run([x])


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf, "small"])
def test_steps_that_are_no_steps(step):
    with pytest.raises(errors.UserInputError, match="positive"):
        FiniteDifferences(step=step)


def test_an_unknown_method_suggests_the_nearest():
    with pytest.raises(errors.UnknownNameError, match="central"):
        FiniteDifferences(method="centre")  # type: ignore[arg-type]


def test_the_caller_s_arrays_stay_as_they_are():
    f, args = mlp([2, 3, 1], batch=3)
    before = [leaf.copy() for leaf in dk.prepare(f, *args).leaves(args)]
    dk.value_and_grad(f, backend="finite_differences")(*args)
    for was, now in zip(before, dk.prepare(f, *args).leaves(args), strict=True):
        np.testing.assert_array_equal(was, now)
