"""Networks that the benchmarks share; sizes of the issue's figures."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from diffkit import losses, measure, nn
from diffkit.report import numbers

ROOT = Path(__file__).resolve().parents[2]
#: name -> (sizes, batch); hidden activations are tanh, the loss is mse.
NETWORKS = {
    "2-8-1 @4": ((2, 8, 1), 4),
    "10-64-32-1 @32": ((10, 64, 32, 1), 32),
    "50x32 @32": ((32,) * 51, 32),
}


def network(sizes, batch, seed=0):
    """(function, arguments) of a tanh network with mean squared error."""
    rng = np.random.default_rng(seed)
    layers = []
    for wide, narrow in itertools.pairwise(sizes):
        if layers:
            layers.append(nn.Tanh())
        layers.append(nn.Linear(wide, narrow))
    net = nn.Sequential(*layers)
    params = net.init(rng)

    def loss(params, x, y):
        return losses.mse(net.apply(params, x), y)

    x = rng.normal(size=(batch, sizes[0]))
    y = rng.normal(size=(batch, sizes[-1]))
    return loss, (params, x, y)


@pytest.fixture(params=NETWORKS)
def problem(request):
    """Each network in turn."""
    sizes, batch = NETWORKS[request.param]
    return network(sizes, batch)


@pytest.fixture
def record_ratio(capsys):
    """Print interleaved timings as one line: a figure to read, never a verdict."""

    def record(title, timings, other):
        ours, theirs = timings["diffkit"], timings[other]
        times = measure.ratio(theirs, ours).median_seconds
        with capsys.disabled():
            print(
                f"\n{title}: diffkit {numbers.seconds(ours.median_seconds)}, {other} "
                f"{numbers.seconds(theirs.median_seconds)}, {numbers.times(times)}"
            )

    return record


class RatioRows:
    """What was measured by all ways in turn, and which ways were not there."""

    def __init__(self):
        self.rows, self.missing = [], set()

    def add(self, rows, missing):
        self.rows += rows
        self.missing |= set(missing)


RATIOS = pytest.StashKey[RatioRows]()


def pytest_configure(config):
    config.stash[RATIOS] = RatioRows()


@pytest.fixture
def ratio_rows(request):
    """Where rows go that the summary at the end shows."""
    return request.config.stash[RATIOS]


def pytest_terminal_summary(terminalreporter, config):
    """Print the table of ratios, if any were measured."""
    found = config.stash.get(RATIOS, None)
    if found is None or not found.rows:
        return
    peers = measure.load_file(ROOT / "experiments" / "peers.py")
    terminalreporter.section("value and gradient ÷ diffkit's, medians and intervals")
    tables = [
        peers.matrix(found.rows, "gradient_ratio", numbers.times, threads)
        for threads in peers.THREADS
    ]
    for title, table in zip(("one thread", "two threads"), tables, strict=True):
        terminalreporter.write_line(f"\n{title}\n{table}")
    terminalreporter.write_line(f"\nto be reached\n{peers.goals_table(found.rows)}")
    if found.missing:
        missing = ", ".join(sorted(found.missing))
        terminalreporter.write_line(f"not installed, or not for all: {missing}")
