"""The table of figures to reach: every network, beside libraries and bare floors.

First each call by itself, for pytest-benchmark's own table (one thread, a group for a
network). Then each network in a process of its own, all ways in turn, by one thread and
by two: ratios with their intervals, printed when all is done. Results are checked and
counts asserted; no time ever is.
"""

import itertools
import os
from pathlib import Path

import pytest

from diffkit.backends.peers.library import installed
from diffkit.errors import MissingDependencyError
from diffkit.measure import beside, load_file, run_limited
from diffkit.measure.beside import ENGINE, FLAT, FLOORS, NESTED, PRIMAL
from diffkit.measure.executors.task import measure_cell
from diffkit.prepared import Prepared

PATH = Path(__file__).resolve().parents[2] / "experiments" / "peers.py"
PEERS = load_file(PATH)
COMPILERS = ("torch_compile", "casadi_compiled")
LIBRARIES = {**PEERS.TOGETHER, **{way: PEERS.ALONE[way] for way in COMPILERS}}
#: Compiled for minutes all together: on some networks only.
COMPILED = ("2-8-1", "10-64-32-1", "784-512-512-10")
CASES = {
    f"{PEERS.label(column)}, threads {case['pool']}": case
    for case in PEERS.cases("full")
    if case.backend == "together"
    for column in [(case["network"], case["dtype"])]
}

pytestmark = [
    pytest.mark.peers,
    # What a peer warns about on its own import or first call is not ours to judge.
    pytest.mark.filterwarnings("default"),
]


def skip_what_cannot_run(way, column):
    """Say why a way has nothing to show on a network."""
    network, dtype = column
    package = LIBRARIES[way].package if way in LIBRARIES else None
    if package is not None and not installed(package):
        pytest.skip(str(MissingDependencyError(package, "This comparison", package)))
    if way.startswith("casadi") and (reason := PEERS.without_casadi(network, dtype)):
        pytest.skip(reason)
    if way in COMPILERS and (network not in COMPILED or dtype != PEERS.DOUBLE):
        pytest.skip(f"compilers are measured on {', '.join(COMPILED)}")
    if way == FLAT and not hasattr(Prepared, "flat"):
        pytest.skip("this version has no call of a flat vector")


def skip_unless_measuring(config, column):
    """Say why a large network waits: disabled benchmarks run once, as tests."""
    if config.getoption("benchmark_disable") and column[0] in PEERS.LARGE:
        pytest.skip("benchmarks are disabled, and this one takes long: 'make bench'")


@pytest.mark.parametrize(
    "way", [NESTED, FLAT, ENGINE, PRIMAL, *list(LIBRARIES)[1:], *FLOORS]
)
@pytest.mark.parametrize("column", PEERS.COLUMNS, ids=PEERS.label)
def test_value_and_gradient(benchmark, request, column, way):
    skip_what_cannot_run(way, column)
    skip_unless_measuring(request.config, column)
    network, dtype = column
    benchmark.group = f"{PEERS.label(column, batch=True)}, one thread"
    benchmark.name = way
    libraries = {NESTED: PEERS.DIFFKIT}
    if way in LIBRARIES:
        libraries[way] = LIBRARIES[way]
    setting = beside.Setting(PEERS.NETWORKS[network], dtype)
    with beside.threads_set(1):
        line_up = beside.LineUp(setting, libraries)
        line_up.check(dict.fromkeys(libraries, PEERS.ALLOWED[dtype]))
        benchmark({**line_up.calls(), **line_up.bare()}[way])
    for one in line_up.prepared.values():
        assert one.info.evaluations == 1
    layers = list(itertools.pairwise(setting.network.sizes))
    parameters = sum((m + 1) * n for m, n in layers)
    assert line_up.diffkit.program.parameters == parameters
    # Three products a layer, less the input's; and the loss is not free.
    products = sum(3 * m * n for m, n in layers) - layers[0][0] * layers[0][1]
    flops = 2 * products * setting.network.batch
    assert line_up.diffkit.info.details["flops"] > 0.99 * flops


@pytest.mark.parametrize("name", CASES)
def test_ratios_by_all_in_turn(request, ratio_rows, name):
    case = CASES[name]
    skip_unless_measuring(request.config, (case["network"], case["dtype"]))
    if case["pool"] > (os.cpu_count() or 1):
        pytest.skip(f"this machine has {os.cpu_count()} cores")
    outcome = run_limited(measure_cell, str(PATH), case, limits=case.limits)
    assert outcome.status == "ok", outcome.message
    rows = outcome.value
    found = {
        metric: {row.backend: row.value for row in rows if row.metric == metric}
        for metric in {row.metric for row in rows}
    }
    expected = set(PEERS.together(case["network"], case["dtype"]))
    assert set(found["primal_evaluations"]) == expected
    assert set(found["primal_evaluations"].values()) == {1}
    assert expected <= set(found["relative_error"])
    assert max(found["relative_error"].values()) <= PEERS.ALLOWED[case["dtype"]]
    assert {*expected, *FLOORS, ENGINE, PRIMAL} <= set(found["gradient_ratio"])
    assert found["gradient_ratio"][NESTED] == 1
    assert found["moved_bytes"]["copies"] > 0
    missing = sorted(set(PEERS.TOGETHER) - expected)
    ratio_rows.add(rows, missing)
