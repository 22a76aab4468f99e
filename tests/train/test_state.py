"""Networks with state and masks: trained by one function, evaluated by another."""

from importlib import import_module

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import losses, nn, optim, train

FRESH = np.random.default_rng(6)
X = FRESH.normal(size=(24, 4))
Y = FRESH.integers(0, 3, size=24)
BACKENDS = {
    "autodiff": 1e-12,
    "forward": 1e-9,
    "symbolic": 1e-9,
    "finite_differences": 1e-4,
}


def fit(net, **options):
    usual = {"epochs": 3, "batch_size": 8, "validation": (X[:6], Y[:6]), "rng": 2}
    return train.fit(
        net, losses.cross_entropy, optim.sgd(0.1), (X, Y), **{**usual, **options}
    )


NETS = {
    "state": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3)),
    "masks": nn.Sequential(nn.Dropout(0.4), nn.Linear(4, 3)),
    "both": nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.4), nn.BatchNorm(3)),
}


@pytest.mark.parametrize("name", NETS)
def test_every_backend_sees_the_same_masks_and_state(name):
    truth = fit(NETS[name], backend=dk.get_backend("autodiff", runtime="numpy"))
    for backend, tolerance in BACKENDS.items():
        found = fit(NETS[name], backend=backend)
        for part in ("params", "net_state"):
            for a, b in zip(
                optree.tree_leaves(getattr(found, part)),
                optree.tree_leaves(getattr(truth, part)),
                strict=True,
            ):
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        for split in ("batch", "validation"):
            np.testing.assert_allclose(
                found.losses(split), truth.losses(split), rtol=tolerance
            )


def test_validation_is_by_running_statistics_and_without_masks():
    net = NETS["both"]
    history = fit(net)
    outputs = net.apply(history.params, X[:6], history.net_state)
    expected = losses.cross_entropy(outputs, Y[:6])
    assert history.losses("validation")[3] == expected


def test_the_path_is_the_one_a_reader_would_write_by_hand():
    net = NETS["both"]
    history = fit(net, shuffle=False)
    generators = np.random.default_rng(2).spawn(5)
    params, state = net.init(generators[0]), net.init_state()
    seen = []
    for _ in range(3):
        for i in (0, 8, 16):
            masks = net.masks(generators[3], 8, features=4)

            def objective(params, x, y, state, masks):
                outputs, state = net.apply_training(params, x, state, masks)
                return losses.cross_entropy(outputs, y), state

            step = dk.value_and_grad(objective, has_aux=True)
            (value, state), grads = step(
                params, X[i : i + 8], Y[i : i + 8], state, masks
            )
            params = optree.tree_map(lambda p, g: p - 0.1 * g, params, grads)
            seen.append(float(value))
    assert history.losses("batch").tolist() == seen
    for a, b in zip(
        optree.tree_leaves((history.params, history.net_state)),
        optree.tree_leaves((params, state)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_given_state_is_gone_on_from():
    net = NETS["state"]
    first = fit(net, epochs=1, shuffle=False)
    second = fit(
        net, epochs=1, shuffle=False, params=first.params, net_state=first.net_state
    )
    both = fit(net, epochs=2, shuffle=False)
    for part in ("params", "net_state"):
        for a, b in zip(
            optree.tree_leaves(getattr(second, part)),
            optree.tree_leaves(getattr(both, part)),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.peers
def test_training_with_batch_normalisation_equals_pytorchs():
    torch = import_module("torch")
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.Tanh(), nn.Linear(5, 3))
    rate = optim.schedules.Cosine(0.05, steps=30)
    params = net.init(np.random.default_rng(0))
    history = train.fit(
        net,
        losses.cross_entropy,
        optim.adam(rate),
        (X, Y),
        epochs=10,
        batch_size=8,
        shuffle=False,
        params=params,
    )
    made = torch.nn
    theirs = made.Sequential(
        made.Linear(4, 5), made.BatchNorm1d(5), made.Tanh(), made.Linear(5, 3)
    ).double()
    with torch.no_grad():
        for i in (0, 3):
            theirs[i].weight.copy_(torch.tensor(params[i]["weight"].T))
            theirs[i].bias.copy_(torch.tensor(params[i]["bias"]))
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    seen = []
    for _ in range(10):
        for i in (0, 8, 16):
            optimizer.zero_grad()
            value = made.functional.cross_entropy(
                theirs(torch.tensor(X[i : i + 8])), torch.tensor(Y[i : i + 8])
            )
            value.backward()
            optimizer.step()
            scheduler.step()
            seen.append(value.item())
    np.testing.assert_allclose(history.losses("batch"), seen, rtol=1e-9)
    theirs.eval()
    outputs = theirs(torch.tensor(X)).detach().numpy()
    ours = net.apply(history.params, X, history.net_state)
    # Of outputs of order one; an entry that happens to be near zero is as far off.
    np.testing.assert_allclose(ours, outputs, rtol=1e-8, atol=1e-9)
