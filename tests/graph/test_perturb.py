"""Many moves as one program: the same values as moving one entry after another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffkit as dk
from diffkit.functions import logsumexp, relu, sigmoid
from diffkit.graph import Builder, Graph, perturb, reverse, simplify, trace
from diffkit.graph.moved import Kept, Mask, Points
from diffkit.interpret.numpy import evaluate
from tests.cases import CASES, mlp
from tests.programs import programs

WAYS = [(False, False), (True, False), (True, True)]


def by_hand(graph, leaves, leaf, places, values):
    """The first output, one whole evaluation for each move."""
    found = []
    for place, value in zip(places, values, strict=True):
        moved = [np.array(x, np.float64) for x in leaves]
        moved[leaf].flat[place] = value
        found.append(evaluate(graph, moved)[0])
    return np.array(found)


def at_once(graph, leaves, leaf, places, values, keep, tied):
    """The same by the program of the moves, its feeds read in the plainest way."""
    count = len(places)
    program = perturb(graph, leaf, count, keep=keep, tied=tied)
    every = Graph(graph.nodes, graph.inputs, tuple(range(len(graph.nodes))))
    before = evaluate(every, leaves)
    if program.graph is None:
        return np.repeat(before[graph.outputs[0]][None], count, axis=0)
    shape = np.shape(leaves[leaf])
    where = np.unravel_index(places, shape) if shape else ()
    fed = []
    for feed, node in zip(program.feeds, program.graph.inputs, strict=True):
        shape = program.graph.nodes[node].shape
        parts = np.empty(shape)
        for e in range(count):
            match feed:
                case Points(whole=False):
                    parts[e] = values[e]
                case Points():
                    parts[e] = leaves[leaf]
                    parts.reshape(count, -1)[e, places[e]] = values[e]
                case Kept(i, ties) if any(t is not None for t in ties):
                    key = [
                        slice(None)
                        if t is None
                        else slice(where[t][e], where[t][e] + 1)
                        for t in ties
                    ]
                    parts[e] = before[i][tuple(key)]
                case Kept(i, _):
                    parts = before[i]
                case Mask(axis):
                    parts[e] = np.arange(shape[1]) == where[axis][e]
        fed.append(parts)
    return evaluate(program.graph, fed)[0]


def check(graph, leaves, rng, moves=5):
    for leaf, x in enumerate(leaves):
        if not np.size(x) or graph.nodes[graph.inputs[leaf]].kind == "boolean":
            continue
        places = rng.integers(0, np.size(x), moves)
        values = np.ravel(x)[places] + rng.normal(size=moves)
        wanted = by_hand(graph, leaves, leaf, places, values)
        for keep, tied in WAYS:
            found = at_once(graph, leaves, leaf, places, values, keep, tied)
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(programs(), st.integers(0, 2**32 - 1))
def test_random_programs(program, seed):
    check(simplify(program.graph), program.leaves, np.random.default_rng(seed))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_list_of_programs(case, rng):
    prepared = dk.prepare(case.f, *case.args, backend="null")
    leaves = [np.asarray(x, float) for x in prepared.leaves(case.args)]
    check(simplify(prepared.program.graph), leaves, rng)


def separated(x):
    return np.sum(x[np.array([0, 1]), :, np.array([2, 0])] ** 2, axis=1)


A, B, C = np.ones((4, 3)), np.ones((3, 2)), np.ones((2, 4, 3))
BODIES = {
    "both factors": (lambda a, b: np.tanh(a @ b) @ b.T @ a.T, (A, B)),
    "gram": (lambda a, b: np.sum(a.T @ a, axis=0), (A, B)),
    "stacks": (lambda c, b: np.sin(c @ b), (C, B)),
    "stack of one": (lambda c, b: c[:1] @ b + c @ b, (C, B)),
    "left stack": (lambda c, a: np.swapaxes(c, 1, 2) @ a, (C, A)),
    "stacked both": (lambda c, d: np.matmul(c, np.swapaxes(d, 1, 2)), (C, C + 1)),
    "outer": (lambda x, y: x[:, None] * y[None, :] + x[:, None], (A[:, 0], B[0])),
    "turned sum": (lambda a, b: (a @ a.T + (a @ a.T).T)[1:, ::2] * a[0, 0], (A, B)),
    "rows": (lambda a, b: np.max(a, axis=1) - np.prod(a, axis=0)[0], (A, B)),
    "means": (lambda a, b: np.mean(a, axis=0, keepdims=True) * b.T, (A, B)),
    "log of sums": (lambda a, b: logsumexp(a @ b, axis=0) + np.cumsum(b, 0)[1], (A, B)),
    "running": (lambda a, b: np.cumsum(np.cumsum(a, 0), 1), (A, B)),
    "reshaped": (lambda a, b: a.reshape(2, 2, 3) @ b.reshape(1, 3, 2), (A, B)),
    "flattened": (lambda a, b: np.reshape(a, -1)[3:] * 2.0, (A, B)),
    "split axis": (
        lambda c, b: np.sum(c.reshape(2, 2, 2, 3) ** 2, axis=(1, 3)),
        (C, B),
    ),
    "lists": (lambda c, a: separated(c) * a[0, 0], (C, A)),
    "lists beside": (lambda c, a: c[:, np.array([0, 3, 3])] * a[:3], (C, A)),
    "list and number": (lambda c, a: c[1, :, np.array([0, 2])] + a[:2, :1], (C, A)),
    "new axes": (lambda a, b: a[:, None, 1:] * a[None, :, :2], (A, B)),
    "joined": (lambda a, b: np.concatenate([a, b.T, a * a], axis=0), (A, B)),
    "joined aside": (
        lambda a, b: np.concatenate([b, np.ones((3, 1)), b], axis=1),
        (A, B),
    ),
    "stacked": (
        lambda a, b: np.stack([a[:3], b @ a[:2], np.ones((3, 3))], axis=1),
        (A, B),
    ),
    "choices": (lambda a, b: np.where((a > 0.5) == (a.T[:, :1].T > 0), a, 1.0), (A, B)),
    "truth": (
        lambda a, b: np.logical_and(a > 1.0, a[:, :1] > a[0])[:, 0] * 1.0,
        (A, B),
    ),
    "sigmoid net": (lambda a, b: sigmoid(relu(a @ b) @ b.T), (A, B)),
    "einsum": (lambda c, a: np.einsum("bij,kj->bik", c, a), (C, A)),
    "unused": (lambda a, b: np.sum(b, axis=0), (A, B)),
    "vector dot": (lambda x, y: np.dot(x, y) * x, (A[:, 0], A[:, 1])),
    "gathered": (lambda x, y: y[np.array([0, 0, 3])] @ x[:3] * x, (A[:, 0], A[:, 1])),
}


@pytest.mark.parametrize("name", BODIES)
def test_every_operation_in_every_shape(name, rng):
    f, shapes = BODIES[name]
    leaves = [rng.normal(size=x.shape) for x in shapes]
    check(simplify(trace(f, *leaves)), leaves, rng)


def test_gradients_of_lists_scatter(rng):
    """Reverse programs hold scatters, with every kind of key."""
    for name in ("lists", "lists beside", "list and number", "flattened"):
        f, shapes = BODIES[name]
        leaves = [rng.normal(size=x.shape) for x in shapes]
        graph = trace(lambda *x, f=f: np.sum(f(*x) ** 3), *leaves)
        slopes = reverse(graph, (0,))
        flat = Builder(slopes).graph([slopes.outputs[1]])
        check(simplify(flat), leaves, rng)


def test_a_weight_costs_its_column():
    """Not the products again: the figure that makes it worth while."""
    f, args = mlp([10, 64, 32, 1], batch=32)
    prepared = dk.prepare(f, *args, backend="null")
    graph = simplify(prepared.program.graph)
    names = graph.input_names
    whole = graph.size().operations
    cost = {
        name: perturb(graph, p, 64).operations / 64 / whole
        for p, name in enumerate(names)
        if name.startswith("params")
    }
    assert cost["params[1]['w']"] < 0.002
    assert cost["params[0]['w']"] < 0.05
    down = perturb(graph, names.index("params[1]['w']"), 1, tied=False).operations
    assert 0.7 < down / whole < 0.8
    assert perturb(graph, 0, 64, keep=False, tied=False).operations <= 64 * whole
