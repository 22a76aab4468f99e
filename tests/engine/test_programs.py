"""Whole programs: random graphs against the definition, and what a machine promises."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from diffkit.engine import compile_graph, prefetch
from diffkit.engine.cache import native
from diffkit.engine.kernels import OPCODES
from diffkit.engine.kernels.fields import COUNT, OPCODE, A
from diffkit.errors import DtypeError, ShapeError
from diffkit.graph import Builder, reverse, simplify, trace
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from diffkit.ops.shape import Span
from tests.engine.make_graphs import one_row, random_graph, random_leaves

DTYPES = ["float64", "float32"]


def dense_network(sizes, batch, rng, activation=np.tanh):
    """(gradient graph, leaves) of a mean squared error by all weights and biases."""
    leaves = []
    for m, n in pairwise(sizes):
        leaves += [rng.normal(size=(m, n)) / np.sqrt(m), 0.1 * rng.normal(size=n)]
    leaves += [rng.normal(size=(batch, sizes[0])), rng.normal(size=(batch, sizes[-1]))]

    def loss(*args):
        *params, x, y = args
        for w, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            x = activation(x @ w + b)
        return np.mean((x @ params[-2] + params[-1] - y) ** 2)

    graph = trace(loss, *leaves)
    return simplify(reverse(graph, tuple(range(len(leaves) - 2)))), leaves


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(60))
def test_random_programs_match_the_definition(seed, dtype):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, nodes=40)
    leaves = random_leaves(graph, rng)
    machine = compile_graph(graph, dtype)
    got = machine(leaves)
    with np.errstate(all="ignore"):
        expected = evaluate(graph, leaves, dtype=np.float64)
    tolerance = 1e-9 if dtype == "float64" else 2e-2
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
        assert mine.dtype == np.dtype(dtype)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_read_that_was_not_written_in_this_run(seed):
    """NaN in every place but the constants', before a run, changes nothing."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, nodes=60)
    leaves = random_leaves(graph, rng)
    machine = compile_graph(graph)
    before = machine(leaves)
    (workspace,) = machine._free
    constants = np.zeros(workspace.arena.size, bool)
    for start, values in machine.program.constants:
        constants[start : start + values.size] = True
    workspace.arena[~constants] = np.nan
    for first, second in zip(before, machine(leaves), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("seed", range(20))
def test_inputs_are_pinned_and_never_modified(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, nodes=60)
    leaves = random_leaves(graph, rng)
    copies = [leaf.copy() for leaf in leaves]
    machine = compile_graph(graph)
    machine(leaves)
    (workspace,) = machine._free
    for leaf, copy, held in zip(leaves, copies, workspace.leaves, strict=True):
        np.testing.assert_array_equal(leaf, copy)
        np.testing.assert_array_equal(held, copy)


def test_outputs_are_fresh(rng):
    graph = one_row("add", [(3,), (3,)])
    machine = compile_graph(graph)
    (first,) = machine([np.ones(3), np.ones(3)])
    (second,) = machine([np.zeros(3), np.ones(3)])
    np.testing.assert_array_equal(first, 2.0)
    first[:] = 7.0
    np.testing.assert_array_equal(second, 1.0)
    np.testing.assert_array_equal(machine([np.ones(3), np.ones(3)])[0], 2.0)


def test_outputs_that_are_inputs_constants_views_or_repeated(rng):
    builder = Builder()
    x = builder.input((2, 3))
    c = builder.constant(np.arange(3.0))
    turned = builder.apply(TABLE["transpose"], [x], axes=(1, 0))
    y = builder.apply(TABLE["exp"], [x])
    repeated = builder.apply(TABLE["broadcast"], [c], shape=(2, 3))
    graph = builder.graph([x, c, turned, y, y, repeated])
    leaf = rng.normal(size=(2, 3))
    got = compile_graph(graph)([leaf])
    for mine, theirs in zip(got, evaluate(graph, [leaf]), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-15)
    assert not any(np.shares_memory(a, b) for a in got for b in got if a is not b)


def test_leaves_of_each_set_of_dtypes_have_a_native_call(rng):
    x, w = rng.integers(0, 9, (4, 3)), rng.normal(size=3)
    machine = compile_graph(trace(lambda x, w: (x @ w, x > 4), x, w))
    expected = machine([x.tolist(), w])
    assert machine._latest is None  # a list went through Python
    for kind in (np.int64, np.float64, np.float32, np.int32, np.int64):
        for mine, theirs in zip(machine([x.astype(kind), w]), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
        assert machine._latest is machine._transfers[np.dtype(kind), w.dtype]
    assert len(machine._transfers) == 4
    machine([x.astype(np.int8), w])
    assert machine._transfers[np.dtype(np.int8), w.dtype] is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_perturbed_is_the_plain_loop(dtype, rng):
    graph, leaves = dense_network([3, 4, 2], 5, rng)
    machine = compile_graph(graph, dtype)
    positions = np.array([0, 11, 5, 0])
    values = rng.normal(size=4)
    got = machine.perturbed(leaves, 0, positions, values)
    for position, value, result in zip(positions, values, got, strict=True):
        changed = leaves[0].copy()
        changed.ravel()[position] = value
        assert machine([changed, *leaves[1:]])[0] == result
    # The original element was put back each time.
    assert machine.perturbed(leaves, 0, [3], leaves[0].ravel()[[3]])[0] == float(
        machine(leaves)[0]
    )
    assert machine.perturbed(leaves, 0, [], []).shape == (0,)


@pytest.mark.parametrize("dtype", DTYPES)
def test_perturbed_reads_outputs_of_any_shape(dtype, rng):
    x = rng.normal(size=(2, 3))
    machine = compile_graph(trace(lambda x: (np.sum(x), np.sin(x).T, x[:0]), x), dtype)
    positions, values = [5, 0, 3], [0.25, -1.0, 2.0]
    got = machine.perturbed([x], 0, positions, values, outputs=1)
    assert got.shape == (3, 3, 2)
    for position, value, result in zip(positions, values, got, strict=True):
        changed = x.copy()
        changed.ravel()[position] = value
        np.testing.assert_array_equal(machine([changed])[1], result)
    assert machine.perturbed([x], 0, positions, values, outputs=2).shape == (3, 0, 3)


def test_perturbed_refuses_what_makes_no_sense(rng):
    graph, leaves = dense_network([3, 4, 2], 5, rng)
    machine = compile_graph(graph)
    with pytest.raises(ShapeError, match="has 12 elements"):
        machine.perturbed(leaves, 0, [12], [0.0])
    with pytest.raises(ShapeError, match="has 12 elements"):
        machine.perturbed(leaves, 0, [-1], [0.0])
    with pytest.raises(ShapeError, match="2 positions and 1 values"):
        machine.perturbed(leaves, 0, [0, 1], [0.0])


def test_wrong_leaves_are_refused_by_name():
    graph = one_row("add", [(3,), (3,)])
    machine = compile_graph(graph)
    with pytest.raises(ShapeError, match=r"argument 1 was prepared with shape \(3,\)"):
        machine([np.zeros(3), np.zeros(1)])
    with pytest.raises(ShapeError, match="takes 2 inputs"):
        machine([np.zeros(3)])
    with pytest.raises(DtypeError, match="float64 or float32"):
        compile_graph(graph, "complex128")


@pytest.mark.parametrize("kind", [int, bool, np.float32, float, list])
def test_leaves_of_any_type_are_cast(kind):
    graph = one_row("exp2", [()]) if kind is float else one_row("exp2", [(2,)])
    leaf = {
        int: np.array([2, 3]),
        bool: np.array([True, False]),
        np.float32: np.array([0.5, 2], np.float32),
        float: 3.0,
        list: [1.0, 2.0],
    }[kind]
    (got,) = compile_graph(graph)([leaf])
    np.testing.assert_allclose(got, np.exp2(np.asarray(leaf, float)), rtol=1e-15)


def test_concurrent_calls_of_one_machine_are_right(rng):
    graph, leaves = dense_network([10, 32, 32, 1], 32, rng)
    machine = compile_graph(graph)
    variants = [[leaves[0] * k, *leaves[1:]] for k in range(8)]
    expected = [machine(variant) for variant in variants]

    def many(k):
        return [machine(variants[k]) for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        for k, runs in enumerate(pool.map(many, range(8))):
            for outputs in runs:
                for mine, theirs in zip(outputs, expected[k], strict=True):
                    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_compiled_for_a_network(dtype, rng):
    function: Any = native(np.dtype(dtype))
    for width in range(1, 20):
        graph, leaves = dense_network([2, width, width + 1, 1], 3, rng)
        compile_graph(graph, dtype)(leaves)
    assert len(function.signatures) == 1
    assert native(np.dtype(dtype)) is function


def test_tanh_pullback_is_one_instruction_and_right(rng):
    graph, leaves = dense_network([3, 5, 5, 1], 7, rng)
    machine = compile_graph(graph)
    plain = sum(node.op.name == "tanh" for node in graph.nodes)
    count = sum(node.op.name == "subtract" for node in graph.nodes)
    assert plain == 2
    assert count == 3  # two pullbacks and the loss
    assert len(machine.program.table) < len(graph.nodes)
    for mine, theirs in zip(machine(leaves), evaluate(graph, leaves), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


def test_a_deep_network_runs_without_recursion_in_little_memory(rng):
    graph, leaves = dense_network([4] + [6] * 1000 + [1], 3, rng)
    machine = compile_graph(graph)
    for mine, theirs in zip(machine(leaves), evaluate(graph, leaves), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-12)


def test_prefetching_changes_nothing(rng, monkeypatch):
    graph, leaves = dense_network([8] + [40] * 12 + [1], 16, rng)
    plain = compile_graph(graph)
    monkeypatch.setattr(prefetch, "COLD_BYTES", 20_000)
    ahead = compile_graph(graph)
    count = len(ahead.program.table) - len(plain.program.table)
    fetches = ahead.program.table[:, OPCODE] == OPCODES["prefetch"]
    assert count == fetches.sum() > 10
    kept = ahead.program.table[~fetches]
    np.testing.assert_array_equal(kept, plain.program.table)
    stops = ahead.program.table[fetches][:, A] + ahead.program.table[fetches][:, COUNT]
    assert stops.max() <= ahead.program.plan.elements
    for mine, theirs in zip(ahead(leaves), plain(leaves), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_long_chain_needs_two_buffers():
    """In-place reuse: 100,000 elementwise steps over 10 elements."""
    builder = Builder()
    x = place = builder.input((10,))
    for k in range(100_000):
        place = builder.apply(TABLE[("tanh", "exp")[k % 2]], [place])
    graph = builder.graph([builder.apply(TABLE["add"], [place, x])])
    machine = compile_graph(graph)
    assert machine.arena_bytes <= 8 * (16 + 16 + 16 + 10)
    (got,) = machine([np.zeros(10)])
    expected = np.zeros(10)
    for _ in range(200):  # tanh then exp converges
        expected = np.exp(np.tanh(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_view_of_a_dying_buffer_is_not_overwritten(rng):
    """x·xᵀ reads the same buffer in two orders: the result may not lie on it."""
    x = rng.normal(size=(5, 5))
    builder = Builder()
    a = builder.apply(TABLE["exp"], [builder.input((5, 5))])
    turned = builder.apply(TABLE["transpose"], [a], axes=(1, 0))
    first = builder.apply(
        TABLE["broadcast"],
        [builder.apply(TABLE["index"], [a], key=(0, Span(0, 1, 5)))],
        shape=(5, 5),
    )
    graph = builder.graph(
        [
            builder.apply(TABLE["multiply"], [a, turned]),
        ]
    )
    (got,) = compile_graph(graph)([x])
    np.testing.assert_allclose(got, np.exp(x) * np.exp(x).T, rtol=1e-14)
    graph = builder.graph([builder.apply(TABLE["subtract"], [a, first])])
    (got,) = compile_graph(graph)([x])
    np.testing.assert_allclose(got, np.exp(x) - np.exp(x)[0], rtol=1e-13, atol=1e-14)


def kernels_of(machine):
    names = list(OPCODES)
    return Counter(names[opcode] for opcode in machine.program.table[:, OPCODE])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", list(product(["", "r", "c", "rc"], repeat=3)))
def test_a_product_and_a_sum_are_one_instruction_rounded_twice(shapes, dtype, rng):
    """Bit for bit what a product and a sum give, however the operands repeat."""
    sizes = {"": (), "r": (3, 1), "c": (1, 17), "rc": (3, 17)}
    x, y, z = (rng.normal(size=sizes[name]).astype(dtype) for name in shapes)
    graph = trace(lambda x, y, z: np.add(x * y, z), x, y, z)
    machine = compile_graph(graph, dtype)
    if np.broadcast_shapes(x.shape, y.shape) == graph.nodes[-1].shape:
        assert kernels_of(machine) - Counter(copy=1) == {"multiply_add": 1}
    np.testing.assert_array_equal(machine([x, y, z])[0], x * y + z)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (5,), (20_000,), (3, 7), (0, 3)])
def test_a_sum_of_products_is_one_instruction(shape, dtype, rng):
    x, y = rng.normal(size=(2, *shape)).astype(dtype)
    machine = compile_graph(trace(lambda x, y: np.sum(x * y), x, y), dtype)
    assert kernels_of(machine) == ({"sum": 1} if 0 in shape else {"inner_product": 1})
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(machine([x, y])[0], np.sum(x * y), tolerance, tolerance)


def test_a_sum_of_products_along_other_loops(rng):
    x, y, z = rng.normal(size=(4, 6)), rng.normal(size=(6, 4)), rng.normal(size=6)
    f = lambda x, y, z: (np.sum(x * y.T), np.sum(x * z), np.sum(x[:, ::2] * 3.0))  # noqa: E731
    graph = trace(f, x, y, z)
    for mine, theirs in zip(compile_graph(graph)([x, y, z]), f(x, y, z), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_a_product_that_serves_others_is_kept(rng):
    x, y = rng.normal(size=(2, 9))
    f = lambda x, y: (x * y + 1.0, np.sum(x * y), x * y)  # noqa: E731
    machine = compile_graph(simplify(trace(f, x, y)))
    assert kernels_of(machine)["multiply"] == 1
    for mine, theirs in zip(machine([x, y]), f(x, y), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)


def test_small_parts_of_a_stack_are_computed_in_place(rng):
    x = rng.normal(size=(2, 5))

    def f(x):
        parts = np.stack([np.exp(x[0]), np.tanh(x[1]), np.exp(x[0]) + 1.0, x[0]])
        return np.concatenate([parts, np.stack([np.sin(x[1])])]), parts * parts[1]

    machine = compile_graph(simplify(trace(f, x)))
    # x[0], an input, is copied; `parts`, of use twice, is a part of the first output.
    assert kernels_of(machine)["copy"] == 1
    for mine, theirs in zip(machine([x]), f(x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)


def test_a_result_does_not_lie_on_a_stack_of_which_it_reads_a_part(rng):
    """Row 0 is read for every row of the product, and would be overwritten by it."""
    x = rng.normal(size=(2, 5))

    def f(x):
        row = np.exp(x[0])
        return np.tanh(np.stack([row, np.exp(x[1])]) * row) + 1.0

    graph = simplify(trace(f, x))
    np.testing.assert_allclose(compile_graph(graph)([x])[0], f(x), rtol=1e-14)


def test_a_part_that_is_an_output_too_is_given_whole(rng):
    x = rng.normal(size=3)
    f = lambda x: (np.exp(x), np.stack([np.exp(x), np.sin(x)]), np.exp(x))  # noqa: E731
    for mine, theirs in zip(compile_graph(trace(f, x))([x]), f(x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)


def test_a_slice_read_often_is_copied_once(rng):
    x, w = rng.normal(size=(8, 3)), rng.normal(size=4)
    f = lambda x, w: [np.tanh(x[:, 1]) * w[k] + x[:, 1] for k in range(4)]  # noqa: E731
    machine = compile_graph(trace(lambda x, w: tuple(f(x, w)), x, w))
    assert kernels_of(machine)["copy"] == 1
    for mine, theirs in zip(machine([x, w]), f(x, w), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14, atol=1e-14)
