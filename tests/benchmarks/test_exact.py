"""What a proved gradient costs: the issue asks for 0.5 s and 20 ms on one core."""

import pytest

import diffkit as dk
from diffkit import measure
from tests.benchmarks.conftest import NETWORKS, network

NAMES = ["2-8-1 @4", "10-64-32-1 @32"]


@pytest.mark.parametrize("name", NAMES)
def test_exact_gradient_of_the_networks_of_the_issue(benchmark, name):
    function, arguments = network(*NETWORKS[name])
    prepared = dk.prepare(function, *arguments, backend="exact")
    benchmark(prepared, *arguments)
    assert prepared.info.details["bits"] == 256


@pytest.mark.parametrize("name", NAMES)
def test_measuring_every_entry_in_ulps(benchmark, name):
    function, arguments = network(*NETWORKS[name])
    prepared = dk.prepare(function, *arguments)
    reference = measure.reference_gradient(prepared, *arguments)
    leaves = prepared.compiled(prepared.leaves(arguments))[1]
    errors = benchmark(reference.ulps, leaves)
    assert errors.entries == prepared.program.parameters
    assert errors.largest_ulps <= 64, str(errors)
