"""Where the domain ends: bounds, functions that stop being finite, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends.finite_differences import FiniteDifferences, Relative

WAYS = [
    {},
    {"order": 4},
    {"order": 6},
    {"method": "backward"},
    {"step": "balanced"},
    {"step": "adaptive"},
    {"method": "ridders"},
]


def gradient(f, x, **options):
    prepared = dk.prepare(f, x, backend=FiniteDifferences(**options))
    (found,), (claimed,) = prepared.compiled.gradient_with_errors([x])
    return found, claimed


def log(x):
    return np.sum(np.log(x))


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_logarithm_near_zero(options):
    x = np.array([1e-12, 1e-300, 0.5])
    found, _ = gradient(log, x, **options)
    np.testing.assert_allclose(found, 1 / x, rtol=1e-4)


@pytest.mark.parametrize("options", [*WAYS, {"method": "forward"}], ids=str)
def test_one_side_where_the_domain_ends_at_the_point(options):
    """x·√x at 0 has slope 0, √ lives on one side only."""
    x = np.array([0.0, 1.0])
    found, claimed = gradient(lambda x: np.sum(x * np.sqrt(x)), x, **options)
    assert np.isfinite(found).all()
    assert abs(found[0]) < 0.05
    assert found[1] == pytest.approx(1.5, rel=1e-5)
    assert np.isfinite(claimed[0])


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_overflow_above_is_left_below(options):
    x = np.array([709.7827128])
    found, _ = gradient(lambda x: np.sum(np.exp(x)), x, **options)
    assert np.isfinite(found[0])
    if options != {"order": 6}:  # whose step of 4 is too long for an exponential
        assert found[0] == pytest.approx(np.exp(x[0]), rel=0.02)


@pytest.mark.parametrize("options", [*WAYS, {"method": "forward"}, {"step": 1e-4}])
def test_nothing_is_evaluated_outside_the_bounds(options):
    """A function that betrays any look outside by answering a million."""

    def f(x):
        inside = np.logical_and(x >= 1.0, x <= 2.0)
        return np.sum(np.where(inside, np.exp(x), 1e6 + x))

    x = np.array([1.0, 2.0, 1.5, 1.0 + 1e-7, 2.0 - 1e-9])
    found, _ = gradient(f, x, bounds=(1.0, 2.0), **options)
    np.testing.assert_allclose(found, np.exp(x), rtol=2e-6)


def test_bounds_by_name_hold_for_that_parameter_alone():
    def f(p):
        return np.sum(np.log(p["scale"])) + np.sum(p["shift"] ** 2)

    args = {"scale": np.array([1e-9]), "shift": np.array([0.0])}
    backend = FiniteDifferences(bounds={"p['scale']": (1e-9, np.inf)})
    assert hash(backend) == hash(FiniteDifferences(bounds=backend.bounds))
    _, found = dk.value_and_grad(f, backend=backend)(args)
    assert np.isfinite(found["scale"]).all()
    assert found["shift"] == 0.0
    with pytest.raises(errors.UnknownNameError, match="p\\['scale'\\]"):
        dk.prepare(f, args, backend=FiniteDifferences(bounds={"p['scal']": (0, 1)}))


def test_a_given_step_that_leaves_the_bounds_both_ways_is_refused():
    with pytest.raises(errors.UserInputError, match="both sides"):
        gradient(log, np.array([1.5]), step=0.7, bounds=(1.0, 2.0))
    with pytest.raises(errors.UserInputError, match="outside its bounds"):
        gradient(log, np.array([0.5]), bounds=(1.0, 2.0))


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (1.0,)])
def test_bounds_that_are_no_interval(bounds):
    with pytest.raises(errors.UserInputError, match="low < high"):
        FiniteDifferences(bounds=bounds)


def test_a_given_step_keeps_its_length_on_one_side():
    x, h = np.array([2.0**-10]), 2.0**-7
    found, _ = gradient(log, x, step=h)
    upwards = (-3 * np.log(x) + 4 * np.log(x + h) - np.log(x + 2 * h)) / (2 * h)
    assert found[0] == pytest.approx(upwards[0], rel=1e-13)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_point_that_is_a_whole_domain_is_named(options):
    with pytest.raises(errors.NonFiniteError, match="x flat index 0"):
        gradient(lambda x: np.sum(np.sqrt(-x * x)), np.array([0.0]), **options)


@pytest.mark.parametrize("options", [*WAYS, {"method": "complex"}], ids=str)
def test_inputs_that_are_not_finite_give_nan_and_no_warning(options):
    f = dk.value_and_grad(
        lambda x: np.sum(np.tanh(x)),
        backend=FiniteDifferences(**options),
        nonfinite="allow",
    )
    value, found = f(np.array([np.nan, 0.3]))
    assert np.isnan(value)
    assert np.isnan(found).any()
    _, found = f(np.array([np.inf, 0.3]))
    assert found[1] == pytest.approx(1 - np.tanh(0.3) ** 2, rel=1e-6)


def test_steps_that_cannot_be_represented_are_refused_in_every_order():
    x = np.array([1.0, 2.0**60])
    for options in ({"order": 4}, {"order": 6}, {"method": "backward", "order": 2}):
        with pytest.raises(errors.UserInputError, match="x at flat index 1"):
            gradient(lambda x: np.sum(x), x, step=1.0, **options)
    with pytest.raises(errors.UserInputError, match="x at flat index 0"):
        gradient(lambda x: np.sum(x), np.array([0.0]), step="relative")
    # Neighbours that fall together, though both differ from x.
    with pytest.raises(errors.UserInputError, match="does not change"):
        gradient(lambda x: np.sum(x), np.array([1.0]), step=0.6 * 2**-52, order=4)


def test_a_kink_at_the_point_is_claimed():
    """Symmetric differences give ½ at relu's kink; the claim says by how much."""
    x = np.array([0.0, 0.3])
    for options in WAYS[:3] + WAYS[4:]:
        found, claimed = gradient(lambda x: np.sum(np.maximum(x, 0.0)), x, **options)
        assert found[0] == pytest.approx(0.5, rel=1e-9)
        assert claimed[0] == pytest.approx(0.5, rel=1e-4)
        assert claimed[1] < 1e-8


@pytest.mark.parametrize(
    "options, said",
    [
        ({"order": 3}, "orders 2, 4, 6"),
        ({"method": "complex", "step": 1e-20}, "its own step"),
        ({"method": "ridders", "step": "balanced"}, "large step"),
        ({"method": "ridders", "levels": 1}, "2 to 20"),
        ({"step": Relative}, "positive"),
        ({"step": "balance"}, "balanced"),
        ({"method": "richardson"}, "ridders"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(errors.UserInputError, match=said):
        FiniteDifferences(**options)
