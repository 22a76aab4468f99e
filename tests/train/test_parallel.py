"""Gradients put together from parts: accumulated, or of shards at the same time."""

from importlib import import_module
from typing import Any

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import losses, nn, optim, train
from diffkit.errors import MissingDependencyError, UserInputError
from diffkit.train import remote
from diffkit.train.gradients import shard_sizes

PLAIN = dk.get_backend("autodiff", runtime="numpy")
FRESH = np.random.default_rng(6)
X = FRESH.normal(size=(50, 4))
Y = FRESH.integers(0, 3, size=50)
NET = nn.mlp((4, 6, 3))


def fit(**options):
    usual: dict[str, Any] = {"epochs": 4, "batch_size": 24, "rng": 3, "backend": PLAIN}
    return train.fit(
        options.pop("net", NET),
        options.pop("loss", losses.cross_entropy),
        options.pop("optimizer", optim.momentum(0.1)),
        options.pop("data", (X, Y)),
        **{**usual, **options},
    )


def alike(one, other, rtol=1e-12):
    for a, b in zip(
        optree.tree_leaves(one.params), optree.tree_leaves(other.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("backend", [PLAIN, "autodiff", "finite_differences"])
def test_accumulated_steps_are_those_of_the_big_batch(backend):
    # 24 + 24 + 2 rows: six small batches of 8, and one of 2 alone.
    big = fit(shuffle=False, backend=backend)
    small = fit(shuffle=False, backend=backend, batch_size=8, accumulate=3)
    tolerance = 1e-6 if backend == "finite_differences" else 1e-12
    alike(small, big, tolerance)
    assert len(big.losses("batch")) == 4 * 3
    assert len(small.losses("batch")) == 4 * 7
    assert small.losses("batch").index.tolist()[:7] == [1, 1, 1, 2, 2, 2, 3]
    np.testing.assert_allclose(
        small.losses("train"), big.losses("train"), rtol=tolerance
    )
    assert int(small.state.step) == int(big.state.step) == 12


def test_accumulated_parts_weigh_as_many_as_their_rows():
    # 7 batches of 7 and one of 1: a plain mean of the eight would be another step.
    big = fit(shuffle=False, batch_size=None)
    small = fit(shuffle=False, batch_size=7, accumulate=8)
    alike(small, big)


DROPPING = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))


@pytest.mark.parametrize(
    "net, shards, backend",
    [
        *((net, n, "autodiff") for net in (NET, DROPPING) for n in (2, 3, 24)),
        (NET, 3, PLAIN),
        (DROPPING, 2, "symbolic"),
        (DROPPING, 2, "forward"),
    ],
)
def test_shards_give_the_gradient_of_the_whole(net, shards, backend):
    whole = fit(net=net, backend=backend)
    parts = fit(net=net, backend=backend, shards=shards)
    alike(parts, whole, 1e-11)
    np.testing.assert_allclose(parts.losses("batch"), whole.losses("batch"), rtol=1e-12)
    # 24 rows and a last batch of 2, cut into two at most.
    assert set(parts.programs) == {*shard_sizes(24, shards), *shard_sizes(2, shards)}
    # Bit for bit the same each time, however the threads ran.
    again = fit(net=net, backend=backend, shards=shards)
    assert again.losses("batch").tolist() == parts.losses("batch").tolist()


def test_shards_and_accumulation_together():
    alike(fit(shuffle=False, batch_size=8, accumulate=3, shards=3), fit(shuffle=False))


@pytest.mark.parametrize("many", [{"accumulate": 2}, {"shards": 2}])
def test_a_loss_that_is_no_mean_is_refused(many):
    def total(prediction, target):
        return losses.cross_entropy(prediction, target, "sum")

    with pytest.raises(UserInputError, match=r"=2 averages.*use reduction='mean'"):
        fit(loss=total, **many)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"shards": 0}, "shards must be a positive integer"),
        ({"shards": 25}, "shards=25 of a batch of 24 rows"),
        (
            {"shards": 2, "net": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3))},
            "statistics of the whole batch",
        ),
        (
            {
                "client": "tcp://x",
                "net": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3)),
            },
            "client cannot train a network with state",
        ),
        ({"client": 5}, "must be a distributed.Client or the address"),
    ],
)
def test_what_cannot_be_split_is_said(options, said):
    with pytest.raises(UserInputError, match=said):
        fit(**options)


def test_dask_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'diffkit\[dask\]'"):
        fit(client="tcp://127.0.0.1:8786")


class HereAndNow:
    """A client that is no cluster: what is submitted is done at once."""

    def scatter(self, value, **_):
        return value

    def submit(self, function, *args, pure):
        assert not pure
        return function(*args)

    def gather(self, futures):
        return futures


@pytest.mark.parametrize("net", [NET, DROPPING])
def test_a_client_gives_the_gradient_of_the_whole(net):
    parts = fit(net=net, client=HereAndNow(), shards=3)
    alike(parts, fit(net=net), 1e-11)
    assert parts.programs == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # A cluster's own, of ports and event loops.
def test_a_real_local_cluster():
    distributed = import_module("distributed")
    whole = fit(backend="autodiff")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        alike(fit(backend="autodiff", client=client, shards=2), whole, 1e-11)
        by_address = fit(backend="autodiff", client=cluster.scheduler_address, shards=3)
        alike(by_address, whole, 1e-11)
