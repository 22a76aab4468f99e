"""A profile: counts by hand and against the table, and that nothing is disturbed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

import diffkit as dk
from diffkit.engine import clocked, compile_graph
from diffkit.engine.clocked import ClockedMachine
from diffkit.engine.costs import FREE, cost_of
from diffkit.engine.kernels import KERNELS, OPCODES
from diffkit.engine.kernels.fields import OPCODE, WIDTH
from diffkit.errors import (
    BackendError,
    ClockError,
    PreparationMismatchError,
    UnknownNameError,
    UserInputError,
)
from diffkit.graph import trace
from diffkit.ops import TABLE
from tests.cases import mlp
from tests.engine.make_graphs import random_graph, random_leaves

ROWS = ["(between instructions)", "(around the program)"]


def prepared(f, args, **options):
    return dk.prepare(f, *args, backend=dk.get_backend("autodiff", **options))


@pytest.fixture(scope="module")
def network():
    f, args = mlp([3, 5, 2], batch=4)
    return prepared(f, args), args


@pytest.fixture(scope="module")
def profile(network):
    gradient, args = network
    return gradient.profile(*args, repeats=3)


def test_lines_are_instructions_in_the_words_of_the_function():
    def loss(params, x):
        hidden = np.tanh(x @ params["w"] + params["b"])
        return np.mean(hidden[:, 0] * 2.0)

    args = ({"w": np.ones((3, 5)), "b": np.ones(5)}, np.ones((4, 3)))
    profile = dk.prepare(loss, *args).profile(*args, repeats=1)
    nodes = profile.set_index("node")
    product = nodes.loc["matmul(x, params['w'])"]
    assert product["op"].startswith("product")
    assert product["shape"] == "4×3 @ 3×5"
    assert product["direction"] == "forward"
    assert product["flops"] == 4 * 5 * (2 * 3 - 1)
    assert product["bytes"] == 8 * (4 * 3 + 3 * 5 + 4 * 5)
    bias = nodes.loc["add(matmul, params['b'])"]
    assert (bias["op"], bias["shape"], bias["flops"]) == ("add", "4×5", 20)
    assert bias["bytes"] == 8 * (20 + 5 + 20)
    assert nodes.loc["tanh(add)"]["flops"] == 20 * TABLE["tanh"].flops
    back = profile[profile["direction"] == "backward"]
    assert "matmul(x.T, tanh_pullback)" in set(back["node"])
    assert list(profile["op"][-2:]) == ROWS


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", [[2, 8, 1], [10, 64, 32, 1], [5, *[7] * 20, 3]])
def test_flops_add_up_to_those_of_the_graph(sizes, dtype):
    """Counted from the rows of the table; the graph counts from its nodes."""
    f, args = mlp(sizes, batch=6)
    gradient = prepared(f, args, dtype=dtype)
    profile = gradient.profile(*args, repeats=1)
    assert profile["flops"].sum() == gradient.info.details["flops"]
    assert (profile["calls"] == 1).all()


def test_float32_moves_half_the_bytes(network, profile):
    f, args = mlp([3, 5, 2], batch=4)
    single = prepared(f, args, dtype="float32").profile(*args, repeats=1)
    assert 2 * single["bytes"].sum() == profile["bytes"].sum()


def test_forward_and_backward_products_are_two_to_one():
    sizes, batch = [4, 6, 6, 3], 5
    f, args = mlp(sizes, batch)
    profile = prepared(f, args).profile(*args, repeats=1)
    products = profile[profile["op"].str.startswith("product")]
    counts = products.groupby("direction")["calls"].sum()
    layers = len(sizes) - 1
    # For the weights of each layer, and for what came in but for the first.
    assert dict(counts) == {"forward": layers, "backward": 2 * layers - 1}
    forward = products[products["direction"] == "forward"]["flops"].sum()
    assert forward == sum(batch * n * (2 * m - 1) for m, n in pairwise(sizes))


def test_what_a_checkpoint_computes_again_says_so():
    def chain(x):
        for _ in range(12):
            x = np.sin(x)
        return np.sum(x)

    args = (np.ones(5),)
    gradient = prepared(chain, args, checkpoint=4)
    profile = gradient.profile(*args, repeats=1)
    again = profile[profile["direction"] == "again"]
    assert set(again["op"]) == {"sin"}
    operations = gradient.info.details["recomputed_operations"]
    assert again["flops"].sum() == operations * TABLE["sin"].flops > 0


def test_auxiliary_outputs_are_forward():
    def f(w):
        return np.sum(w * w), np.exp(w)

    w = np.ones(3)
    profile = dk.prepare(f, w, has_aux=True).profile(w, repeats=1)
    assert list(profile[profile["op"] == "exp"]["direction"]) == ["forward"]


def test_the_table_adds_up_to_a_call(profile):
    assert profile["seconds"].sum() == pytest.approx(profile.attrs["call_seconds"])
    assert profile["share"].sum() == pytest.approx(1.0)
    lines = profile[:-2]
    assert (lines["seconds"] >= 0).all()
    assert lines["seconds"].max() > 0
    run = lines["seconds"].sum() + profile["seconds"].iloc[-2]
    assert run == pytest.approx(profile.attrs["run_seconds"])
    timed = lines[lines["seconds"] > 0]
    np.testing.assert_allclose(
        timed["gflop_per_second"], timed["flops"] / timed["seconds"] / 1e9
    )
    np.testing.assert_allclose(
        timed["gbyte_per_second"], timed["bytes"] / timed["seconds"] / 1e9
    )
    assert profile.attrs["clock_seconds"] > 0


def test_by_op_adds_up_the_lines_of_a_kernel(network, profile):
    gradient, args = network
    by_op = gradient.profile(*args, repeats=1, by="op")
    counts = ["calls", "flops", "bytes"]
    expected = profile.groupby("op")[counts].sum()
    assert by_op.set_index("op")[counts].sort_index().equals(expected.sort_index())
    assert list(by_op["op"][-2:]) == ROWS
    assert by_op["seconds"][:-2].is_monotonic_decreasing
    assert "node" not in by_op


def test_later_calls_are_as_if_there_had_been_no_profile(network):
    gradient, args = network
    value, before = gradient(*args)
    copies = [np.array(leaf) for leaf in gradient.leaves(args)]
    gradient.profile(*args, repeats=2)
    again, after = gradient(*args)
    assert value == again
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first["w"], second["w"])
    for leaf, copy in zip(gradient.leaves(args), copies, strict=True):
        np.testing.assert_array_equal(leaf, copy)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(10))
def test_a_clocked_program_gives_the_same_bits(seed, dtype):
    """In place, stacked, gathered: readings between instructions change nothing."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, nodes=40)
    leaves = random_leaves(graph, rng)
    machine = compile_graph(graph, dtype)
    stops = [line + 1 for line in range(len(machine.program.table))]
    apart = ClockedMachine(machine, stops)
    seconds, empty = apart.run(leaves)
    assert seconds.shape == (len(stops),)
    assert (seconds >= 0).all()
    assert empty >= 0
    for mine, theirs in zip(apart.machine(leaves), machine(leaves), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_large_arguments_are_left_where_they_are():
    """What says where they lie is in the instructions: the clock's are not touched."""
    f, args = mlp([200, 200, 1], batch=100)
    gradient = prepared(f, args)
    for _ in range(2):  # other arrays: other places
        args = (
            [{k: v.copy() for k, v in layer.items()} for layer in args[0]],
            *args[1:],
        )
        profile = gradient.profile(*args, repeats=2)
        assert profile["seconds"][:-2].max() > 0
        assert profile.attrs["run_seconds"] > 0


def test_the_time_of_a_stretch_is_that_of_what_is_in_it():
    """A product of a thousand times the work takes longer than the ones beside it."""
    small, large = np.ones((2, 2)), np.full((160, 160), 0.01)
    graph = trace(lambda a, b: (a @ a, b @ b, a + a), small, large)
    machine = compile_graph(graph)
    apart = ClockedMachine(machine, [1, 2, 3])
    runs = np.array([apart.run([small, large])[0] for _ in range(5)])
    assert np.argmax(np.median(runs, axis=0)) == 1


@pytest.mark.parametrize("name", sorted(set(KERNELS) - FREE))
def test_every_kernel_has_a_cost(name):
    row = np.ones(WIDTH, np.int64)
    row[OPCODE] = OPCODES[name]
    assert cost_of(row, np.ones(8, np.int64), 8).bytes > 0


@pytest.mark.parametrize("name", sorted(FREE))
def test_what_only_asks_costs_nothing(name):
    row = np.ones(WIDTH, np.int64)
    row[OPCODE] = OPCODES[name]
    assert cost_of(row, np.ones(8, np.int64), 8) == type(
        cost_of(row, np.ones(8, np.int64), 8)
    )(0, 0, 0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_group_is_one_line_that_moves_only_what_leaves_it(dtype):
    """Bias and tanh block by block: the sum between them never leaves the cache."""
    batch, width, item = 128, 64, np.dtype(dtype).itemsize
    f, args = mlp([10, width, 1], batch)
    gradient = prepared(f, args, dtype=dtype)
    profile = gradient.profile(*args, repeats=1)
    nodes = profile.set_index("op")
    group = nodes.loc["add + tanh"]
    assert group["node"] == "add(matmul, params[0]['b']); tanh(add)"
    assert (group["direction"], group["shape"]) == ("forward", "128×64")
    elements = batch * width
    assert group["flops"] == elements * (1 + TABLE["tanh"].flops)
    assert group["bytes"] == item * (elements + width + elements)
    # And back: the bias's gradient is summed on the way.
    back = nodes.loc["tanh_pullback + sum"]
    assert back["flops"] == 3 * elements + (batch - 1) * width
    assert back["bytes"] == item * (2 * elements + elements + width)
    assert profile["flops"].sum() == gradient.info.details["flops"]
    machine = gradient.compiled.run
    leaves = gradient.leaves(args)
    apart = ClockedMachine(machine, [len(machine.program.table)])
    for mine, theirs in zip(apart.machine(leaves), machine(leaves), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_profile_of_several_threads_is_that_of_one():
    f, args = mlp([64, 256, 1], batch=256)
    one, two = (prepared(f, args, threads=n) for n in (1, 2))
    assert len(two.compiled.run.program.tables) == 2
    counts = ["op", "node", "calls", "flops", "bytes"]
    lines = [g.profile(*args, repeats=1)[counts] for g in (one, two)]
    sums = [line.groupby("node")["flops"].sum() for line in lines]
    assert sums[0].sum() == sums[1].sum() == one.info.details["flops"]


def test_costs_of_what_moves_elements():
    x, w = np.ones((3, 4)), np.ones(4)
    picked = np.array([0, 2, 2, 1])

    def f(x, w):
        return np.sum(x[picked] * w) + np.sum(np.stack([w, w]))

    profile = dk.prepare(f, x, w).profile(x, w, repeats=1)
    by_op = profile.set_index("op")
    gather = by_op.loc["gather"]
    assert (gather["flops"], gather["shape"]) == (0, "4×4")
    # Twelve distinct elements read, sixteen written, sixteen places looked up.
    assert gather["bytes"] == 8 * (12 + 16 + 16)
    scatter = by_op.loc["scatter"]
    assert scatter["flops"] == 16
    assert scatter["bytes"] == 8 * (16 + 2 * 12 + 16)


def test_instructions_that_only_fetch_ahead_are_named():
    f, args = mlp([32, *[32] * 60, 1], batch=32)
    profile = prepared(f, args).profile(*args, repeats=1)
    fetches = profile[profile["op"] == "prefetch"]
    assert len(fetches) > 0
    assert (fetches["node"] == "").all()
    assert fetches["bytes"].sum() == fetches["flops"].sum() == 0


def test_a_symbolic_gradient_on_the_engine_is_a_program_too():
    f, args = mlp([2, 3, 1], batch=4)
    symbolic = dk.get_backend("symbolic", form="shared", runtime="engine")
    profile = dk.prepare(f, *args, backend=symbolic).profile(*args, repeats=1)
    assert profile["flops"].sum() > 0


@pytest.mark.parametrize(
    "backend",
    [
        dk.get_backend("finite_differences"),
        dk.get_backend("forward"),
        dk.get_backend("autodiff", runtime="numpy"),
        dk.get_backend("null"),
    ],
)
def test_other_backends_are_refused_with_those_that_can(backend):
    w = np.ones(3)
    gradient = dk.prepare(lambda w: np.sum(w * w), w, backend=backend)
    with pytest.raises(BackendError, match="'autodiff', or by 'symbolic'"):
        gradient.profile(w)


@pytest.mark.parametrize("repeats", [0, -1, True, 1.5, "two"])
def test_a_number_of_repeats_that_makes_no_sense(network, repeats):
    gradient, args = network
    with pytest.raises(UserInputError, match="repeats was"):
        gradient.profile(*args, repeats=repeats)


def test_another_way_to_group_is_refused(network):
    gradient, args = network
    with pytest.raises(UnknownNameError, match="instruction, op"):
        gradient.profile(*args, by="ops")


def test_other_arguments_are_a_mismatch(network):
    gradient, args = network
    with pytest.raises(PreparationMismatchError):
        gradient.profile(*args[:-1], args[-1][:1])


def test_a_system_without_a_clock_says_so(network, monkeypatch):
    gradient, args = network

    def without(_):
        raise OSError("no library")

    monkeypatch.setattr(clocked.ctypes, "CDLL", without)
    with pytest.raises(ClockError, match="Time whole calls"):
        gradient.profile(*args)
    assert clocked.ctypes is ctypes


def test_a_gradient_does_not_load_pandas():
    program = (
        "import sys, numpy as np, diffkit as dk; w = np.ones(3);"
        "dk.prepare(lambda w: np.sum(w), w)(w); print('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
