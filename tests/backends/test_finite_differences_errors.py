"""Claimed errors, reached accuracy and step rules, judged by ball arithmetic."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import factorial

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffkit as dk
from diffkit import errors
from diffkit.backends import Program
from diffkit.backends.finite_differences import (
    Adaptive,
    Automatic,
    Balanced,
    FiniteDifferences,
    Fixed,
    Relative,
    Scaled,
)
from diffkit.backends.finite_differences.extrapolation import extrapolate
from diffkit.backends.finite_differences.noise import EVALUATIONS, estimate_noise
from diffkit.backends.finite_differences.stencils import (
    CENTRAL,
    CURVATURES,
    one_sided,
)
from diffkit.graph import reverse, trace
from diffkit.interpret.exact import certify, to_float
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from tests.cases import CASES, Case, mlp
from tests.programs import programs

EPS = float(np.finfo(float).eps)
ALONG = np.linspace(0.3, 2.0, 7)


def sum_of(f):
    return lambda x: np.sum(f(x))


# Beside the list of programs: steep, far, noisy, cancelling ones.
HARD = [
    Case("roots", sum_of(np.sqrt), (10.0 ** -np.arange(0, 5),)),
    Case("exponential", lambda x: np.exp(np.sum(np.sin(x))), (ALONG,)),
    Case("offset", lambda x: 1e8 + np.sum(np.sin(x)), (ALONG,)),
    Case("far", sum_of(np.sin), (ALONG * 100,)),
    Case("cancel", lambda x: np.sum((x + 1e6) ** 2) - np.sum(x * x), (ALONG,)),
    Case("powers", sum_of(lambda x: x**1.5), (ALONG,)),
    Case("deep", *mlp([4] * 20, batch=4)),
    Case("wide", *mlp([10, 32, 1], batch=8)),
]
TABLE_OF_CASES = [*CASES, *HARD]
NETWORKS = [c for c in TABLE_OF_CASES if c.name in ("deep", "wide") or "mlp" in c.name]


def beside(case, seed):
    """The case at a point close by, where everything rounds otherwise."""
    rng = np.random.default_rng(seed)

    def moved(a):
        return a * (1 + 1e-3 * rng.normal(size=np.shape(a)))

    args = optree.tree_map(moved, case.args)
    return replace(case, name=f"{case.name}, beside it: {seed}", args=args)


# All entries of a network share one estimate of its noise, from eight evaluations: at
# one point that is one draw, and a network has most entries of the table.
DRAWS = [*TABLE_OF_CASES, *(beside(c, seed) for c in NETWORKS for seed in range(8))]


@cache
def truth(name):
    """The gradient of a case, proved, rounded to float64."""
    case = next(c for c in DRAWS if c.name == name)
    prepared = dk.prepare(case.f, *case.args, backend="null")
    program = prepared.program
    proved = certify(reverse(program.graph, program.wrt), prepared.leaves(case.args))
    return [to_float(o) for o in proved.outputs[1 : 1 + len(program.wrt)]]


def differences(case, **options):
    prepared = dk.prepare(case.f, *case.args, backend=FiniteDifferences(**options))
    return prepared.compiled.gradient_with_errors(prepared.leaves(case.args))


def largest(arrays):
    return max((float(np.max(np.abs(a), initial=0.0)) for a in arrays), default=0.0)


def relative_error(case, **options):
    """The largest deviation over the gradient's largest entry."""
    gradients, _ = differences(case, **options)
    exact = truth(case.name)
    apart = [g - t for g, t in zip(gradients, exact, strict=True)]
    return largest(apart) / (largest(exact) or 1.0)


WAYS = [
    {},
    {"order": 4},
    {"order": 6},
    {"method": "forward"},
    {"method": "backward", "order": 2},
    {"step": "balanced"},
    {"method": "forward", "step": "balanced"},
    {"order": 4, "step": "balanced"},
    {"step": "adaptive"},
    {"order": 4, "step": "adaptive"},
    {"method": "ridders"},
]


def calibration(options, tamper=lambda claimed: claimed):
    """(share within three times the claim, median of claim over true error)."""
    within, ratios = [], []
    for case in DRAWS:
        gradients, claims = differences(case, **options)
        for given_, claimed, exact in zip(
            gradients, claims, truth(case.name), strict=True
        ):
            error = np.abs(given_ - exact)
            within += list((error <= 3.0 * tamper(claimed)).flat)
            ratios += list((claimed[error > 0] / error[error > 0]).flat)
    return float(np.mean(within)), float(np.median(ratios))


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_claimed_error_is_calibrated(options):
    """99 % of true errors lie within three times the claim, which is no wild one."""
    share, ratio = calibration(options)
    assert share >= 0.99
    assert ratio <= 10.0


def test_a_claim_a_tenth_as_large_would_be_caught():
    share, _ = calibration({"method": "ridders"}, tamper=lambda claimed: claimed / 10)
    assert share < 0.99


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_claims_hold_on_random_programs(options, dtype):
    """Kinks, shared values, dead code: never NaN, and 99 % within the claim."""
    within = []

    @settings(max_examples=30, derandomize=True, database=None)
    @given(programs())
    def collect(program):
        leaves = [leaf.astype(dtype) for leaf in program.leaves]
        names = tuple(program.graph.input_names)
        compiled = FiniteDifferences(**options).compile(
            Program(program.graph, program.wrt, names, np.dtype(dtype))
        )
        exact = evaluate(reverse(program.graph, program.wrt), leaves, np.float64)[1:]
        found, claims = compiled.gradient_with_errors(leaves)
        for given_, claimed, true in zip(found, claims, exact, strict=True):
            assert np.isfinite(given_).all()
            least = 4 * EPS * np.abs(true)  # the reading's own rounding
            within.extend((np.abs(given_ - true) <= 3 * claimed + least).flat)

    collect()
    assert np.mean(within) >= 0.99


SMOOTH = [c for c in CASES if c.smooth and c.name != "abs_max"]


@pytest.mark.parametrize("case", [*SMOOTH, *NETWORKS], ids=str)
def test_automatic_central_differences_are_near_the_optimum(case):
    """Within ten times ε^(2/3), the best that two evaluations can do."""
    assert relative_error(case) <= 10.0 * EPS ** (2 / 3)


def test_the_scaled_step_misses_it_where_products_pile_up():
    """Six products deep: what the automatic rule reads off the program it needs."""
    (case,) = (c for c in SMOOTH if c.name == "logistic_map")
    assert relative_error(case, step="scaled") > 5 * 10.0 * EPS ** (2 / 3)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_ridders_reaches_ten_digits(case):
    assert relative_error(case, method="ridders") <= 1e-10


@pytest.mark.parametrize("case", [*SMOOTH, *NETWORKS], ids=str)
def test_higher_orders_gain_digits_on_smooth_programs(case):
    assert relative_error(case, order=4) <= 40.0 * EPS ** (4 / 5)
    assert relative_error(case, order=6) <= 40.0 * EPS ** (6 / 7)
    assert relative_error(case, order=8) <= 40.0 * EPS ** (8 / 9)
    assert relative_error(case, step="balanced") <= 10.0 * EPS ** (2 / 3)
    assert relative_error(case, method="ridders") <= 1e-10


# ---- the complex step ------------------------------------------------------------


# np.linalg.norm compares with zero; the chaotic map is ill-conditioned (see below).
NOT_ASKED = ("mlp_relu", "abs_max", "norm_and_trace", "logistic_map")
ANALYTIC = [c for c in CASES if c.name not in NOT_ASKED]


@pytest.mark.parametrize("case", ANALYTIC, ids=str)
def test_the_complex_step_is_right_to_eight_ulps(case):
    """Of the gradient's largest entry."""
    gradients, claimed = differences(case, method="complex")
    exact = truth(case.name)
    unit = np.spacing(largest(exact))
    for given_, claim, true in zip(gradients, claimed, exact, strict=True):
        assert (np.abs(given_ - true) <= 8.0 * unit).all()
        assert (np.abs(given_ - true) <= 3.0 * claim).all()


def test_what_the_complex_step_loses_on_the_chaotic_map_any_method_loses():
    """The rounding of its eighteen operations is amplified to more than eight ulps.

    The derivative's own derivatives by relative errors of each operation bound what
    rounding can do; the complex step stays within that, and reverse mode, which is
    exact but for rounding, is no better.
    """

    def rounded(r, errors):
        x = 0.3
        for k in range(6):
            first = r * x * (1 + errors[k, 0])
            x = first * ((1 - x) * (1 + errors[k, 1])) * (1 + errors[k, 2])
        return x

    def f(r):
        return rounded(r, np.zeros((6, 3)))

    ulps = {"complex": [], "reverse": []}
    slope = dk.grad(f)
    amplified = dk.grad(lambda d, r: dk.grad(rounded)(r, d))
    unit_roundoff = EPS / 2
    for k in range(-40, 40):
        r = np.array(3.1 + 3 * k * 2.0**-51)
        compiled, leaves = (
            dk.prepare(f, r, backend=FiniteDifferences(method="complex")),
            [r],
        )
        program = compiled.program
        true = to_float(certify(reverse(program.graph, (0,)), leaves).outputs[1])
        bound = unit_roundoff * np.sum(np.abs(amplified(np.zeros((6, 3)), r)))
        unit = np.spacing(abs(true))
        # Complex products round twice, and so does each part of a derivative's rule.
        (found,) = compiled.compiled.gradient(leaves)
        for name, given_ in (("complex", found), ("reverse", slope(r))):
            error = abs(float(given_ - true))
            assert error <= 4.0 * bound
            ulps[name].append(error / unit)
        assert bound > 8.0 * unit
    assert max(ulps["complex"]) <= 2.0 * max(ulps["reverse"])
    assert np.median(ulps["complex"]) <= 1.5 * np.median(ulps["reverse"])
    assert np.median(ulps["reverse"]) > 8.0


@pytest.mark.parametrize(
    "op",
    [
        op
        for op in TABLE.values()
        if op.family == "elementwise" and op.analytic and all(op.partials)
    ],
    ids=lambda op: op.name,
)
def test_the_complex_step_of_every_analytic_row(op, rng):
    """Entry by entry within 8 ulps on the row's domain."""
    leaves = [interval.sample(rng, (60,)) for interval in op.domain]
    graph = trace(lambda *x: np.sum(op(*x)), *leaves)
    wrt = tuple(range(len(leaves)))
    program = Program(graph, wrt, ("a", "b")[: len(leaves)], np.dtype(float))
    found = FiniteDifferences(method="complex").compile(program).gradient(leaves)
    proved = certify(reverse(graph, wrt), leaves).outputs[1:]
    for given_, balls in zip(found, proved, strict=True):
        true = to_float(balls)
        assert (np.abs(given_ - true) <= 8.0 * np.spacing(np.abs(true))).all()


@pytest.mark.parametrize("name", ["relu", "abs", "maximum", "max"])
def test_the_complex_step_refuses_what_is_not_analytic(name):
    op = TABLE[name]
    bodies = {
        "maximum": lambda x: np.sum(op(np.sin(x), x)),
        "max": lambda x: op(x, axes=(0,), keepdims=False),
    }
    with pytest.raises(errors.BackendError, match=f"'{name}'"):
        dk.prepare(
            bodies.get(name, lambda x: np.sum(op(x))),
            ALONG,
            backend=FiniteDifferences(method="complex"),
        )


def test_the_complex_step_may_cross_kinks_of_the_data():
    def f(x, data):
        return np.sum(np.sin(x) * np.where(data > 0, np.abs(data), 2.0))

    data = np.array([-1.0, 0.5, 0.0, 2.0, 1.0, -3.0, 0.1])
    _, gradient = dk.value_and_grad(f, backend=FiniteDifferences(method="complex"))(
        ALONG, data
    )
    weights = np.where(data > 0, np.abs(data), 2.0)
    np.testing.assert_allclose(gradient, np.cos(ALONG) * weights, rtol=1e-15)


def test_outside_its_domain_the_complex_step_answers_nan():
    f = dk.value_and_grad(sum_of(np.log), backend=FiniteDifferences(method="complex"))
    value, gradient = f(np.array([-1.0, 2.0]))
    assert np.isnan(value)
    assert np.isnan(gradient).all()


# ---- evaluations, counted --------------------------------------------------------


@pytest.mark.parametrize(
    "options, formula, each, once",
    [
        ({}, "2P", 2, 0),
        ({"order": 4}, "4P", 4, 0),
        ({"order": 6}, "6P", 6, 0),
        ({"order": 8}, "8P", 8, 0),
        ({"order": 8, "step": "balanced"}, "18P+8", 18, 8),
        ({"method": "forward"}, "P+1", 1, 1),
        ({"method": "backward"}, "P+1", 1, 1),
        ({"method": "forward", "order": 2}, "2P+1", 2, 1),
        ({"method": "complex"}, "P", 1, 0),
        ({"method": "ridders"}, "16P+8", 16, 8),
        ({"method": "ridders", "levels": 5}, "10P+8", 10, 8),
        ({"step": "balanced"}, "6P+8", 6, 8),
        ({"order": 4, "step": "balanced"}, "10P+8", 10, 8),
        ({"method": "forward", "step": "balanced"}, "3P+9", 3, 9),
        ({"step": "adaptive"}, "12P+8", 12, 8),
        ({"method": "forward", "step": "adaptive"}, "6P+9", 6, 9),
    ],
    ids=str,
)
def test_evaluations_are_those_of_the_formula(options, formula, each, once):
    f, args = mlp([3, 4, 1], batch=2)
    backend = FiniteDifferences(**options)
    assert backend.capabilities.evaluations == formula
    prepared = dk.prepare(f, *args, backend=backend)
    compiled, leaves = prepared.compiled, prepared.leaves(args)
    count = prepared.program.parameters
    assert compiled.info.evaluations == each * count + once
    compiled.gradient(leaves)
    assert compiled.evaluations_run == each * count + once
    before = compiled.evaluations_run
    compiled(leaves)
    together = compiled.evaluations_run - before
    assert together == compiled.info.details["evaluations_with_value"]


def test_claiming_an_error_costs_what_is_said():
    f, args = mlp([3, 4, 1], batch=2)
    for options, each, once in [
        ({}, 4, 9),
        ({"order": 4}, 8, 9),
        ({"method": "forward"}, 2, 9),
        ({"method": "ridders"}, 16, 9),
        ({"step": "adaptive"}, 12, 9),
        ({"method": "complex"}, 2, 0),
    ]:
        prepared = dk.prepare(f, *args, backend=FiniteDifferences(**options))
        claims = prepared.compiled.error_estimates(prepared.leaves(args))
        count = prepared.program.parameters
        assert prepared.compiled.evaluations_run == each * count + once
        assert [c.shape for c in claims] == [
            np.shape(prepared.leaves(args)[p]) for p in prepared.program.wrt
        ]


# ---- formulas --------------------------------------------------------------------


STENCILS = [
    *CENTRAL.values(),
    *(one_sided(p, s) for p in (1, 2, 4, 6, 8) for s in (1, -1)),
]


def is_right(stencil):
    """On powers x^k at 0 with whole steps, in whole numbers: no rounding to hide in."""
    base = -sum(stencil.weights)
    pairs = list(zip(stencil.weights, stencil.offsets, strict=True))
    totals = [
        base * 0**k + sum(w * o**k for w, o in pairs) for k in range(stencil.order + 2)
    ]
    leading = totals.pop()  # of x^(p+1), whose derivative of order p+1 is (p+1)!
    wanted = stencil.truncation * factorial(stencil.order + 1) * abs(totals[1])
    exact = totals[0] == 0 != totals[1] and not any(totals[2:])
    return exact and abs(leading) == pytest.approx(wanted)


@pytest.mark.parametrize("stencil", STENCILS, ids=lambda s: f"{s.order}:{s.side}")
def test_a_formula_is_exact_up_to_its_order_and_errs_by_its_constant(stencil):
    assert is_right(stencil)


@pytest.mark.parametrize("stencil", STENCILS, ids=lambda s: f"{s.order}:{s.side}")
def test_a_wrong_weight_or_constant_would_be_caught(stencil):
    assert not is_right(replace(stencil, truncation=1.01 * stencil.truncation))
    for i in range(len(stencil.weights) if stencil.order > 1 else 0):
        weights = list(stencil.weights)
        weights[i] += 1
        assert not is_right(replace(stencil, weights=tuple(weights)))


@pytest.mark.parametrize("order", CURVATURES)
def test_the_differences_that_estimate_curvature(order):
    """They give k! for x^k, and nothing for every lower power."""
    offsets, weights = CURVATURES[order]
    for k in range(1, order + 1):
        total = sum(w * o**k for w, o in zip(weights, offsets, strict=True))
        assert total == (factorial(order) if k == order else 0)


def test_step_rules_follow_their_formulas():
    x = np.array([0.5, -100.0, 1e-3])
    for order, shorter in ((1, 1), (2, 1), (4, 0.66), (6, 0.51), (8, 0.42)):
        size = EPS ** (1 / (1 + order))
        np.testing.assert_allclose(
            Automatic(4.0).steps(x, order),
            shorter * size * np.array([1.0, 100.0, 1.0]) / 4.0,
            rtol=0.01,
        )
        np.testing.assert_allclose(Relative().steps(x, order), size * np.abs(x))
        np.testing.assert_allclose(
            Scaled(0.01).steps(x, order), size * np.array([0.5, 100.0, 0.01])
        )
    np.testing.assert_array_equal(Relative(1e-3).steps(x, 2), 1e-3 * np.abs(x))
    np.testing.assert_array_equal(Fixed(0.25).steps(x, 2), [0.25] * 3)


def test_the_balanced_step_finds_a_hidden_scale():
    """sin(1000 x) has f‴ a million f′: the scaled step is far too long."""
    case = Case("hidden", lambda x: np.sum(np.sin(1000.0 * x)), (ALONG,))
    exact = 1000.0 * np.cos(1000.0 * ALONG)
    wrong = {}
    for rule in (Scaled(), Balanced(), Adaptive(1e-3), Balanced(1e-3)):
        (gradient,), (claimed,) = differences(case, step=rule)
        wrong[rule] = np.max(np.abs(gradient - exact)) / 1000.0
        assert (np.abs(gradient - exact) <= 3 * claimed).mean() > 0.8
    assert wrong[Balanced(1e-3)] < 1e-8 < wrong[Scaled()]
    assert wrong[Adaptive(1e-3)] < 1e-7


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(1e-12, 1e-3))
def test_noise_is_found_within_a_factor(seed, level):
    rng = np.random.default_rng(seed)
    found = estimate_noise(
        lambda t: float(np.sin(1.0 + t) + level * rng.normal()), np.dtype(float)
    )
    assert level / 10 <= found <= level * 5


def test_noise_takes_eight_evaluations_and_is_never_below_rounding():
    calls = []
    found = estimate_noise(lambda t: calls.append(t) or 3.0, np.dtype(float))
    assert len(calls) == EVALUATIONS == 8
    assert found == 0.3 * EPS * 3.0


def test_extrapolation_removes_the_known_series():
    """D(h) = 2 + h² − 5h⁴ + h⁶: three eliminations leave the limit alone."""
    h = 2.0 ** -np.arange(6)[:, None]
    limit, error = extrapolate(2 + h**2 - 5 * h**4 + h**6, 0.0 * h + 1e-16, 4.0)
    assert limit[0] == pytest.approx(2.0, abs=1e-14)
    assert error[0] < 1e-14
    holes = 2 + h**2
    holes[:2] = np.nan  # the long steps left the domain
    limit, _ = extrapolate(holes, 0.0 * h, 4.0)
    assert limit[0] == pytest.approx(2.0, abs=1e-14)
    assert np.isnan(extrapolate(np.full((4, 1), np.nan), np.ones((4, 1)), 4.0)[0][0])
