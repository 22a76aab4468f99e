"""Depth and start-up: cost per layer, ten thousand layers, the price of an import."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import measure
from tests.benchmarks.conftest import network

ROOT = Path(__file__).resolve().parents[2]


def tanh_layers(depth):
    return network((4,) * (depth + 1), 8)


@pytest.mark.parametrize("depth", [10, 100, 1000])
def test_gradient_of_deep_networks(benchmark, depth):
    function, arguments = tanh_layers(depth)
    prepared = dk.prepare(function, *arguments)
    value, _ = benchmark(prepared, *arguments)
    assert np.isfinite(value)


def test_first_gradient_of_a_thousand_layers(benchmark):
    function, arguments = tanh_layers(1000)
    value, _ = benchmark(lambda: dk.prepare(function, *arguments)(*arguments))
    assert np.isfinite(value)


def test_operations_per_layer_do_not_grow_with_depth():
    def per_layer(depth):
        function, arguments = tanh_layers(depth)
        return dk.prepare(function, *arguments).info.operations / depth

    assert per_layer(1000) <= 1.1 * per_layer(10)


def test_cost_per_layer_at_ten_and_at_a_thousand(capsys):
    timings = {}
    for depth in (10, 1000):
        function, arguments = tanh_layers(depth)
        prepared = dk.prepare(function, *arguments)
        leaves = prepared.leaves(arguments)
        timings[depth] = measure.time_call(
            lambda run=prepared.compiled, at=leaves: run(at), budget_seconds=1.0
        )
    each = {d: 1e6 * t.median_seconds / d for d, t in timings.items()}
    with capsys.disabled():
        print(
            f"\ncost per layer: {each[10]:.3f} µs of 10 layers, {each[1000]:.3f} µs of "
            f"1,000: {each[1000] / each[10]:.2f} times"
        )
    assert all(value > 0 for value in each.values())


@pytest.mark.slow
def test_ten_thousand_layers():
    function, arguments = tanh_layers(10_000)
    value, gradient = dk.prepare(function, *arguments)(*arguments)
    assert np.isfinite(value)
    leaves = optree.tree_leaves(gradient)
    assert len(leaves) == 20_000
    assert all(np.isfinite(leaf).all() for leaf in leaves)


def test_import_beside_numpy(capsys):
    """Seconds to import diffkit less seconds to import NumPy, in fresh processes."""
    seconds = {"numpy": [], "diffkit": []}
    for _ in range(3):
        for name, taken in seconds.items():
            program = (
                "import time; t = time.perf_counter(); "
                f"import {name}; print(time.perf_counter() - t)"
            )
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            taken.append(float(done.stdout))
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    with capsys.disabled():
        print(
            f"\nimport: diffkit {middle['diffkit']:.3f} s, "
            f"numpy {middle['numpy']:.3f} s"
        )
    assert set(middle) == {"numpy", "diffkit"}
