"""Counts are exact: checked against formulas and a naive walk over every scalar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from diffkit.graph import reverse, trace
from tests.cases import CASES, mlp
from tests.programs import programs
from tests.scalar_trees import tree_operations


def test_repeated_squaring_doubles_the_tree_and_not_the_graph():
    def f(x):
        for _ in range(200):
            x = x * x
        return x

    size = trace(f, 1.0).size()
    assert size.shared_operations == 200
    assert size.tree_operations == 2**200 - 1


def test_dense_layer_by_hand():
    w, x = np.ones((3, 5)), np.ones((4, 3))
    size = trace(lambda w, x: np.sum(np.tanh(x @ w)), w, x).size()
    products, additions, tanhs = 4 * 5 * 3, 4 * 5 * 2, 4 * 5
    assert size.operations == products + additions + tanhs + (20 - 1)
    assert size.tree_operations == size.operations  # nothing is used twice


@pytest.mark.parametrize("width, depth", [(1, 4), (2, 5), (4, 3)])
def test_tree_of_a_network_follows_its_recurrence(width, depth):
    f, args = mlp([width] * (depth + 1) + [1], batch=1)
    tree = trace(f, *args).size().tree_operations
    unit = 0
    for _ in range(depth):
        unit = width * (unit + 1) + (width - 1) + 2  # products, sums, bias, tanh
    output = width * (unit + 1) + (width - 1) + 1
    # minus target, squared, and a mean of one: one division
    assert tree == output + 1 + 1 + 1


def test_sizes_stay_exact_at_depth_a_thousand():
    f, args = mlp([64] * 1001 + [1], batch=2)
    size = reverse(trace(f, *args), range(2)).size()
    assert size.tree_operations > 10**1800
    assert size.shared_operations < 10**8


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tree_equals_a_naive_walk(case):
    graph = trace(case.f, *case.args)
    assert graph.size().tree_operations == tree_operations(graph)


@given(programs())
def test_tree_equals_a_naive_walk_on_random_programs(program):
    assert program.graph.size().tree_operations == tree_operations(program.graph)
    gradient = reverse(program.graph, program.wrt)
    assert gradient.size().tree_operations == tree_operations(gradient)
