"""Array outputs: a Jacobian for the evaluations of a gradient, by every rule."""

from __future__ import annotations

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends import Program
from diffkit.backends.finite_differences import FiniteDifferences
from diffkit.graph import trace

A = np.array([[0.3, -0.7, 0.5, 0.1], [1.1, 0.2, -0.9, 0.4]])
POINT = np.array([0.4, -0.2, 0.7, 1.5])
EXACT = np.cos(A @ POINT)[:, None] * A

WAYS = [
    ({}, "2n"),
    ({"order": 8}, "8n"),
    ({"method": "forward"}, "n+1"),
    ({"method": "backward", "order": 2}, "2n+1"),
    ({"method": "complex"}, "n"),
    ({"method": "ridders"}, "16n+8"),
    ({"step": "balanced"}, "6n+8"),
    ({"step": "adaptive"}, "12n+8"),
    ({"step": 1e-5}, "2n"),
    ({"bounds": (-3.0, 3.0)}, "2n"),
    ({"recompute": "changed"}, "2n+1"),
    ({"batch": 3}, "2n"),
]


def f(x):
    return np.sin(A @ x)


def compiled_of(f, x, **options):
    graph = trace(f, x)
    program = Program(graph, (0,), ("x",), np.dtype(x.dtype))
    return FiniteDifferences(**options).compile(program)


@pytest.mark.parametrize("options, formula", WAYS, ids=str)
@pytest.mark.parametrize("runtime", ["engine", "numpy"])
def test_a_jacobian_costs_what_a_gradient_costs(options, formula, runtime):
    """2n evaluations of the function itself, not 2n for each of its outputs."""
    compiled = compiled_of(f, POINT, runtime=runtime, **options)
    cost = dk.backends.formula.count(formula, n=4)
    assert compiled.info.evaluations == cost
    (found,) = compiled.gradient([POINT])
    assert compiled.evaluations_run == cost
    assert found.shape == (2, 4)
    rtol = 1e-6 if "n+1" in formula[:3] else 1e-7
    np.testing.assert_allclose(found, EXACT, rtol=rtol, atol=rtol)
    table = dk.capabilities([FiniteDifferences(**options)])
    (row,) = (r for r in table if r.derivative == "jacobian")
    assert row.evaluations == formula


@pytest.mark.parametrize("options, formula", WAYS, ids=str)
def test_jacobian_and_its_claims(options, formula):
    found = dk.jacobian(f, backend=FiniteDifferences(**options))(POINT)
    np.testing.assert_allclose(found, EXACT, rtol=1e-6, atol=1e-6)
    (slopes,), (claims,) = compiled_of(f, POINT, **options).gradient_with_errors(
        [POINT]
    )
    assert claims.shape == slopes.shape == (2, 4)
    assert (np.abs(slopes - EXACT) <= 3.0 * claims).all()


def test_two_evaluations_a_direction():
    """Jvp and hvp: along a line, whatever the number of inputs and outputs."""
    seen = []

    class Counting:
        name = "counting"
        inner = FiniteDifferences()
        capabilities = inner.capabilities

        def compile(self, program):
            seen.append(self.inner.compile(program))
            return seen[-1]

    v = np.array([1.0, 0.5, -2.0, 0.25])
    _, tangent = dk.jvp(f, (POINT,), (v,), backend=Counting())
    np.testing.assert_allclose(tangent, EXACT @ v, rtol=1e-8)
    (product,) = dk.hvp(lambda x: np.sum(f(x)), (POINT,), (v,), backend=Counting())
    hessian = A.T @ (-np.sin(A @ POINT)[:, None] * A)
    np.testing.assert_allclose(product, hessian @ v, rtol=1e-8)
    full = dk.hessian(lambda x: np.sum(f(x)), backend=Counting())(POINT)
    np.testing.assert_allclose(full, hessian, rtol=1e-7, atol=1e-8)
    # One more each for the value that is returned beside it.
    assert [c.evaluations_run for c in seen] == [3, 3, 9]


def test_shapes_are_those_of_the_output_then_the_input():
    x = np.linspace(0.1, 1.2, 6).reshape(2, 3)
    compiled = compiled_of(lambda x: np.sin(x).T, x)
    (found,) = compiled.gradient([x])
    assert found.shape == (3, 2, 2, 3)
    wanted = dk.jacobian(lambda x: np.sin(x).T)(x)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("size", [0, 3])
def test_nothing_in_or_nothing_out(size):
    for out in (lambda x: x[:0], lambda x: np.sin(x)):
        x = np.ones(size)
        found = dk.jacobian(out, backend="finite_differences")(x)
        assert found.shape == (len(out(x)), size)


@pytest.mark.parametrize("options", [{}, {"method": "ridders"}, {"step": "balanced"}])
def test_each_output_has_its_own_domain(options):
    """√ ends at the point, the sine does not: one side for it, both for the other."""

    def both(x):
        return np.stack([np.sin(x), x * np.sqrt(x)])

    x = np.array(0.0)
    found = dk.jacobian(both, backend=FiniteDifferences(**options))(x)
    assert found[0] == pytest.approx(1.0, rel=1e-8)
    assert abs(found[1]) < 0.05
    lost = dk.jacobian(
        lambda x: np.stack([np.sin(x), np.log(x - 1.0)]),
        backend=FiniteDifferences(**options),
        nonfinite="allow",
    )(np.array(0.5))
    assert lost[0] == pytest.approx(np.cos(0.5), rel=1e-7)
    assert np.isnan(lost[1])
    if "step" in options:  # so near 0 that x² underflows
        return
    with pytest.raises(errors.NonFiniteError, match="flat index 0"):
        dk.jacobian(
            lambda x: np.stack([np.sin(x), np.sqrt(-x * x)]),
            backend=FiniteDifferences(**options),
        )(x)


def test_balanced_steps_suit_the_most_curved_output():
    def sharp(x):
        return np.stack([np.sin(x), np.sin(100.0 * x)])

    x = np.array(0.3)
    for step, least in (("auto", 1e-7), ("balanced", 1e-9)):
        found = dk.jacobian(sharp, backend=FiniteDifferences(step=step))(x)
        wanted = np.array([np.cos(x), 100.0 * np.cos(100.0 * x)])
        assert np.max(np.abs(found / wanted - 1.0)) <= 10 * least
