"""Prepare, value, and value with gradient, for each backend; counts are asserted."""

import itertools

import numpy as np
import optree
import pytest
from scipy.optimize import approx_fprime
from scipy.optimize._numdiff import approx_derivative

import diffkit as dk
from diffkit import measure
from diffkit.measure.bench import worker
from tests.benchmarks.conftest import network


def exact(name):
    function, arguments = worker.network(name)
    return dk.prepare(function, *arguments)


@pytest.mark.parametrize("name", worker.BENCHMARKS)
def test_the_grid_that_ci_is_gated_by(benchmark, name):
    """Prepare, value, value and gradient, by each backend on each network."""
    task, way, network_name = name.split()
    result = benchmark(worker.BENCHMARKS[name].make())
    truth = exact(network_name)
    parameters = truth.program.parameters
    if task == "prepare":
        sizes, _ = worker.NETWORKS[network_name]
        assert result.program.parameters == sum(
            (m + 1) * n for m, n in itertools.pairwise(sizes)
        )
        evaluations = {"forward": parameters, "central": 2 * parameters, "null": 0}
        assert result.info.evaluations == evaluations.get(way, 1)
    elif way != "null":
        value, gradient = truth(*worker.network(network_name)[1])
        if task == "value":
            assert result == pytest.approx(value, rel=1e-12)
            return
        for mine, true in zip(
            optree.tree_leaves(result[1]), optree.tree_leaves(gradient), strict=True
        ):
            assert mine == pytest.approx(true, rel=1e-5, abs=1e-8)


def test_autodiff_on_the_networks_of_the_issue(benchmark, problem):
    function, arguments = problem
    prepared = dk.prepare(function, *arguments)
    value, _ = benchmark(prepared, *arguments)
    assert np.isfinite(value)
    # Griewank and Walther: a small multiple of the primal's operations.
    primal = prepared.program.graph.size().operations
    assert prepared.info.operations < 5 * primal


def flat(function, arguments):
    """The loss as a plain NumPy function of one vector, as SciPy wants it."""
    params, *data = arguments
    leaves, tree = optree.tree_flatten(params)
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1]
    shapes = [leaf.shape for leaf in leaves]

    def of_vector(vector):
        parts = np.split(vector, cuts)
        shaped = [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]
        return function(optree.tree_unflatten(tree, shaped), *data)

    return of_vector, np.concatenate([leaf.ravel() for leaf in leaves])


#: The textbook form, and the ways of doing less for the same numbers.
DIFFERENCES = {
    "textbook": {},
    "two threads": {"threads": 2},
    "downstream": {"recompute": "downstream"},
    "batches": {"batch": "auto"},
    "changed": {"recompute": "changed"},
    "changed, two threads": {"recompute": "changed", "threads": 2},
}


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=[] if way == "textbook" else [pytest.mark.slow])
        for way in DIFFERENCES
    ],
)
def test_central_differences_beside_scipy(record_ratio, way):
    """One central-difference gradient of 10-64-32-1 at batch 32, ours and SciPy's."""
    function, arguments = network((10, 64, 32, 1), 32)
    of_vector, vector = flat(function, arguments)
    backend = dk.get_backend("finite_differences", **DIFFERENCES[way])
    prepared = dk.prepare(function, *arguments, backend=backend)
    ours = np.concatenate(
        [leaf.ravel() for leaf in optree.tree_leaves(prepared(*arguments)[1])]
    )
    theirs = approx_derivative(of_vector, vector, method="3-point")
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-7)
    assert ours == pytest.approx(approx_fprime(vector, of_vector), rel=1e-2, abs=1e-4)
    timings = measure.interleaved(
        {
            "diffkit": lambda: prepared(*arguments),
            "scipy": lambda: approx_derivative(of_vector, vector, method="3-point"),
        },
        samples=5,
        budget_seconds=3.0,
    )
    share = prepared.info.operations / (5635 * prepared.program.graph.size().operations)
    title = f"central differences, {way}, 10-64-32-1 @32, {share:.3f} of the operations"
    record_ratio(title, timings, "scipy")
