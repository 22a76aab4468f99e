"""A gradient in each form of a call: what checks and copies add to the native run."""

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import measure
from diffkit.engine import compile_graph
from diffkit.graph import reverse, simplify
from diffkit.report import numbers
from tests.benchmarks.conftest import NETWORKS, network
from tests.benchmarks.test_peers import PEERS, ordered

FORMS = ("nested", "flat", "flat, out", "into")
#: Many small arrays: where taking apart and putting together is most of a call.
NESTED = {**NETWORKS, "nine layers @4": ((2, *(8,) * 8, 1), 4)}


def forms(prepared, arguments):
    """By form: a call, and the gradient that it gives as one vector."""
    params, *data = arguments
    theta = prepared.pack(params)
    out = np.empty_like(theta)
    vector = np.empty_like(theta)
    grads = prepared.unpack(vector)
    return {
        "nested": (
            lambda: prepared(*arguments),
            lambda: prepared.pack(prepared(*arguments)[1]),
        ),
        "flat": (
            lambda: prepared.flat(theta, *data),
            lambda: prepared.flat(theta, *data)[1],
        ),
        "flat, out": (
            lambda: prepared.flat(theta, *data, out=out),
            lambda: prepared.flat(theta, *data, out=out)[1],
        ),
        "into": (
            lambda: prepared.into(grads, *arguments),
            lambda: prepared.into(grads, *arguments) and vector,
        ),
    }


def machine_of(prepared):
    """The gradient's program, as the backend runs it."""
    program = prepared.program
    return compile_graph(simplify(reverse(program.graph, program.wrt)), "float64")


@pytest.mark.parametrize("form", FORMS)
def test_a_gradient_in_each_form(benchmark, problem, form):
    function, arguments = problem
    prepared = dk.prepare(function, *arguments)
    call, result = forms(prepared, arguments)[form]
    benchmark(call)
    expected = prepared.compiled(prepared.leaves(arguments))[1]
    joined = np.concatenate([leaf.ravel() for leaf in expected])
    np.testing.assert_array_equal(result(), joined)


@pytest.mark.parametrize("name", NESTED)
def test_what_a_call_adds_to_the_native_run(capsys, name):
    """Printed for reading: medians of interleaved calls, less the bare run's."""
    function, arguments = network(*NESTED[name])
    prepared = dk.prepare(function, *arguments)
    leaves = optree.tree_leaves(arguments)
    machine = machine_of(prepared)
    assert np.isfinite(machine(leaves)[0])
    calls = {form: call for form, (call, _) in forms(prepared, arguments).items()}
    calls = {"bare run": machine.bare(leaves), **calls}
    timings = measure.interleaved(calls, samples=31, budget_seconds=2.0)
    bare = timings.pop("bare run").median_seconds
    added = ", ".join(
        f"{form} {numbers.seconds(max(timing.median_seconds - bare, 0.0))}"
        for form, timing in timings.items()
    )
    with capsys.disabled():
        print(f"\n{name}: bare run {numbers.seconds(bare)}; a call adds: {added}")


@pytest.mark.peers
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("form", FORMS)
def test_each_form_beside_a_peer(record_ratio, peer, form):
    """2-8-1 at batch 4, where the work around the arithmetic decides."""
    function, arguments = network(*NETWORKS["2-8-1 @4"])
    prepared = dk.prepare(function, *arguments)
    call, result = forms(prepared, arguments)[form]
    theirs, peer_result = PEERS[peer](arguments)
    mine = ordered(prepared.unpack(result()))
    for part, other in zip(mine, peer_result()[1], strict=True):
        assert part == pytest.approx(other, rel=1e-8, abs=1e-12)
    timings = measure.interleaved(
        {"diffkit": call, peer: theirs}, samples=31, budget_seconds=2.0
    )
    record_ratio(f"value and gradient, 2-8-1 @4, {form}", timings, peer)
