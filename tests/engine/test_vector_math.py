"""Elementary functions against rigorous balls: errors in ulp, special values, form."""

from __future__ import annotations

import flint
import mpmath as mp
import numpy as np
import pytest
from numba import njit

from diffkit.engine import vector_math

arb = flint.arb
# Names, exact meanings, and the bounds that the module's docstring states.
EXACT = {
    "exp": (arb.exp, 1.0),
    "exp2": (lambda x: arb(2) ** x, 1.1),
    "expm1": (arb.expm1, 1.5),
    "log": (arb.log, 1.0),
    "log1p": (arb.log1p, 1.0),
    "log2": (lambda x: x.log() / arb(2).log(), 2.0),
    "tanh": (arb.tanh, 2.5),
    "sigmoid": (lambda x: 1 / (1 + (-x).exp()), 2.5),
    "softplus": (lambda x: x.exp().log1p(), 2.0),
    "erf": (arb.erf, 1.5),
}
LOGARITHMS = ("log", "log2")


def looped(name):
    """The function over an array, as the kernels loop over it."""
    function = getattr(vector_math, name)

    @njit(fastmath={"contract"}, error_model="numpy")
    def run(x, out):
        for i in range(x.size):
            out[i] = function(np.float64(x[i]))

    def apply(x):
        x = np.ascontiguousarray(x)
        out = np.empty_like(x)
        run(x, out)
        return out

    return apply


@pytest.fixture(scope="module")
def functions():
    return {name: looped(name) for name in EXACT}


def sample(name, rng):
    """Points everywhere the function is finite: dense, random, near its hard places."""
    magnitudes = np.exp(rng.uniform(-740, 700, 1500))
    if name in LOGARITHMS:
        return np.concatenate(
            [
                magnitudes,
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
    return np.concatenate(
        [
            rng.uniform(-745, 709, 1500),
            rng.uniform(-40, 40, 1500),
            np.linspace(-3, 3, 2501),
            np.exp(rng.uniform(-700, 0, 500)) * rng.choice([-1, 1], 500),
            np.log(2) * (np.arange(-40, 40) + 0.5),  # ends of the reduction's interval
        ]
    )


def worst_ulp(name, got, x):
    """The largest error in units of the exact value's last place (float64)."""
    exact = EXACT[name][0]
    worst = 0.0
    with flint.ctx.workprec(1300 if name in ("softplus", "sigmoid", "erf") else 200):
        for value, argument in zip(got.tolist(), x.tolist(), strict=True):
            truth = exact(arb(argument))
            near = float(truth.mid())
            if not np.isfinite(near) or near == 0.0:
                assert value == near, (name, argument)
                continue
            error = abs(float((arb(value) - truth).mid()))
            # Half a unit more where the result is subnormal: it is rounded twice.
            allowance = 0.5 if abs(near) < 2.3e-308 else 0.0
            worst = max(worst, error / np.spacing(abs(near)) - allowance)
    return worst


@pytest.mark.parametrize("name", EXACT)
def test_errors_stay_within_the_stated_bound(name, functions, rng):
    x = sample(name, rng)
    assert worst_ulp(name, functions[name](x), x) <= EXACT[name][1]


@pytest.mark.parametrize("name", EXACT)
def test_float32_is_rounded_once(name, functions, rng):
    with np.errstate(over="ignore", under="ignore"):
        x = sample(name, rng).astype(np.float32)
    x = x[np.isfinite(x)]
    got = functions[name](x)
    with np.errstate(all="ignore"):
        rounded = functions[name](x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(got, rounded)


INFINITY, NAN = np.inf, np.nan
SPECIAL = {
    "exp": {
        INFINITY: INFINITY,
        -INFINITY: 0.0,
        0.0: 1.0,
        709.79: INFINITY,
        -746.0: 0.0,
    },
    "exp2": {INFINITY: INFINITY, -INFINITY: 0.0, -1074.0: 5e-324, 1024.0: INFINITY},
    "expm1": {INFINITY: INFINITY, -INFINITY: -1.0, 5e-324: 5e-324},
    "log": {INFINITY: INFINITY, 0.0: -INFINITY, -1.0: NAN, 1.0: 0.0},
    "log2": {
        INFINITY: INFINITY,
        0.0: -INFINITY,
        -5e-324: NAN,
        5e-324: -1074.0,
        8.0: 3.0,
    },
    "log1p": {INFINITY: INFINITY, -1.0: -INFINITY, -2.0: NAN},
    "tanh": {INFINITY: 1.0, -INFINITY: -1.0, 5e-324: 5e-324, 30.0: 1.0},
    "sigmoid": {INFINITY: 1.0, -INFINITY: 0.0, 0.0: 0.5, 800.0: 1.0, -800.0: 0.0},
    "softplus": {INFINITY: INFINITY, -INFINITY: 0.0, 800.0: 800.0, -800.0: 0.0},
    "erf": {INFINITY: 1.0, -INFINITY: -1.0, 7.0: 1.0, -7.0: -1.0},
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name, functions):
    cases = [*SPECIAL[name].items(), (NAN, NAN)]
    x = np.array([argument for argument, _ in cases])
    expected = np.array([value for _, value in cases])
    got = functions[name](x)
    np.testing.assert_array_equal(got, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))
    if name in ("expm1", "log1p", "tanh", "erf"):
        both = functions[name](np.array([0.0, -0.0]))
        np.testing.assert_array_equal(np.signbit(both), [False, True])


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "tanh", "erf"])
def test_loops_become_vector_code(name):
    """The point of the module: packed multiplications, and no call to a libm."""
    function = getattr(vector_math, name)

    @njit(
        "void(float64[::1], float64[::1])", fastmath={"contract"}, error_model="numpy"
    )
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    (text,) = run.inspect_llvm().values()
    assert "x double>" in text
    assert f"@{name}(" not in text


def _expm1_tail(r):
    small = abs(r) < mp.mpf(10) ** -20
    return mp.mpf(1) / 2 + r / 6 if small else (mp.expm1(r) - r) / r**2


def _log_tail(z):
    if abs(z) < mp.mpf(10) ** -15:
        return mp.mpf(2) / 3 + 2 * z / 5
    s = mp.sqrt(z)
    return ((mp.log((1 + s) / (1 - s)) - 2 * s) / s) / z


def _erf_small(z):
    if abs(z) < mp.mpf(10) ** -25:
        return 2 / mp.sqrt(mp.pi) - 1
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def _erfcx(t):
    x = 3 * (1 + t) / (1 - t)
    return mp.erfc(x) * mp.exp(x * x)


def test_coefficients_are_chebyshev_approximations():
    """Derive every table again: 60 digits, the interval of the reduction."""
    with mp.workdps(60):
        slack = mp.mpf("1.001")
        r = mp.log(2) / 2 * slack
        s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * slack
        tables = [
            (vector_math.EXPM1_TAIL, _expm1_tail, [-r, r]),
            (vector_math.LOG_TAIL, _log_tail, [0, s**2]),
            (vector_math.ERF_SMALL, _erf_small, [0, 1]),
            (vector_math.ERFCX, _erfcx, [mp.mpf(-1) / 2, mp.mpf(1) / 3]),
        ]
        for table, function, interval in tables:
            derived = mp.chebyfit(function, interval, len(table))
            assert [float(c) for c in reversed(derived)] == list(table)


def test_parts_of_ln_2():
    with mp.workdps(60):
        assert float(mp.log(2) - mp.mpf(vector_math.LN2_HIGH)) == vector_math.LN2_LOW
    bits = np.float64(vector_math.LN2_HIGH).view(np.int64)
    assert bits & ((1 << 21) - 1) == 0
