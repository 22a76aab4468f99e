from functools import partial

import numpy as np
import pytest
from scipy import special, stats

from diffkit import functions as fn
from diffkit.errors import DtypeError, ShapeError, UserInputError
from diffkit.graph import reverse, trace
from diffkit.interpret.numpy import evaluate

WIDE = np.array([-1000.0, -40.0, -1.5, -1e-9, 0.0, 1e-9, 0.3, 40.0, 1000.0])


def slope(f, x):
    """The gradient of sum(f(x)), by the definition of every op."""
    graph = reverse(trace(lambda x: np.sum(f(x)), x), (0,))
    return evaluate(graph, [x])[1]


ELEMENTWISE = [
    (fn.sigmoid, special.expit, lambda x: special.expit(x) * special.expit(-x)),
    (fn.softplus, lambda x: np.logaddexp(0.0, x), special.expit),
    (fn.relu, lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
    (fn.erf, special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
    (
        partial(fn.leaky_relu, slope=0.3),
        lambda x: np.where(x > 0, x, 0.3 * x),
        lambda x: np.where(x > 0, 1.0, 0.3),
    ),
    (
        partial(fn.elu, alpha=1.5),
        lambda x: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0.0))),
        lambda x: np.where(x > 0, 1.0, 1.5 * np.exp(np.minimum(x, 0.0))),
    ),
    (
        fn.silu,
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) * (1 + x * special.expit(-x)),
    ),
]


@pytest.mark.parametrize("f, value, derivative", ELEMENTWISE)
def test_elementwise_functions_and_slopes_equal_scipys(f, value, derivative):
    np.testing.assert_allclose(f(WIDE), value(WIDE), rtol=4e-15)
    # σ′ = σ(1 − σ) loses the relative precision of its tail, never an absolute ulp.
    np.testing.assert_allclose(slope(f, WIDE), derivative(WIDE), rtol=1e-14, atol=1e-16)
    assert isinstance(f(0.5), float)


def test_gelu_and_its_slope_are_those_of_the_normal_distribution():
    # Φ is (1 + erf)/2, which keeps an absolute 2⁻⁵³ and no relative tail.
    bound = {"rtol": 1e-14, "atol": 1e-13}
    np.testing.assert_allclose(fn.gelu(WIDE), WIDE * stats.norm.cdf(WIDE), **bound)
    np.testing.assert_allclose(
        slope(fn.gelu, WIDE),
        stats.norm.cdf(WIDE) + WIDE * stats.norm.pdf(WIDE),
        **bound,
    )
    assert fn.gelu(0.0) == 0.0


def test_integers_are_real_numbers_to_activations():
    for f in (fn.relu, fn.leaky_relu, fn.elu, fn.silu, fn.gelu):
        np.testing.assert_allclose(f([-1, 0, 2]), f([-1.0, 0.0, 2.0]), rtol=1e-15)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_equals_scipys(axis, keepdims, rng):
    x = rng.normal(size=(3, 4)) * 500
    expected = special.logsumexp(x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(
        fn.logsumexp(x, axis=axis, keepdims=keepdims), expected, rtol=1e-15
    )
    graph = trace(lambda x: fn.logsumexp(x, axis=axis, keepdims=keepdims), x)
    np.testing.assert_allclose(evaluate(graph, [x])[0], expected, rtol=1e-15)


def test_softmax_and_its_logarithm_equal_scipys_at_any_size(rng):
    x = np.concatenate([rng.normal(size=(4, 5)), 1000 * rng.normal(size=(4, 5))])
    np.testing.assert_allclose(
        fn.log_softmax(x), special.log_softmax(x, axis=-1), rtol=1e-13, atol=1e-300
    )
    np.testing.assert_allclose(
        fn.softmax(x, axis=0), special.softmax(x, axis=0), rtol=1e-12, atol=1e-300
    )


def test_the_slope_of_logsumexp_is_softmax(rng):
    x = rng.normal(size=6) * 300
    np.testing.assert_allclose(
        slope(fn.logsumexp, x), special.softmax(x), rtol=1e-12, atol=1e-300
    )


def test_axes_out_of_range_are_named():
    with pytest.raises(ShapeError, match="axis 2 is out of range"):
        fn.logsumexp(np.ones((2, 3)), axis=2)


def test_one_hot_of_arrays_and_of_traced_labels_agree(rng):
    labels = rng.integers(0, 5, size=(2, 3))
    expected = np.eye(5)[labels]
    np.testing.assert_array_equal(fn.one_hot(labels, 5), expected)
    graph = trace(lambda labels: fn.one_hot(labels, 5), labels)
    np.testing.assert_array_equal(evaluate(graph, [labels])[0], expected)


@pytest.mark.parametrize(
    "labels, error, said",
    [
        ([0, 3, 1], UserInputError, r"labels\[1\] is 3, outside the range 0 to 2"),
        ([[0], [-1]], UserInputError, r"labels\[1, 0\] is -1"),
        ([0.5], DtypeError, "with fractions or NaN"),
        ([np.nan], DtypeError, "with fractions or NaN"),
        (["a"], DtypeError, "whole numbers"),
    ],
)
def test_wrong_labels_are_named(labels, error, said):
    with pytest.raises(error, match=said):
        fn.one_hot(labels, 3)
