"""Factors of chains in closed form, and gradients of layers against a plain loop."""

import numpy as np
import pytest

from diffkit import nn, train
from diffkit.measure import layers
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("vanishing_gradients")
MODULE = load_file(ROOT / "experiments" / "vanishing_gradients.py")


def test_a_chain_of_ten_sigmoids_passes_a_quarter_to_the_tenth():
    assert MODULE.chain_factor("sigmoid", 1.0, 10) == pytest.approx(0.25**10, rel=1e-12)
    assert f"{0.25**10:.3g}" == "9.54e-07"


@pytest.mark.parametrize("weight", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("depth", [1, 10])
def test_a_chain_of_relus_passes_the_product_of_its_weights(weight, depth):
    factor = MODULE.chain_factor("relu", weight, depth)
    assert factor == pytest.approx(weight**depth, rel=1e-13)


def test_norms_by_layer_are_those_of_backpropagation_written_out():
    net = MODULE.network(3, "tanh", nn.xavier)
    params = net.init(np.random.default_rng(0))
    x, labels = (part[:16] for part in train.data.digits().train)
    weights = [p["weight"] for p in params if p]
    hidden = [x]
    for w in weights[:-1]:
        hidden.append(np.tanh(hidden[-1] @ w))
    logits = hidden[-1] @ weights[-1]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    back = (p - np.eye(10)[labels]) / len(x)
    expected = []
    for number in range(len(weights) - 1, -1, -1):
        expected.insert(0, np.linalg.norm(hidden[number].T @ back))
        if number:
            back = back @ weights[number].T * (1 - hidden[number] ** 2)
    got = layers.weight_norms(layers.gradient_of(net, params, x, labels))
    np.testing.assert_allclose(got, expected, rtol=1e-10)


@pytest.mark.parametrize(
    "cure", ["batch norm", "layer norm", "skips", "normalized skips"]
)
def test_cures_change_the_layers_and_not_the_matrices(cure):
    plain, cured = (MODULE.network(4, "relu", nn.he, c) for c in ("none", cure))
    shapes = [
        [w.shape for w in layers.matrices(net.init(np.random.default_rng(0)))]
        for net in (plain, cured)
    ]
    assert shapes[0] == shapes[1]
    assert str(plain) != str(cured)


def test_the_page_follows_from_rows_and_survives_lost_cells():
    rows = (
        *measured(FOUND, part="chain"),
        *measured(FOUND, part="norms", depth=10, init="Xavier"),
        *measured(FOUND, part="depth", depth=2),
        *measured(FOUND, part="cure", cure="none", ill="exploding"),
    )
    assert value(rows, "diverged_count", ill="exploding") == 1
    deep = value(rows, "gradient_norm_value", activation="sigmoid")
    assert deep < 1e-5
    assert "0.25" in check_page(FOUND, rows, whole=False)
    check_without(FOUND, rows)
