"""`reverse`, `forward` and `simplify` on whole programs, small and very large."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from diffkit.errors import ShapeError
from diffkit.graph import Builder, Graph, forward, reverse, simplify, trace
from diffkit.interpret.exact import certify
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE

X = np.array([0.3, -0.2, 0.9])


def test_an_input_that_does_not_matter_gets_zeros():
    gradient = reverse(trace(lambda a, b: np.sum(a), X, X), (0, 1))
    _, _, unused = evaluate(gradient, [X, X])
    assert unused.tolist() == [0.0, 0.0, 0.0]


def test_a_constant_has_a_zero_gradient_and_a_zero_tangent():
    graph = trace(lambda x: np.float64(3.0), X)
    assert evaluate(reverse(graph), [X])[1].tolist() == [0.0] * 3
    assert evaluate(forward(graph), [X, X])[1] == 0.0


def test_other_outputs_are_kept():
    graph = trace(lambda x: (np.sum(x), x * 2.0), X)
    _, gradient, aux = evaluate(reverse(graph), [X])
    assert gradient.tolist() == [1.0] * 3
    np.testing.assert_array_equal(aux, X * 2)


def test_reverse_needs_a_scalar():
    with pytest.raises(ShapeError, match="scalar"):
        reverse(trace(lambda x: x * 2.0, X))


def test_second_order_by_reverse_and_forward_of_reverse():
    graph = trace(lambda x: np.sum(np.tanh(x) ** 3 * x[::-1]), X)
    gradient = reverse(graph)
    hessian_by_columns = []
    for i in range(3):
        direction = np.eye(3)[i]
        column = evaluate(forward(gradient, (0,), output=1), [X, direction])[1]
        hessian_by_columns.append(column)
    hessian = np.array(hessian_by_columns)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-13)
    h = 1e-5
    for i in range(3):
        above = evaluate(gradient, [X + h * np.eye(3)[i]])[1]
        below = evaluate(gradient, [X - h * np.eye(3)[i]])[1]
        np.testing.assert_allclose(hessian[i], (above - below) / (2 * h), rtol=1e-8)


def test_a_loop_over_elements_places_cotangents_once():
    def loop(x):
        total = 0.0
        for i in range(x.shape[0]):
            total = np.sin(total * x[i])
        return total

    x = np.linspace(0.5, 1.5, 50)
    gradient = simplify(reverse(trace(loop, x)))
    assert [n.op.name for n in gradient.nodes].count("scatter") == 1


def test_simplify_keeps_values_and_drops_what_does_nothing():
    def f(x, y):
        dead = np.exp(y)
        del dead
        kept = (x * 1.0 / 1.0 - 0.0).T.T.reshape(3, 1).reshape(3) + np.negative(-x)
        return np.sum(kept) * (np.sqrt(4.0) * np.float64(2.0))

    def with_dead_code(x, y):
        np.exp(y)
        return f(x, y)

    graph = trace(with_dead_code, X, X)
    small = simplify(graph)
    assert len(small.inputs) == 2
    assert {n.op.name for n in small.nodes} == {
        "input",
        "add",
        "sum",
        "constant",
        "multiply",
    }
    np.testing.assert_array_equal(evaluate(small, [X, X]), evaluate(graph, [X, X]))


def test_simplify_keeps_nan_infinity_and_signed_zero():
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0])

    def f(x):
        return (x * 0.0) + (x + 0.0) * 1.0 - (x - x), x - 0.0, 0.0 - x, x + 0.0

    graph = trace(f, x)
    for before, after in zip(
        evaluate(graph, [x]), evaluate(simplify(graph), [x]), strict=True
    ):
        np.testing.assert_array_equal(before, after)
        np.testing.assert_array_equal(np.signbit(before), np.signbit(after))


def test_simplify_takes_known_choices_and_folds_constants():
    graph = trace(lambda x: np.where(np.ones(3) > 0.0, x, np.exp(x)), X)
    assert [n.op.name for n in simplify(graph).nodes] == ["input"]


@pytest.mark.slow
def test_a_hundred_thousand_nodes_without_recursion():
    """A chain far past any recursion limit: trace, both modes, simplify, run."""
    depth = 100_000
    assert depth > sys.getrecursionlimit()

    def chain(x):
        for _ in range(depth):
            x = np.sin(x)
        return x

    graph = trace(chain, 0.5)
    assert len(graph.nodes) == depth + 1
    assert graph.size().tree_operations == depth
    gradient = simplify(reverse(graph))
    _, slope = evaluate(gradient, [np.array(0.5)])
    _, tangent = evaluate(forward(graph), [np.array(0.5), np.array(1.0)])
    np.testing.assert_allclose(slope, tangent, rtol=1e-9)


def test_a_graph_that_is_not_topological_is_refused():
    builder = Builder()
    x = builder.input(())
    y = builder.apply(TABLE["exp"], [x])
    node = builder.nodes[y]
    with pytest.raises(AssertionError, match="topological"):
        Graph((node, *builder.nodes), (x,), (y,))


def test_irrational_constants_stay_exact_in_the_reference():
    """2/√π in erf' is a number, not its rounding: the balls prove 1e-30."""
    graph = trace(lambda x: np.exp2(x) + np.log2(x), 1.0)
    slope = certify(reverse(graph), [np.array(1.0)]).outputs[1]
    expected = "2.828989402002888"  # 2 log 2 + 1/log 2
    assert str(slope[()].str(16, radius=False)).startswith(expected[:10])
    assert slope[()].rad() < 1e-30
