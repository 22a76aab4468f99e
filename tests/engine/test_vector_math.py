"""Elementary functions against rigorous balls: errors in ulp, special values, form.

They are reached through the engine's kernels, so that what is tested is what runs.
"""

from __future__ import annotations

import flint
import numpy as np
import pytest
from numba import njit

from diffkit.engine import compile_graph, vector_math
from diffkit.engine.emit import callable_from_numba
from diffkit.interpret.numpy import evaluate
from tests.engine.make_graphs import one_row

arb = flint.arb
DTYPES = ["float64", "float32"]
EXACT = {
    "exp": arb.exp,
    "exp2": lambda x: arb(2) ** x,
    "expm1": arb.expm1,
    "log": arb.log,
    "log1p": arb.log1p,
    "log2": lambda x: x.log() / arb(2).log(),
    "tanh": arb.tanh,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: x.exp().log1p(),
    "erf": arb.erf,
    "sinh": arb.sinh,
    "cosh": arb.cosh,
    "sin": arb.sin,
    "cos": arb.cos,
    "tan": arb.tan,
    "arctan": arb.atan,
    "arcsin": arb.asin,
    "arccos": arb.acos,
}
PERIODIC = ("sin", "cos", "tan")
ODD = ("expm1", "log1p", "tanh", "erf", "sinh", "sin", "tan", "arctan", "arcsin")
# What needs more bits than the result has: 1 + e^(−700), say.
CANCELLING = ("softplus", "sigmoid", "erf", "tanh")


def kernel(name, dtype, *operands):
    """The engine's result for one elementwise operation."""
    shapes = [x.shape for x in operands]
    return compile_graph(one_row(name, shapes), dtype)(list(operands))[0]


def reference(name, dtype, *operands):
    """NumPy's."""
    graph = one_row(name, [x.shape for x in operands])
    return evaluate(graph, operands, dtype=dtype)[0]


def sample(name, rng):
    """Points everywhere the function is finite: dense, random, near its hard places."""
    magnitudes = np.exp(rng.uniform(-740, 700, 1500))
    signs = rng.choice([-1, 1], 1500)
    if name in ("log", "log2"):
        return np.concatenate(
            [
                magnitudes,
                np.exp(rng.uniform(-100, 88, 1500)),
                rng.uniform(0.5, 2, 2500),
                1 + 1e-6 * rng.normal(size=500),
                np.sqrt(0.5) * (1 + 1e-12 * rng.normal(size=200)),
                5e-324 * rng.integers(1, 10_000, 200),
                2.0 ** rng.integers(-1074, 1023, 200),
            ]
        )
    if name == "log1p":
        return np.concatenate(
            [
                magnitudes,
                rng.uniform(-0.99, 3, 2500),
                1e-6 * rng.normal(size=500),
                -1 + np.exp(rng.uniform(-30, 0, 500)),
            ]
        )
    if name in PERIODIC:
        turns = np.arange(-300, 300) * (np.pi / 2)
        return np.concatenate(
            [
                rng.uniform(-40, 40, 2000),
                rng.uniform(-(2**20), 2**20, 1000),
                signs * np.exp(rng.uniform(-700, np.log(2.0**20), 1500)),
                turns * (1 + 1e-15 * rng.normal(size=turns.size)),
                rng.integers(-(2**19), 2**19, 600) * (np.pi / 2),
                [6381956970095103 * 2.0**-33],  # so near a multiple of π/2
            ]
        )
    if name in ("arcsin", "arccos"):
        return np.concatenate(
            [
                rng.uniform(-1, 1, 3000),
                rng.choice([-0.5, 0.5], 300) * (1 + 1e-7 * rng.normal(size=300)),
                signs * (1 - np.exp(rng.uniform(-36, -0.1, 1500))),
                signs * np.exp(rng.uniform(-700, 0, 1500)),
            ]
        )
    if name == "arctan":
        return np.concatenate(
            [
                rng.uniform(-4, 4, 4000),
                rng.choice([-2, -0.5, 0.5, 2], 300) * (1 + 1e-7 * rng.normal(size=300)),
                signs * magnitudes,
            ]
        )
    return np.concatenate(
        [
            rng.uniform(-745, 709, 1000),
            rng.uniform(-103, 88, 1000),
            rng.uniform(-40, 40, 1000),
            np.linspace(-3, 3, 2501),
            np.exp(rng.uniform(-700, 0, 500)) * rng.choice([-1, 1], 500),
            np.log(2) * (np.arange(-40, 40) + 0.5),  # ends of the reduction's interval
        ]
    )


def arguments(name, dtype, rng):
    """The sample in a dtype, as far as it is in the domain; and the largest numbers."""
    largest = np.finfo(dtype).max * np.array([1.0, 0.9, 0.7, 0.3])
    with np.errstate(over="ignore", under="ignore"):
        x = sample(name, rng).astype(dtype)
    x = x[np.isfinite(x)]
    if name in ("log", "log2", "log1p"):
        x = np.concatenate([x, largest.astype(dtype)])
        return x[x > (-1 if name == "log1p" else 0)]
    return x


def worst_ulp(got, truths):
    """The largest error in units of the exact value's last place, in got's dtype."""
    kind, information = got.dtype.type, np.finfo(got.dtype)
    worst = 0.0
    for value, truth in zip(got, truths, strict=True):
        with np.errstate(over="ignore", under="ignore"):
            near = kind(float(truth.mid()))
        if not np.isfinite(near) or near == 0.0:
            assert value == near, truth
            continue
        error = abs(float((arb(float(value)) - truth).mid()))
        # Half a unit more where the result is subnormal: it is rounded twice.
        allowance = 0.5 if abs(near) <= information.tiny else 0.0
        worst = max(worst, error / float(np.spacing(abs(near))) - allowance)
    return worst


def bound(name, dtype):
    return vector_math.BOUNDS[name][DTYPES.index(dtype)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_errors_stay_within_the_stated_bound(name, dtype, rng):
    x = arguments(name, dtype, rng)
    got = kernel(name, dtype, x)
    with flint.ctx.workprec(1300 if name in CANCELLING else 250):
        truths = [EXACT[name](arb(float(argument))) for argument in x]
        assert worst_ulp(got, truths) <= bound(name, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_errors_of_powers_stay_within_the_stated_bound(dtype, rng):
    top = 700 if dtype == "float64" else 86
    logs = np.concatenate([rng.uniform(-top, top, 2500), 1e-3 * rng.normal(size=2500)])
    x = np.exp(logs).astype(dtype)
    # Results over the whole range, subnormal ones too.
    logs = np.log(x.astype(float))
    y = (rng.uniform(-1.04 * top, top, logs.size) / logs).astype(dtype)
    y[::5] = rng.integers(-6, 7, y[::5].size)
    x[::7] = rng.uniform(0, 3, x[::7].size)
    with np.errstate(all="ignore"):
        finite = np.isfinite(reference("power", dtype, x, y))
    x, y = x[finite & (x > 0)], y[finite & (x > 0)]
    assert x.size > 4000
    got = kernel("power", dtype, x, y)
    with flint.ctx.workprec(250):
        truths = [arb(float(a)) ** arb(float(b)) for a, b in zip(x, y, strict=True)]
        assert worst_ulp(got, truths) <= bound("power", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_powers_that_are_floats_are_exact(dtype):
    base, exponent = np.meshgrid(np.arange(-12.0, 13.0), np.arange(0.0, 7.0))
    base, exponent = base.ravel(), exponent.ravel()
    expected = np.array(
        [int(a) ** int(b) for a, b in zip(base, exponent, strict=True)], dtype
    )
    np.testing.assert_array_equal(kernel("power", dtype, base, exponent), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PERIODIC)
def test_large_angles_are_the_librarys_and_leave_the_others_alone(name, dtype, rng):
    small = rng.uniform(-100, 100, 5000).astype(dtype)
    mixed = small.copy()
    mixed[100] = 1e7
    mixed[4000] = -1e30
    alone, among = kernel(name, dtype, small), kernel(name, dtype, mixed)
    same = small == mixed
    np.testing.assert_array_equal(alone[same], among[same])
    expected = reference(name, dtype, mixed[~same])
    np.testing.assert_allclose(among[~same], expected, rtol=4 * np.finfo(dtype).eps)


INFINITY, NAN = np.inf, np.nan
SPECIAL = {
    "exp": {INFINITY: INFINITY, -INFINITY: 0.0, 0.0: 1.0, 710.0: INFINITY, -746.0: 0.0},
    "exp2": {INFINITY: INFINITY, -INFINITY: 0.0, 1024.0: INFINITY, -1080.0: 0.0},
    "expm1": {INFINITY: INFINITY, -INFINITY: -1.0, -800.0: -1.0},
    "log": {INFINITY: INFINITY, 0.0: -INFINITY, -1.0: NAN, 1.0: 0.0},
    "log2": {INFINITY: INFINITY, 0.0: -INFINITY, -1.0: NAN, 8.0: 3.0, 2.0**-149: -149},
    "log1p": {INFINITY: INFINITY, -1.0: -INFINITY, -2.0: NAN},
    "tanh": {INFINITY: 1.0, -INFINITY: -1.0, 30.0: 1.0, -30.0: -1.0},
    "sigmoid": {INFINITY: 1.0, -INFINITY: 0.0, 0.0: 0.5, 800.0: 1.0, -800.0: 0.0},
    "softplus": {INFINITY: INFINITY, -INFINITY: 0.0, 800.0: 800.0, -800.0: 0.0},
    "erf": {INFINITY: 1.0, -INFINITY: -1.0, 7.0: 1.0, -7.0: -1.0},
    "sinh": {INFINITY: INFINITY, -INFINITY: -INFINITY, 711.0: INFINITY},
    "cosh": {INFINITY: INFINITY, -INFINITY: INFINITY, 0.0: 1.0, -711.0: INFINITY},
    "sin": {INFINITY: NAN, -INFINITY: NAN},
    "cos": {INFINITY: NAN, -INFINITY: NAN, 0.0: 1.0},
    "tan": {INFINITY: NAN, -INFINITY: NAN},
    "arctan": {INFINITY: np.pi / 2, -INFINITY: -np.pi / 2, 1.0: np.pi / 4},
    "arcsin": {1.0: np.pi / 2, -1.0: -np.pi / 2, 1.5: NAN, -2.0: NAN, INFINITY: NAN},
    "arccos": {1.0: 0.0, -1.0: np.pi, 0.0: np.pi / 2, 1.5: NAN, -INFINITY: NAN},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name, dtype):
    cases = [*SPECIAL[name].items(), (NAN, NAN)]
    x = np.array([argument for argument, _ in cases])
    expected = np.array([value for _, value in cases], dtype)
    got = kernel(name, dtype, x)
    np.testing.assert_array_equal(got, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))
    if name in ODD:
        tiny = np.finfo(dtype).smallest_subnormal
        least = np.array([0.0, -0.0, tiny, -tiny], dtype)
        got = kernel(name, dtype, least)
        np.testing.assert_array_equal(got, least)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(least))


@pytest.mark.parametrize("dtype", DTYPES)
def test_saturation_is_where_it_should_be(dtype):
    """The last argument with a finite or nonzero result, and the first without."""
    big, small = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    for name, limit in (
        ("exp", np.log(np.longdouble(big))),
        ("sinh", np.log(np.longdouble(big)) + np.log(np.longdouble(2))),
        ("cosh", np.log(np.longdouble(big)) + np.log(np.longdouble(2))),
        ("exp2", np.longdouble(np.finfo(dtype).maxexp)),
    ):
        x = np.array([limit * (1 - 1e-6), limit * (1 + 1e-6)], dtype)
        np.testing.assert_array_equal(np.isinf(kernel(name, dtype, x)), [False, True])
    for name, limit in (
        ("exp", np.log(np.longdouble(small)) - np.log(np.longdouble(2))),
        ("exp2", np.log2(np.longdouble(small)) - 1),
    ):
        x = np.array([limit * (1 - 1e-6), limit * (1 + 1e-6)], dtype)
        np.testing.assert_array_equal(kernel(name, dtype, x), [small, 0.0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "tanh", "log1p", "arcsin", "power", "sin"])
def test_loops_become_vector_code(name, dtype):
    """The point of it: packed instructions of the stated precision, and no libm."""
    arity = 1 + (name == "power")
    function = callable_from_numba(getattr(vector_math, name), arity)

    def unary(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def binary(x, out):
        for i in range(x.size):
            out[i] = function(x[i], out[i])

    run = njit(f"void({dtype}[::1], {dtype}[::1])")((unary, binary)[arity - 1])
    (text,) = run.inspect_llvm().values()
    through_float64 = name in (*PERIODIC, "power")
    own = "double" if dtype == "float64" or through_float64 else "float"
    assert f"x {own}>" in text
    if own == "float":
        assert "x double>" not in text
        assert "x i64>" not in text
    for called in (name, "pow", "asin"):
        assert f"@{called}(" not in text
        assert f"@{called}f(" not in text
