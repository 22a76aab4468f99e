"""How sharply programs bend, by their products."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from diffkit.functions import sigmoid
from diffkit.graph import bends, trace

X, W = np.linspace(0.5, 1.5, 3), np.ones((3, 3))


@pytest.mark.parametrize(
    "f, b",
    [
        (lambda x: np.sum(3.0 * x - 1.0), 1.0),
        (lambda x: 2.0, 1.0),
        (lambda x: np.sum(x * x), 2.0),
        (lambda x: np.sum(x**2), 2.0),
        (lambda x: np.sum(x**5), 5.0),
        (lambda x: np.sum(x**-3.0), 3.0),
        (lambda x: np.sum(x**0.5), 1.0),
        (lambda x: np.sum((x * x) ** 2), 4.0),
        (lambda x: np.sum(x * np.sin(x)), sqrt(2)),
        (lambda x: np.sum(x / (1.0 + x * x)), sqrt(5)),
        (lambda x: np.sum(np.tanh(np.tanh(x) @ W) @ W), 1.0),
        (lambda x: np.sum((np.outer(x, x) @ W) ** 2), 2 * sqrt(2)),
        (lambda x: np.max(x) + np.sum(sigmoid(x) ** 5), 5.0),
    ],
)
def test_bends_of_small_programs(f, b):
    assert bends(trace(f, X), 0) == pytest.approx(b)


def test_each_input_has_its_own():
    graph = trace(lambda a, b: np.sum(a * a * b), X, X)
    assert bends(graph, 0) == 2.0
    assert bends(graph, 1) == 1.0


def test_thousands_of_squares_are_no_recursion():
    def f(x):
        for _ in range(3000):
            x = x * x
        return x

    assert bends(trace(f, 1.0), 0) == float("inf")
