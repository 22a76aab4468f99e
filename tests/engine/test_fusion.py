"""Groups of instructions run block by block, and programs cut for several threads."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffkit as dk
from diffkit.engine import compile_graph, fusion, loop, threads
from diffkit.engine.kernels import BLOCKS, OPCODES
from diffkit.engine.kernels.fields import COUNT, MEMBERS, OPCODE, ROOM
from diffkit.graph import trace
from diffkit.interpret.numpy import evaluate
from tests.engine.make_graphs import random_graph, random_leaves

DTYPES = ["float64", "float32"]


def tiny(monkeypatch, block):
    """Groups and parts of a handful of elements."""
    monkeypatch.setattr(fusion, "BLOCK", block)
    monkeypatch.setattr(fusion, "LEAST", 4)
    monkeypatch.setattr(threads, "LEAST_PART", 0)
    monkeypatch.setattr(threads, "LEAST_PROGRAM", 0)


def without_groups(monkeypatch, graph, dtype):
    with monkeypatch.context() as alone:
        alone.setattr(fusion, "LEAST", 10**9)
        machine = compile_graph(graph, dtype)
    assert BLOCKS not in machine.program.table[:, OPCODE]
    return machine


def same_bits(got, expected):
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(np.signbit(mine), np.signbit(theirs))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", [1, 3, 8])
def test_groups_and_parts_give_what_whole_instructions_give(block, dtype, monkeypatch):
    grouped = divided = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, 77])
        graph = random_graph(rng, nodes=60)
        leaves = random_leaves(graph, rng)
        plain = without_groups(monkeypatch, graph, dtype)
        with monkeypatch.context() as small:
            tiny(small, block)
            machines = [compile_graph(graph, dtype, count) for count in (1, 2, 3)]
        for machine in machines:
            grouped += BLOCKS in machine.program.table[:, OPCODE]
            divided += len(machine.program.tables) > 1
            same_bits(machine(leaves), plain(leaves))
    assert grouped > 12
    assert divided > 12


def layer(x, w, b):
    y = np.tanh(x @ w + b)
    z = y * y - 0.5
    return z * np.exp(z), np.sum(z, axis=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layer_is_one_product_and_one_group(dtype, rng, monkeypatch):
    leaves = [rng.normal(size=s).astype(dtype) for s in [(300, 20), (20, 40), (40,)]]
    graph = trace(layer, *leaves)
    machine = compile_graph(graph, dtype)
    table = machine.program.table
    (head,) = table[table[:, OPCODE] == BLOCKS]
    assert head[MEMBERS] == len(table) - 2  # all but the product and the head
    assert table[-1, OPCODE] == OPCODES["sum"]
    # The sum's operand and all but two others are seen by the group alone.
    assert (table[:, ROOM] & 1).sum() == head[MEMBERS] - 2
    plain = without_groups(monkeypatch, graph, dtype)
    assert machine.workspace_bytes < plain.workspace_bytes
    same_bits(machine(leaves), plain(leaves))
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for mine, theirs in zip(machine(leaves), evaluate(graph, leaves), strict=True):
        np.testing.assert_allclose(mine, theirs, tolerance, tolerance)


def test_a_planted_shift_of_a_block_is_found(rng):
    """The same comparison, with members that begin one element late."""
    leaves = [rng.normal(size=s) for s in [(300, 20), (20, 40), (40,)]]
    graph = trace(layer, *leaves)
    right, wrong = compile_graph(graph), compile_graph(graph)
    table = wrong.program.table
    place = int(np.flatnonzero(table[:, OPCODE] == BLOCKS)[0])
    table[place + 1, 2] += 1
    with pytest.raises(AssertionError):
        same_bits(wrong(leaves), right(leaves))


def network(rng, layers, batch, dtype="float64"):
    shapes = [(batch, layers[0])]
    for a, b in pairwise(layers):
        shapes += [(a, b), (b,)]
    leaves = [rng.normal(size=s).astype(dtype) / 8 for s in shapes]

    def loss(x, *weights):
        for w, b in zip(weights[::2], weights[1::2], strict=True):
            x = np.tanh(x @ w + b)
        return np.mean(x * x)

    return loss, leaves


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(dtype, rng):
    loss, leaves = network(rng, [200, 260, 300, 10], 300, dtype)
    wrt = tuple(range(1, len(leaves)))
    results = []
    for count in (1, 2, 3, 4):
        backend = dk.get_backend("autodiff", threads=count)
        prepared = dk.prepare(loss, *leaves, argnums=wrt, backend=backend)
        tables = prepared.compiled.derived.run.program.tables
        assert len(tables) == count
        if count > 1:
            for table in tables:
                met = table[table[:, OPCODE] == OPCODES["barrier"]]
                assert set(met[:, COUNT]) == {count}
                assert len(met) == len(
                    tables[0][tables[0][:, OPCODE] == OPCODES["barrier"]]
                )
        value, grads = prepared(*leaves)
        results.append([value, *grads])
    for other in results[1:]:
        same_bits(other, results[0])


def test_small_programs_wake_no_thread(rng):
    loss, leaves = network(rng, [3, 5, 1], 4)
    machine = compile_graph(trace(loss, *leaves), threads=2)
    assert len(machine.program.tables) == 1


def test_calls_from_several_threads_share_the_pool(rng):
    loss, leaves = network(rng, [200, 260, 300, 10], 300)
    machine = compile_graph(trace(loss, *leaves), threads=3)
    assert len(machine.program.tables) == 3
    wanted = machine(leaves)
    got = []

    def work():
        got.extend(machine(leaves) for _ in range(5))

    callers = [Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(got) == 20
    for outputs in got:
        same_bits(outputs, wanted)


def test_replacements_of_one_element_run_on_one_thread(rng):
    loss, leaves = network(rng, [200, 260, 300, 10], 300)
    graph = trace(loss, *leaves)
    alone, shared = compile_graph(graph), compile_graph(graph, threads=2)
    places, values = [3, 8], [0.25, -1.0]
    same_bits(
        [shared.perturbed(leaves, 1, places, values)],
        [alone.perturbed(leaves, 1, places, values)],
    )


@given(
    st.integers(0, 500),
    st.integers(1, 9),
    st.integers(1, 64),
)
@settings(max_examples=200)
def test_ranges_cover_everything_once(count, parts, multiple):
    ranges = threads._ranges(count, parts, multiple)
    assert [i for start, end in ranges for i in range(start, end)] == [*range(count)]
    assert all(start % multiple == 0 for start, _ in ranges)


def test_the_head_of_a_group_is_no_kernel():
    assert BLOCKS not in OPCODES.values()
    assert loop.BLOCKS == BLOCKS
