"""What a step of training costs: beside its gradient, and a whole epoch beside PyTorch.

The optimizer's step is one native pass over the flat vector of parameters. Results are
checked first; times are printed as ratios with their quartiles, and never asserted.
"""

from time import perf_counter

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import losses, measure, nn, optim, train
from diffkit.report import numbers
from diffkit.train.updates import ByEngine, updates_for
from tests.benchmarks.conftest import NETWORKS, network
from tests.benchmarks.test_peers import layers, peer


@pytest.fixture
def shown(capsys):
    """Print a ratio of interleaved timings, with its quartiles."""

    def show(title, over, under):
        found = measure.ratio(over, under)
        low, high = found.quartiles_seconds
        with capsys.disabled():
            print(
                f"\n{title}: {numbers.seconds(over.median_seconds)} and "
                f"{numbers.seconds(under.median_seconds)}, "
                f"{found.median_seconds:.3f} ({low:.3f} to {high:.3f})"
            )

    return show


OPTIMIZERS = {
    "sgd": optim.sgd(1e-3),
    "momentum": optim.momentum(1e-3),
    "adam": optim.adam(1e-3),
    "adamw": optim.adamw(1e-3),
    "clip, adam": optim.chain(optim.clip_by_global_norm(1.0), optim.adam(1e-3)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_beside_its_gradient(shown, name, dtype):
    """Gradient and update of 10-64-32-1 at batch 32, over the gradient alone.

    Alone as a call with nested arrays, and as the faster one on the flat vector.
    """
    function, arguments = network(*NETWORKS["10-64-32-1 @32"])
    params, x, y = optree.tree_map(lambda a: a.astype(dtype), arguments)
    optimizer, prepared = OPTIMIZERS[name], dk.prepare(function, params, x, y)
    theta = np.concatenate([leaf.ravel() for leaf in optree.tree_leaves(params)])
    assert theta.size == 2817
    gradient = np.empty_like(theta)
    step = train.Stepper(prepared, optimizer, params)
    value, grads = prepared(params, x, y)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    assert step(x, y) == value
    for mine, theirs in zip(
        optree.tree_leaves(step.params),
        optree.tree_leaves(optim.apply_updates(params, updates)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    timings = measure.interleaved(
        {
            "step": lambda: step(x, y),
            "nested arrays": lambda: prepared(params, x, y),
            "flat vector": lambda: prepared.flat(theta, x, y, out=gradient),
        },
        samples=31,
        budget_seconds=1.5,
    )
    for alone in ("nested arrays", "flat vector"):
        title = f"{name} step over gradient of {alone}, 10-64-32-1 @32, {dtype}"
        shown(title, timings["step"], timings[alone])


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("size", [2_817, 669_706])
def test_an_update_beside_its_pure_form(shown, name, size):
    """One native pass over P parameters, and NumPy's many."""
    rng, optimizer = np.random.default_rng(0), OPTIMIZERS[name]
    packed, gradient = rng.normal(size=(2, size))
    state = optimizer.init(packed)
    updates = updates_for(optimizer, packed, state, dk.get_backend("autodiff"))
    assert isinstance(updates, ByEngine)
    at = [updates(packed, state, gradient)]
    pure, after = optimizer.update(gradient, state, packed)
    np.testing.assert_array_equal(at[0][0], packed + pure)

    def native():
        at[0] = updates(*at[0], updates.gradient)

    def by_numpy():
        return packed + optimizer.update(gradient, after, packed)[0]

    timings = measure.interleaved(
        {"native": native, "numpy": by_numpy}, samples=31, budget_seconds=1.0
    )
    title = f"{name} of {size:,} parameters, native over NumPy"
    shown(title, timings["native"], timings["numpy"])


EPOCHS = 40


def torch_epochs(params, x, y, fused):
    """An eager loop as in tutorials, but rows gathered once an epoch: epoch(order)."""
    torch = peer("torch")
    torch.set_num_threads(1)
    x, y = torch.tensor(x), torch.tensor(y)
    (w1, b1), (w2, b2) = [
        [torch.tensor(part, requires_grad=True) for part in pair]
        for pair in layers((params,))
    ]
    optimizer = torch.optim.Adam([w1, b1, w2, b2], lr=1e-3, fused=fused)

    def epoch(order):
        order, found = torch.tensor(order), []
        rows, labels = x[order], y[order]
        for i in range(0, len(rows), 64):
            outputs = torch.tanh(rows[i : i + 64] @ w1 + b1) @ w2 + b2
            loss = torch.nn.functional.cross_entropy(outputs, labels[i : i + 64])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    return epoch


class Between:
    """A callback of `fit`: after each of its epochs it runs the other loop's."""

    def __init__(self, other, orders):
        self.other, self.orders, self.found = other, orders, []
        self.ours, self.theirs = [], []
        self.last = perf_counter()

    def __call__(self, report):
        now = perf_counter()
        self.ours.append(now - self.last)
        self.found += self.other(next(self.orders))
        self.last = perf_counter()
        self.theirs.append(self.last - now)


@pytest.mark.peers
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("fused", [False, True], ids=["usual", "fused"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_epoch_of_digits_beside_pytorch(shown, dtype, fused):
    """64-128-10, batch 64, Adam, the same batches: epochs of `fit` and of the loop."""
    data = train.data.digits()
    x, y = data.train[0].astype(dtype), data.train[1]
    net = nn.mlp((64, 128, 10))
    params = net.init(np.random.default_rng(0), dtype)
    # The generator that `fit` draws the order of an epoch from.
    _, _, order, *_ = np.random.default_rng(0).spawn(5)
    orders = iter([order.permutation(len(x)) for _ in range(EPOCHS)])
    between = Between(torch_epochs(params, x, y, fused), orders)
    history = train.fit(
        net,
        losses.cross_entropy,
        optim.adam(1e-3),
        (x, y),
        epochs=EPOCHS,
        batch_size=64,
        params=params,
        callbacks=between,
        progress=False,
    )
    found = history.losses("batch").to_numpy()
    assert len(found) == EPOCHS * 23
    # Rounding grows along a training: the first epochs say whether it is the same one.
    few = 5 * 23
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(found[:few], between.found[:few], rtol=tolerance)
    # The first epochs load and allocate.
    ours, theirs = (
        measure.Timing(tuple(times[3:]), 1) for times in (between.ours, between.theirs)
    )
    title = f"an epoch of digits, 64-128-10 @64, Adam, {dtype}, fit over PyTorch"
    shown(title + (" (fused)" if fused else ""), ours, theirs)
