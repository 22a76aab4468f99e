"""The exact backend: proved digits, rounded once, and refusals that name the reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import flint
import mpmath
import numpy as np
import optree
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

import diffkit as dk
from diffkit.backends import Program
from diffkit.errors import BackendError, UserInputError
from diffkit.functions import relu
from diffkit.interpret.exact import to_float, working
from diffkit.interpret.ulps import ulp_errors
from tests.cases import CASES, mlp
from tests.ops.test_rows_numeric import STRUCTURED


def enclosed(f, *args):
    prepared = dk.prepare(f, *args, backend="exact")
    return prepared, prepared.compiled.enclose(prepared.leaves(args))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_entry_is_enclosed_to_thirty_digits(case):
    prepared, found = enclosed(case.f, *case.args)
    for balls in (found.value, *found.gradients):
        for ball in balls.flat:
            assert ball.rad() <= found.relative * abs(ball) or ball.rad() <= arb(2) ** (
                -1100
            )
    value, gradient = prepared(*case.args)
    assert value == float(found.value[()])
    for mine, balls in zip(optree.tree_leaves(gradient), found.gradients, strict=True):
        np.testing.assert_array_equal(mine, to_float(balls))
    assert prepared.info.details["bits"] == found.bits >= 256


@pytest.mark.parametrize("case", CASES, ids=str)
def test_autodiff_is_within_64_ulps_of_the_largest_entry(case):
    prepared, found = enclosed(case.f, *case.args)
    names = [prepared.program.names[p] for p in prepared.program.wrt]
    for runtime in ("engine", "numpy"):
        backend = dk.get_backend("autodiff", runtime=runtime)
        _, gradient = dk.value_and_grad(case.f, backend=backend)(*case.args)
        errors = ulp_errors(
            optree.tree_leaves(gradient), found.gradients, names, found.bits
        )
        assert errors.largest_ulps <= 64, str(errors)


def test_the_network_of_the_issue_is_enclosed():
    """10-64-32-1 at batch 32: 2,817 parameters, proved in one pass of 256 bits."""
    f, args = mlp([10, 64, 32, 1], batch=32)
    prepared, found = enclosed(f, *args)
    assert prepared.program.parameters == 2817
    assert found.bits == 256
    _, gradient = dk.value_and_grad(f)(*args)
    names = [prepared.program.names[p] for p in prepared.program.wrt]
    errors = ulp_errors(optree.tree_leaves(gradient), found.gradients, names)
    assert errors.largest_ulps <= 64, str(errors)


def test_a_derivative_against_mpmath():
    """tanh'(z) = sech²(z) at z = 10, where 1 − y² in float64 keeps eight digits."""
    prepared, found = enclosed(lambda z: np.tanh(z), 10.0)
    with mpmath.workdps(60):
        expected = mpmath.sech(10) ** 2
        ours = mpmath.mpf(found.gradients[0][()].str(50, radius=False))
        assert abs(ours - expected) < mpmath.mpf(10) ** -35 * expected
        assert prepared(10.0)[1] == float(expected)
    _, rounded = dk.value_and_grad(np.tanh)(10.0)
    assert 1e7 < abs(rounded - float(expected)) / np.spacing(float(expected)) < 1e9


def test_precision_is_raised_until_it_suffices():
    """((1 + t)² − 1 − 2t)′ = 2t: by cancellation of a thousand bits at t = 2⁻⁵⁰⁰."""
    prepared, found = enclosed(lambda t: (1.0 + t) ** 2 - 1.0 - 2.0 * t, 2.0**-500)
    assert found.bits > 512
    assert prepared(2.0**-500) == (2.0**-1000, 2.0**-499)
    assert prepared.info.details["bits"] == found.bits


def test_a_zero_that_is_no_exact_zero_has_a_stated_radius():
    """Softmax weights sum to one: the gradient of their sum is zero, by cancelling."""

    def f(w):
        weights = np.exp(w) / np.sum(np.exp(w))
        return np.sum(weights)

    prepared, found = enclosed(f, np.array([0.3, -1.2, 2.0]))
    assert found.zero_radius == "2**-1100"
    assert all(ball.rad() <= arb(2) ** -1100 for ball in found.gradients[0])
    assert np.max(np.abs(prepared(np.array([0.3, -1.2, 2.0]))[1])) < 1e-300


@pytest.mark.parametrize(
    "f, at, slope",
    [
        (lambda x: relu(x), 0.0, 0.0),
        (lambda x: np.abs(x), 0.0, 0.0),
        (lambda x: np.maximum(x, 1.0), 1.0, 0.5),
        (lambda x: np.maximum(np.tanh(x), np.tanh(x)) * 2.0, 0.7, None),
        (lambda x: np.max(np.stack([np.sin(x), x, np.sin(x)])), -2.0, None),
        (lambda x: np.abs(np.exp(x) - np.exp(x)), 0.3, 0.0),
    ],
)
def test_exactly_at_a_kink_the_row_decides(f, at, slope):
    _, exact = dk.value_and_grad(f, backend="exact")(at)
    _, floats = dk.value_and_grad(f)(at)
    np.testing.assert_allclose(exact, floats, rtol=1e-14)
    if slope is not None:
        assert exact == slope


def test_equal_data_is_a_tie_even_behind_irrational_functions():
    x = np.array([0.4, 1.1, 1.1])
    _, exact = dk.value_and_grad(lambda x: np.max(np.tanh(x)), backend="exact")(x)
    _, floats = dk.value_and_grad(lambda x: np.max(np.tanh(x)))(x)
    np.testing.assert_allclose(exact, floats, rtol=1e-14)


def one(t):
    return np.sin(t) ** 2 + np.cos(t) ** 2


@pytest.mark.parametrize(
    "f, named",
    [
        (lambda w: np.sum(np.maximum(one(w["a"]), 1.0)), "maximum"),
        (lambda w: np.sum(relu(one(w["a"]) - 1.0)), "relu"),
        (lambda w: np.sum(np.where(one(w["a"]) >= 1.0, w["a"], 0.0)), "greater_equal"),
        (lambda w: np.max(np.stack([one(w["a"]), np.ones(2)])), "max "),
    ],
)
def test_a_ball_that_straddles_a_kink_is_refused_by_name(f, named):
    args = {"a": np.array([0.3, 0.4]), "b": 1.0}
    backend = dk.get_backend("exact", most_bits=1024)
    with pytest.raises(BackendError, match="1024 bits") as caught:
        dk.value_and_grad(f, backend=backend)(args)
    message = str(caught.value)
    assert f"in {named}" in message
    assert "depends on w['a'])" in message
    assert "± " in message
    assert "e-3" in message  # the radius reached


@pytest.mark.parametrize("f", [np.log, lambda x: 1.0 / x, lambda x: np.sqrt(x)])
def test_a_pole_is_refused_at_once_by_name(f):
    with pytest.raises(BackendError, match=r"256 bits: it is not finite.*node %"):
        dk.value_and_grad(lambda w: np.sum(f(w)), backend="exact")(np.array([1.0, 0.0]))


def test_a_pole_in_a_branch_not_taken_does_no_harm():
    def f(x):
        return np.sum(np.where(x > 0.5, np.log(np.where(x > 0.5, x, 1.0)), 0.0 * x))

    x = np.array([0.0, 2.0])
    _, gradient = dk.value_and_grad(f, backend="exact")(x)
    assert gradient.tolist() == [0.0, 0.5]


def test_balls_that_stay_wide_are_refused_with_entry_and_radius():
    backend = dk.get_backend("exact", most_bits=256)
    with pytest.raises(
        BackendError, match=r"too wide: the derivative by x\[1\] is"
    ) as e:
        dk.value_and_grad(
            lambda x: np.sum((1.0 + x) ** 2 - 1.0 - 2.0 * x), backend=backend
        )(np.array([0.5, 2.0**-300]))
    assert "± " in str(e.value)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"relative": 0.0}, "no relative radius"),
        ({"relative": 2.0}, "no relative radius"),
        ({"most_bits": 64}, "first attempt"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(UserInputError, match=said):
        dk.get_backend("exact", **options)


def test_every_structured_row_has_an_exact_gradient(rng):
    for name, cases in STRUCTURED.items():
        op = dk.ops.TABLE[name]
        for shapes, words in cases:
            args = [rng.normal(size=s) for s in shapes]

            def f(args, op=op, words=words):
                return np.sum(np.sin(op(*args, **words)))

            _, exact = dk.value_and_grad(f, backend="exact")(args)
            _, floats = dk.value_and_grad(f)(args)
            for mine, theirs in zip(exact, floats, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)


def test_auxiliary_outputs_and_zero_sizes():
    def f(w):
        return np.sum(w) + 1.0, (w * 2.0, w > 0.2)

    value_and_grad = dk.value_and_grad(f, backend="exact", has_aux=True)
    (value, (doubled, above)), gradient = value_and_grad(np.array([0.1, 0.3]))
    assert value == 1.4
    assert doubled.tolist() == [0.2, 0.6]
    assert above.tolist() == [False, True]
    assert above.dtype == bool
    assert gradient.tolist() == [1.0, 1.0]
    (value, _), gradient = value_and_grad(np.zeros(0))
    assert (value, gradient.shape) == (1.0, (0,))


def test_the_value_alone():
    prepared = dk.prepare(lambda x: np.exp(x), 1.0, backend="exact")
    assert prepared.value(1.0) == np.e


def test_a_second_call_at_another_point_and_one_in_two_threads():
    f, args = mlp([2, 8, 1], batch=3)
    prepared = dk.prepare(f, *args, backend="exact")
    expected = prepared(*args)
    before = flint.ctx.prec
    other = optree.tree_map(lambda a: a * 0.5, args)
    assert prepared(*other)[0] != expected[0]
    with ThreadPoolExecutor(2) as pool:
        for value, gradient in pool.map(lambda _: prepared(*args), range(8)):
            assert value == expected[0]
            assert optree.tree_all(
                optree.tree_map(np.array_equal, gradient, expected[1])
            )
    assert flint.ctx.prec == before


@given(st.integers(2**23, 2**24 - 1), st.integers(-3, 3), st.booleans())
def test_float32_is_rounded_once(mantissa, side, negative):
    """At and beside a tie of float32, which float64 cannot tell apart."""
    with working(256):
        ball = arb(2 * mantissa + 1) / 2 + side * arb(2) ** -60
        ball = -ball if negative else ball
    balls = np.empty((), dtype=object)
    balls[()] = ball
    given_ = to_float(balls, np.float32)[()]
    assert given_.dtype == np.float32
    exact = Fraction(2 * mantissa + 1, 2) + Fraction(side, 2**60)
    exact = -exact if negative else exact
    low, high = (
        np.nextafter(given_, np.float32(-np.inf)),
        np.nextafter(given_, np.float32(np.inf)),
    )
    apart = abs(Fraction(float(given_)) - exact)
    assert apart <= abs(Fraction(float(low)) - exact)
    assert apart <= abs(Fraction(float(high)) - exact)
    if side == 0:
        assert int(abs(given_)) % 2 == 0 or int(abs(given_)) == 2**24


def test_float32_programs_give_float32():
    w = np.array([0.3, -0.7], np.float32)
    value, gradient = dk.value_and_grad(lambda w: np.sum(np.exp(w)), backend="exact")(w)
    assert value.dtype == gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, np.exp(w.astype(float)).astype(np.float32))


def test_programs_in_other_precisions_are_refused():
    graph = dk.graph.trace(lambda x: np.sum(x), np.ones(2))
    program = Program(graph, (0,), ("x",), np.dtype(np.float16))
    with pytest.raises(BackendError, match="float16"):
        dk.get_backend("exact").compile(program)
