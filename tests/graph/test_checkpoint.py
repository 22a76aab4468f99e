"""Checkpointing: the same numbers to the bit, and exactly the operations it says."""

from itertools import pairwise

import numpy as np
import optree
import pytest
from hypothesis import given, settings

import diffkit as dk
from diffkit.errors import UserInputError
from diffkit.graph import recomputed_operations, reverse, simplify, trace
from diffkit.graph.checkpoint import steps
from diffkit.interpret.numpy import evaluate
from tests.cases import mlp
from tests.programs import programs

INTERVALS = ("sqrt", 1, 2, 4, 7, 25)


def chain(layers: int):
    def f(x):
        for _ in range(layers):
            x = np.sin(x)
        return np.sum(x)

    return f


def prepared(f, args, checkpoint=None, runtime="engine"):
    backend = dk.get_backend("autodiff", checkpoint=checkpoint, runtime=runtime)
    return dk.prepare(f, *args, backend=backend)


def same_bits(first, second):
    return all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(
            optree.tree_leaves(first), optree.tree_leaves(second), strict=True
        )
    )


@pytest.mark.parametrize("runtime", ["engine", "numpy"])
@pytest.mark.parametrize("checkpoint", INTERVALS)
def test_the_gradient_of_a_network_is_the_same_to_the_bit(checkpoint, runtime):
    f, args = mlp([3, *[8] * 12, 2], batch=5)
    plain = prepared(f, args, runtime=runtime)(*args)
    assert same_bits(prepared(f, args, checkpoint, runtime)(*args), plain)


@settings(max_examples=40)
@given(programs())
def test_random_programs_give_the_same_bits_or_say_they_are_too_short(program):
    plain = reverse(program.graph, program.wrt)
    found = len(steps(program.graph, program.wrt, program.graph.outputs[0]))
    for interval in (1, 2, "sqrt"):
        every = int(np.ceil(np.sqrt(found))) if interval == "sqrt" else interval
        if every >= found:
            with pytest.raises(UserInputError, match="keeps nothing"):
                reverse(program.graph, program.wrt, checkpoint=interval)
            continue
        saving = reverse(program.graph, program.wrt, checkpoint=interval)
        for graph in (saving, simplify(saving)):
            first = dk_run(graph, program.leaves)
            assert same_bits(first, dk_run(plain, program.leaves))


def dk_run(graph, leaves):
    with np.errstate(all="ignore"):
        return evaluate(graph, leaves, np.dtype(np.float64))


def test_a_chain_runs_every_segment_but_the_last_again():
    # 12 sines of 5 numbers: steps are the sines (the sum is the output). With k = 4
    # kept are sines 4, 8 and 12, so that nothing is left after the last one kept.
    graph = trace(chain(12), np.ones(5))
    assert len(steps(graph, (0,), graph.outputs[0])) == 12
    for interval, again in ((4, 3 * 3), (5, 2 * 4), (11, 10), (1, 0)):
        saving = simplify(reverse(graph, checkpoint=interval))
        assert recomputed_operations(saving) == 5 * again
        more = saving.size().operations - simplify(reverse(graph)).size().operations
        assert more == 5 * again


@pytest.mark.parametrize("checkpoint", ["sqrt", 6, 12])
def test_recomputed_operations_of_a_network_are_counted_exactly(checkpoint):
    sizes, batch = [3, *[8] * 12, 2], 5
    f, args = mlp(sizes, batch)
    plain, saving = prepared(f, args).info, prepared(f, args, checkpoint).info
    again = saving.details["recomputed_operations"]
    assert 0 < again == saving.operations - plain.operations
    assert plain.details["recomputed_operations"] == 0
    # Three steps a layer: product, bias, tanh. k = 6 keeps every second tanh, and runs
    # the layer before it again in full, and of its own layer the two steps before it,
    # which no rule reads (tanh is pulled back from its own value).
    if checkpoint == 6:
        layers = list(pairwise(sizes[:-1]))[0::2]
        done = sum(batch * (n * (2 * m - 1) + n + n) for m, n in layers)
        assert again == done


def test_memory_of_a_deep_chain_grows_like_the_square_root():
    def workspace(layers, checkpoint):
        args = (np.ones(64),)
        info = prepared(chain(layers), args, checkpoint).info
        return info.details["workspace_bytes"] // (64 * 8)  # in values

    for layers in (100, 400, 1600):
        root = int(np.sqrt(layers))
        assert workspace(layers, None) >= layers
        assert workspace(layers, "sqrt") <= 2 * root + 3


def test_a_residual_network_is_cut_between_its_blocks():
    def f(w, x):
        for _ in range(8):
            x = x + np.tanh(x @ w)
        return np.sum(x)

    args = (np.eye(4) * 0.3, np.ones((6, 4)))
    graph = trace(f, *args)
    # Inside a block the skip runs past: what all later values depend on is the sum.
    found = steps(graph, (0,), graph.outputs[0])
    # (In the first block x itself runs past, which is an input and kept anyway.)
    assert {graph.nodes[i].op.name for i in found[2:]} == {"add"}
    plain, saving = prepared(f, args), prepared(f, args, 2)
    assert same_bits(plain(*args), saving(*args))
    assert (
        saving.info.details["workspace_bytes"] < (plain.info.details["workspace_bytes"])
    )


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "root"])
def test_an_interval_that_makes_no_sense_is_refused_when_it_is_given(wrong):
    with pytest.raises(UserInputError, match="checkpoint was"):
        dk.get_backend("autodiff", checkpoint=wrong)


def test_an_interval_longer_than_the_program_is_refused_with_its_length():
    with pytest.raises(UserInputError, match="has 3 values that everything later"):
        dk.prepare(
            chain(3),
            np.ones(2),
            backend=dk.get_backend("autodiff", checkpoint=3),
        )


def test_gradients_of_gradients_keep_what_is_computed_twice_apart():
    graph = reverse(trace(chain(9), np.ones(())), checkpoint=3)
    twice = simplify(reverse(graph, output=0))
    assert recomputed_operations(simplify(graph)) > 0
    assert twice.size().operations > 0
