"""Prepare, value, and value with gradient, for each backend; counts are asserted."""

import numpy as np
import optree
import pytest
from scipy.optimize import approx_fprime
from scipy.optimize._numdiff import approx_derivative

import diffkit as dk
from diffkit import measure
from tests.benchmarks.conftest import network

SMALL = network((4, 8, 3), 16)
BACKENDS = {
    "autodiff": ("autodiff", {}),
    "forward": ("forward", {}),
    "central": ("finite_differences", {"method": "central"}),
    "symbolic-shared": ("symbolic", {"form": "shared"}),
    "symbolic-cse": ("symbolic", {"form": "cse"}),
    "null": ("null", {}),
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    name, options = BACKENDS[request.param]
    return dk.get_backend(name, **options)


def test_prepare(benchmark, backend):
    function, arguments = SMALL
    prepared = benchmark(dk.prepare, function, *arguments, backend=backend)
    assert prepared.program.parameters == 4 * 8 + 8 + 8 * 3 + 3


def test_value(benchmark, backend):
    function, arguments = SMALL
    prepared = dk.prepare(function, *arguments, backend=backend)
    value = benchmark(prepared.value, *arguments)
    if backend.name != "null":
        assert value == pytest.approx(float(function(*arguments)), rel=1e-12)


def test_value_and_grad(benchmark, backend):
    function, arguments = SMALL
    prepared = dk.prepare(function, *arguments, backend=backend)
    _, gradient = benchmark(prepared, *arguments)
    parameters = prepared.program.parameters
    expected = {"forward": parameters, "finite_differences": 2 * parameters, "null": 0}
    assert prepared.info.evaluations == expected.get(backend.name, 1)
    if backend.name != "null":
        exact = dk.prepare(function, *arguments)(*arguments)[1]
        for mine, true in zip(
            optree.tree_leaves(gradient), optree.tree_leaves(exact), strict=True
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


def test_central_differences_beside_scipy(record_ratio):
    """One central-difference gradient of 10-64-32-1 at batch 32, ours and SciPy's."""
    function, arguments = network((10, 64, 32, 1), 32)
    of_vector, vector = flat(function, arguments)
    prepared = dk.prepare(function, *arguments, backend="finite_differences")
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
    record_ratio("central differences, 10-64-32-1 @32", timings, "scipy")
