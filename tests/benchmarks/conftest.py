"""Networks that the benchmarks share; sizes of the issue's figures."""

import itertools

import numpy as np
import pytest

from diffkit import losses, measure, nn
from diffkit.report import numbers

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
