from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

import diffkit as dk
from diffkit import functions as fn
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


def printed_huber(e, delta):
    """C22, as a source prints it: "MSE if |e| ≤ δ, else δ(|e| − δ/2)"."""
    return np.where(abs(e) <= delta, e**2, delta * (abs(e) - delta / 2))


@pytest.mark.parametrize("delta", [0.1, 1.0, 2.5])
def test_huber_is_continuous_where_a_printed_formula_is_not(delta):
    below, above = np.nextafter(delta, 0), np.nextafter(delta, 9)
    jump = printed_huber(above, delta) - printed_huber(below, delta)
    assert jump == pytest.approx(-(delta**2) / 2, rel=1e-12)

    huber = partial(losses.huber, reduction="none", delta=delta)
    e = np.array([below, delta, above])
    value = huber(e, np.zeros(3))
    np.testing.assert_allclose(value, delta**2 / 2, rtol=1e-14)
    _, slope = value_and_slope(
        lambda e, t: np.sum(huber(e, t)), np.concatenate([e, -e]), np.zeros(6)
    )
    np.testing.assert_allclose(slope, delta * np.repeat([1.0, -1.0], 3), rtol=1e-14)


def test_huber_is_half_the_square_inside_and_linear_outside(rng):
    p, t = 3 * rng.normal(size=50), rng.normal(size=50)
    expected = special.huber(1.3, p - t)
    value = losses.huber(p, t, "none", delta=1.3)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    assert np.isfinite(losses.huber([1e200], [0.0]))


def test_mae_and_its_slope_at_the_kink():
    p, t = np.array([1.0, -2.0, 3.0]), np.array([0.0, 0.0, 3.0])
    value, gradient = value_and_slope(losses.mae, p, t)
    assert value == 1.0
    np.testing.assert_allclose(gradient, np.array([1, -1, 0]) / 3)


def test_losses_of_logits_probabilities_and_their_logarithms_are_one(rng):
    z = 2 * rng.normal(size=(6, 4))
    p, log_p = special.softmax(z, axis=-1), special.log_softmax(z, axis=-1)
    weights = rng.uniform(0.5, 2, 4)
    for target in (rng.integers(0, 4, 6), rng.dirichlet(np.ones(4), 6)):
        for options in ({}, {"weights": weights}, {"reduction": "none"}):
            expected = losses.cross_entropy(z, target, **options)
            for value in (
                losses.cross_entropy_from_probabilities(p, target, **options),
                losses.nll(log_p, target, **options),
                losses.focal_cross_entropy(z, target, gamma=0.0, **options),
            ):
                np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_kl_is_the_cross_entropy_less_the_entropy(rng):
    z, t = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(3), 5)
    t[0] = [1.0, 0.0, 0.0]
    log_q = special.log_softmax(z, axis=-1)
    value = losses.kl_divergence(log_q, t, "none")
    expected = np.sum(special.rel_entr(t, np.exp(log_q)), axis=-1)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    entropy = np.sum(special.entr(t), axis=-1)
    whole = losses.cross_entropy(z, t, "none") - entropy
    np.testing.assert_allclose(value, whole, rtol=1e-12, atol=1e-15)
    with np.errstate(divide="ignore"):
        certain = np.log(np.array([[1.0, 0.0]]))
    assert losses.kl_divergence(certain, [[1.0, 0.0]]) == 0.0
    assert losses.nll(certain, [[1.0, 0.0]]) == 0.0


@given(arrays(float, (3, 4), elements=st.floats(-1e3, 1e3)), st.floats(-1e3, 1e3))
def test_cross_entropy_is_positive_and_blind_to_a_shift(z, shift):
    labels = np.array([0, 1, 3])
    value = losses.cross_entropy(z, labels, "none")
    assert (value >= 0).all()
    np.testing.assert_allclose(
        losses.cross_entropy(z + shift, labels, "none"), value, atol=1e-12 * 4e3
    )


@given(arrays(float, 6, elements=st.floats(-1e3, 1e3)), st.floats(0, 5))
def test_focal_is_at_most_the_cross_entropy(z, gamma):
    t = np.array([0.0, 1.0] * 3)
    focal = losses.focal(z, t, "none", gamma=gamma)
    plain = losses.binary_cross_entropy_with_logits(z, t, "none")
    assert (focal <= plain * (1 + 1e-12)).all()
    assert (focal >= 0).all()
    p_true = special.expit(np.where(t == 1, z, -z))
    expected = (special.expit(np.where(t == 1, -z, z))) ** gamma * plain
    np.testing.assert_allclose(focal, expected, rtol=1e-9, atol=1e-300)
    two = np.stack([np.zeros(6), z], axis=-1)
    several = losses.focal_cross_entropy(two, t.astype(int), "none", gamma=gamma)
    far = p_true < 1 - 1e-6  # nearer 1, logits of two classes have lost the digits
    np.testing.assert_allclose(several[far], expected[far], rtol=1e-7, atol=1e-300)


def test_focal_is_the_published_formula(rng):
    # Lin and others (2017), as torchvision's sigmoid_focal_loss writes it.
    z, t = 3 * rng.normal(size=20), rng.integers(0, 2, 20).astype(float)
    p = special.expit(z)
    p_t = p * t + (1 - p) * (1 - t)
    alpha_t = 0.25 * t + 0.75 * (1 - t)
    expected = -alpha_t * (1 - p_t) ** 2 * np.log(p_t)
    value = losses.focal(z, t, "none", alpha=0.25)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "name, before",
    [
        ("binary_cross_entropy", fn.sigmoid),
        ("cross_entropy_from_probabilities", fn.softmax),
    ],
)
def test_losses_of_saturated_probabilities_are_finite(name, before, backend):
    z = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    t = np.array([[1.0, 0.0], [1.0, 0.0]])
    value, gradient = dk.value_and_grad(
        lambda z, t: losses.get(name)(before(z), t), backend=backend
    )(z, t)
    assert value == pytest.approx(50.0)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: losses.huber([1.0], [0.0], delta=0), UserInputError, "above 0"),
        (lambda: losses.focal([1.0], [0.0], gamma=-1), UserInputError, "at least 0"),
        (lambda: losses.focal([1.0], [0.0], alpha=1.5), UserInputError, "1 - alpha"),
        (
            lambda: losses.binary_cross_entropy([0.5], [1.0], positive_weight=np.nan),
            UserInputError,
            "positive_weight is nan",
        ),
        (
            lambda: losses.binary_cross_entropy([0.5], [np.nan]),
            UserInputError,
            r"targets\[0\] is nan",
        ),
        (
            lambda: losses.cross_entropy(np.ones((1, 2)), [[1.0, 1.0]]),
            UserInputError,
            "sum of targets.* is 2.*binary_cross_entropy_with_logits",
        ),
        (
            lambda: losses.cross_entropy(np.ones((1, 2)), [0], weights=[1.0]),
            ShapeError,
            r"weights of shape \(2,\)",
        ),
        (
            lambda: losses.nll([[-1.0, -1.0]], [0], weights=[-1.0, 1.0]),
            UserInputError,
            "at least 0",
        ),
        (lambda: losses.nll([[0.5, 0.5]], [0]), UserInputError, "log_softmax"),
        (
            lambda: losses.kl_divergence([[0.5, 0.5]], [[0.5, 0.5]]),
            UserInputError,
            "log_softmax",
        ),
        (
            lambda: losses.kl_divergence([[-0.7, -0.7]], [[0.9, 0.9]]),
            UserInputError,
            "Divide by the sums",
        ),
        (
            lambda: losses.cross_entropy_from_probabilities([[3.0, -2.0]], [0]),
            UserInputError,
            "Logits go to cross_entropy",
        ),
        (
            lambda: losses.cross_entropy_from_probabilities([[0.9, 0.9]], [0]),
            UserInputError,
            "sum of probabilities",
        ),
        (lambda: losses.l2_penalty({}, 1.0), UserInputError, r"\(none\)"),
        (lambda: losses.l2_penalty([1.0], -1.0), UserInputError, "at least 0"),
        (lambda: losses.get("hubber"), UnknownNameError, "'huber'"),
        (lambda: losses.get("huber", detla=1.0), UnknownNameError, "'delta'"),
    ],
)
def test_bad_options_and_values_are_named(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_every_loss_is_found_by_name_and_keeps_float32(rng):
    z = rng.normal(size=(4, 3)).astype(np.float32)
    t = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    before = {"nll": fn.log_softmax, "kl_divergence": fn.log_softmax}
    for name, loss in losses.LOSSES.items():
        assert losses.get(name) is loss
        p = before.get(name, fn.softmax)(z)
        assert loss(p, t).dtype == np.float32, name
        if name in ("nll", "cross_entropy"):
            assert loss(p, t, weights=[1.0, 2.0, 3.0]).dtype == np.float32
            assert loss(p, [0, 1, 2, 0], weights=[1.0, 2.0, 3.0]).dtype == np.float32


def peers():
    """(ours, PyTorch's, prediction, target): the same in value and slope."""
    F = import_module("torch").nn.functional
    torch = import_module("torch")
    rng = np.random.default_rng(3)
    z, t = 5 * rng.normal(size=(6, 4)), rng.uniform(0, 1, (6, 4))
    labels, rows = rng.integers(0, 4, 6), rng.dirichlet(np.ones(4), 6)
    p, log_p = special.expit(z), special.log_softmax(z, axis=-1)
    w = rng.uniform(0.5, 2.0, 4)
    torch_w = torch.tensor(w)
    yield losses.mse, F.mse_loss, z, t
    yield losses.mae, F.l1_loss, z, t
    yield partial(losses.huber, delta=0.7), partial(F.huber_loss, delta=0.7), z, t
    yield losses.binary_cross_entropy, F.binary_cross_entropy, p, t
    with_logits = F.binary_cross_entropy_with_logits
    yield losses.binary_cross_entropy_with_logits, with_logits, z, t
    yield (
        partial(losses.binary_cross_entropy_with_logits, positive_weight=3.0),
        partial(with_logits, pos_weight=torch.tensor(3.0)),
        z,
        t,
    )
    yield losses.cross_entropy, F.cross_entropy, z, labels
    yield losses.cross_entropy, F.cross_entropy, z, rows
    weighted = partial(losses.cross_entropy, weights=w)
    yield weighted, partial(F.cross_entropy, weight=torch_w), z, labels
    yield weighted, partial(F.cross_entropy, weight=torch_w), z, rows
    yield losses.nll, F.nll_loss, log_p, labels
    nll = partial(F.nll_loss, weight=torch_w)
    yield partial(losses.nll, weights=w), nll, log_p, labels
    yield (
        losses.cross_entropy_from_probabilities,
        lambda p, t, reduction: F.nll_loss(torch.log(p), t, reduction=reduction),
        special.softmax(z / 5, axis=-1),
        labels,
    )
    yield (
        losses.kl_divergence,
        lambda q, t, reduction: F.kl_div(
            q, t, reduction="batchmean" if reduction == "mean" else reduction
        ),
        log_p,
        rows,
    )


@pytest.mark.peers
def test_values_and_gradients_equal_pytorchs():
    torch = import_module("torch")
    for ours, theirs, prediction, target in peers():
        for reduction in ("mean", "sum"):
            leaf = torch.tensor(prediction, requires_grad=True)
            loss = theirs(leaf, torch.tensor(target), reduction=reduction)
            loss.backward()
            value, gradient = value_and_slope(
                lambda p, t, f=ours, r=reduction: f(p, t, r), prediction, target
            )
            assert value == pytest.approx(loss.item(), rel=1e-12)
            np.testing.assert_allclose(
                gradient, leaf.grad.numpy(), rtol=1e-10, atol=1e-14
            )


@pytest.mark.peers
def test_l2_penalty_is_pytorchs_weight_decay(rng):
    torch = import_module("torch")
    w, g = rng.normal(size=5), rng.normal(size=5)
    theirs = torch.tensor(w, requires_grad=True)
    optimizer = torch.optim.SGD([theirs], lr=0.1, weight_decay=0.3)
    theirs.grad = torch.tensor(g)
    optimizer.step()
    _, slope = value_and_slope(
        lambda w, g: np.sum(g * w) + losses.l2_penalty(w, 0.3), w, g
    )
    np.testing.assert_allclose(w - 0.1 * slope, theirs.detach().numpy(), rtol=1e-13)
