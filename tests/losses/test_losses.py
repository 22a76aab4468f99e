from importlib import import_module

import numpy as np
import pytest
from scipy import special

import diffkit as dk
from diffkit import losses
from diffkit.errors import DtypeError, ShapeError, UnknownNameError, UserInputError
from diffkit.graph import reverse, trace
from diffkit.interpret.numpy import evaluate

BACKENDS = ["autodiff", "symbolic", "finite_differences", "forward"]


def value_and_slope(loss, prediction, *arguments):
    """Value and gradient in the prediction, targets being arguments as well."""
    graph = reverse(trace(loss, prediction, *arguments), (0,))
    value, gradient = evaluate(graph, [prediction, *arguments])
    return float(value), gradient


def read_only(*arrays):
    for array in arrays:
        array.flags.writeable = False
    return arrays


def test_mse_and_its_gradient_in_closed_form(rng):
    p, t = read_only(rng.normal(size=(5, 3)), rng.normal(size=(5, 3)))
    value, gradient = value_and_slope(losses.mse, p, t)
    assert value == pytest.approx(np.mean((p - t) ** 2), rel=1e-15)
    np.testing.assert_allclose(gradient, 2 / 15 * (p - t), rtol=1e-14)
    assert losses.mse(p, t, "sum") == pytest.approx(15 * value, rel=1e-14)
    np.testing.assert_array_equal(losses.mse(p, t, "none"), (p - t) ** 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_c13_on_every_backend(backend):
    # L = (wx + b − y)² at (x, y) = (2, 5) and (w, b) = (1, 1): −2·2·2 and −2·2.
    def loss(params, x, y):
        return losses.mse(params[0] * x + params[1], y)

    value, gradient = dk.value_and_grad(loss, backend=backend)(
        [np.array(1.0), np.array(1.0)], np.array(2.0), np.array(5.0)
    )
    assert value == 4.0
    exact = backend != "finite_differences"
    np.testing.assert_allclose(gradient, [-8, -4], rtol=0 if exact else 1e-9)


def test_binary_cross_entropy_in_closed_form(rng):
    p, t = read_only(rng.uniform(0.01, 0.99, (4, 2)), rng.uniform(0, 1, (4, 2)))
    expected = -(special.xlogy(t, p) + special.xlog1py(1 - t, -p))
    value, gradient = value_and_slope(losses.binary_cross_entropy, p, t)
    assert value == pytest.approx(expected.mean(), rel=1e-14)
    np.testing.assert_allclose(gradient, (p - t) / (p * (1 - p)) / 8, rtol=1e-12)


def test_binary_cross_entropy_of_certain_probabilities_is_held_at_100():
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    assert losses.binary_cross_entropy(p, t, "none").tolist() == [0, 0, 100, 100]
    _, gradient = value_and_slope(losses.binary_cross_entropy, p, t)
    assert np.isfinite(gradient).all()


def test_binary_cross_entropy_from_logits_is_that_of_the_sigmoid(rng):
    z, t = read_only(3 * rng.normal(size=7), rng.uniform(0, 1, 7))
    value, gradient = value_and_slope(losses.binary_cross_entropy_with_logits, z, t)
    expected = losses.binary_cross_entropy(special.expit(z), t)
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, (special.expit(z) - t) / 7, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_from_logits_are_right_at_a_thousand(backend):
    def loss(z, t):
        return losses.binary_cross_entropy_with_logits(z, t, "sum")

    z = np.array([1000.0, -1000.0, 1000.0, -1000.0])
    t = np.array([1.0, 0.0, 0.0, 1.0])
    value, gradient = dk.value_and_grad(loss, backend=backend)(z, t)
    assert value == 2000.0
    np.testing.assert_allclose(gradient, [0, 0, 1, -1], atol=1e-6)

    logits = np.array([[1000.0, -1000.0, 0.0], [1000.0, 0.0, -1000.0]])
    labels = np.array([0, 2])
    value, gradient = dk.value_and_grad(losses.cross_entropy, backend=backend)(
        logits, labels
    )
    assert value == 1000.0
    np.testing.assert_allclose(gradient, [[0, 0, 0], [0.5, 0, -0.5]], atol=1e-6)


def test_the_tails_keep_their_relative_precision():
    z = np.array([40.0, 300.0])
    value = losses.binary_cross_entropy_with_logits(z, np.ones(2), "none")
    np.testing.assert_allclose(value, np.exp(-z), rtol=1e-14)


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (3,)])
def test_cross_entropy_of_labels_traced_labels_and_one_hot_rows(shape, rng):
    (z,) = read_only(4 * rng.normal(size=shape))
    labels = np.asarray(rng.integers(0, 3, shape[:-1]))
    rows = np.eye(3)[labels]
    expected = -np.sum(special.log_softmax(z, axis=-1) * rows, axis=-1).mean()
    slope = (special.softmax(z, axis=-1) - rows) / max(labels.size, 1)
    for target in (labels, labels.astype(float), rows):
        assert losses.cross_entropy(z, target) == pytest.approx(expected, rel=1e-14)
        value, gradient = value_and_slope(losses.cross_entropy, z, target)
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(gradient, slope, rtol=1e-11, atol=1e-15)
    closed_over, gradient = value_and_slope(
        lambda z: losses.cross_entropy(z, labels), z
    )
    assert closed_over == pytest.approx(expected, rel=1e-14)


def test_cross_entropy_of_a_masked_class_is_finite():
    z = np.array([[0.0, 0.0, -np.inf]])
    assert losses.cross_entropy(z, [0]) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    "loss, prediction, target, error, said",
    [
        ("mse", np.ones((4, 1)), np.ones(4), ShapeError, r"column with y\[..., None\]"),
        ("mse", np.ones(4), np.ones((4, 1)), ShapeError, r"y\[..., 0\]"),
        ("mse", np.ones((4, 2)), np.ones((4, 3)), ShapeError, "must be the same"),
        ("mse", np.ones((0, 2)), np.ones((0, 2)), ShapeError, "no elements"),
        ("cross_entropy", np.ones((4, 3)), np.zeros(5), ShapeError, "class indices"),
        (
            "cross_entropy",
            np.ones((2, 3)),
            np.zeros((2, 1), int),
            ShapeError,
            r"y\[..., 0\]",
        ),
        ("cross_entropy", np.ones((0, 3)), np.zeros(0), ShapeError, "at least one"),
        (
            "cross_entropy",
            np.ones((2, 3)),
            np.array([0, 3]),
            UserInputError,
            r"targets\[1\] is 3, outside the range 0 to 2 of 3 classes",
        ),
        ("cross_entropy", np.ones((1, 3)), np.array([0.5]), DtypeError, "fractions"),
        (
            "cross_entropy",
            np.ones((1, 2)),
            np.array([[2.0, -1.0]]),
            UserInputError,
            r"targets\[0, 0\] is 2, outside 0 to 1",
        ),
        (
            "binary_cross_entropy",
            np.array([0.5, 1.5]),
            np.ones(2),
            UserInputError,
            r"probabilities\[1\] is 1.5.*with_logits",
        ),
        (
            "binary_cross_entropy_with_logits",
            np.zeros(2),
            np.array([1.0, 2.0]),
            UserInputError,
            r"targets\[1\] is 2",
        ),
    ],
)
def test_bad_input_is_named(loss, prediction, target, error, said):
    with pytest.raises(error, match=said):
        losses.get(loss)(prediction, target)


def test_shapes_are_checked_inside_a_trace():
    with pytest.raises(ShapeError, match="must be the same"):
        trace(losses.mse, np.ones((4, 1)), np.ones(4))


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'cross_entropy'"):
        losses.get("crossentropy")
    with pytest.raises(UnknownNameError, match="Did you mean 'mean'"):
        losses.mse(np.ones(2), np.ones(2), "maen")


def test_float32_stays_float32():
    z = np.zeros((2, 3), np.float32)
    assert losses.mse(z, z).dtype == np.float32
    assert losses.binary_cross_entropy_with_logits(z, z).dtype == np.float32
    assert losses.cross_entropy(z, [0, 1]).dtype == np.float32


@pytest.mark.peers
def test_values_and_gradients_equal_pytorchs(rng):
    torch = import_module("torch")
    F = torch.nn.functional
    z, t = 5 * rng.normal(size=(6, 4)), rng.uniform(0, 1, (6, 4))
    labels = rng.integers(0, 4, 6)
    cases = [
        (losses.mse, F.mse_loss, z, t),
        (losses.binary_cross_entropy, F.binary_cross_entropy, special.expit(z), t),
        (
            losses.binary_cross_entropy_with_logits,
            F.binary_cross_entropy_with_logits,
            z,
            t,
        ),
        (losses.cross_entropy, F.cross_entropy, z, labels),
    ]
    for ours, theirs, prediction, target in cases:
        for reduction in ("mean", "sum"):
            leaf = torch.tensor(prediction, requires_grad=True)
            loss = theirs(leaf, torch.tensor(target), reduction=reduction)
            loss.backward()
            value, gradient = value_and_slope(
                lambda p, t, f=ours, r=reduction: f(p, t, r), prediction, target
            )
            assert value == pytest.approx(loss.item(), rel=1e-12)
            np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-10)
