"""Large inputs and outputs are used where the caller has them, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

import diffkit as dk
from diffkit.engine import compile_graph, fusion, program, threads
from diffkit.errors import NonFiniteError
from diffkit.graph import trace
from tests.engine.make_graphs import random_graph, random_leaves

DTYPES = ["float64", "float32"]


@pytest.fixture
def all_large(monkeypatch):
    monkeypatch.setattr(program, "LARGE_BYTES", 8)
    monkeypatch.setattr(fusion, "BLOCK", 3)
    monkeypatch.setattr(fusion, "LEAST", 4)
    monkeypatch.setattr(threads, "LEAST_PART", 0)
    monkeypatch.setattr(threads, "LEAST_PROGRAM", 0)


def same_bits(got, expected):
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def placed(leaves, dtype, rng):
    """The leaves as native calls take them, at addresses of every kind."""
    moved = []
    for leaf in leaves:
        skip = int(rng.integers(8))
        room = np.empty(skip + leaf.size, dtype)
        room[skip:] = leaf.ravel()
        moved.append(room[skip:].reshape(leaf.shape))
    return moved


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2])
def test_arrays_anywhere_give_what_copies_give(count, dtype, all_large):
    native, seeds = 0, 20 // count
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 5])
        graph = random_graph(rng, nodes=50)
        machine = compile_graph(graph, dtype, count)
        strided = random_leaves(graph, rng)
        for _ in range(3):
            leaves = placed(strided, dtype, rng)
            before = [leaf.copy() for leaf in leaves]
            got = machine(leaves)
            # Arrays of other layouts go through Python and the arena, in turn.
            through_python = [np.array(leaf, order="F") for leaf in before]
            through_python[0] = np.repeat(before[0], 2, axis=0)[::2]
            same_bits(machine(through_python), got)
            same_bits(leaves, before)
            native += machine._fitting(leaves) is not None
            del leaves
    assert native == 3 * seeds


def test_outputs_of_a_call_are_not_written_by_the_next(all_large, rng):
    graph = trace(lambda x: (np.exp(x), x.T @ x), rng.normal(size=(20, 30)))
    machine = compile_graph(graph)
    arrays = [rng.normal(size=(20, 30)) for _ in range(4)]
    results = [machine([x]) for x in arrays]
    for x, got in zip(arrays, results, strict=True):
        np.testing.assert_allclose(got[0], np.exp(x), rtol=1e-14)
        np.testing.assert_allclose(got[1], x.T @ x, rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_leaves_the_callers_arrays_alone(all_large):
    def loss(w, x):
        return np.sum(np.log(x @ w))

    w, x = np.full((6, 5), 0.5), np.ones((3, 6))
    prepared = dk.prepare(loss, w, x)
    gradient = np.full_like(w, 7.0)
    assert np.isfinite(prepared.into(gradient, w, x))
    np.testing.assert_allclose(gradient, prepared(w, x)[1])
    kept = gradient.copy()
    with pytest.raises(NonFiniteError):
        prepared.into(gradient, w, np.full_like(x, np.inf))
    np.testing.assert_array_equal(gradient, kept)


def test_a_field_that_is_forgotten_is_found(all_large, rng, monkeypatch):
    """Planted: one field of an instruction still says where the arena has the input."""
    x = rng.normal(size=(40, 30))
    graph = trace(lambda x: np.exp(x) + np.tanh(x) * x[::-1], x)
    right, wrong = compile_graph(graph)([x]), compile_graph(graph)
    workspace = wrong._borrow()
    workspace.leaves[0][...] = 0.0
    workspace._places[0, 2] -= 1
    wrong._free.append(workspace)
    with pytest.raises(AssertionError):
        same_bits(wrong([x]), right)
