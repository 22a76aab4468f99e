"""Every loss on every backend, against ball arithmetic."""

from functools import partial

import numpy as np
import pytest

import diffkit as dk
from diffkit import losses
from diffkit.functions import log_softmax, sigmoid, softmax

BACKENDS = ["autodiff", "forward", "symbolic", "finite_differences"]
ROWS, CLASSES = 4, 3


def make_cases():
    rng = np.random.default_rng(5)
    z = 3 * rng.normal(size=(ROWS, CLASSES))
    soft = rng.dirichlet(np.ones(CLASSES), ROWS)
    soft[0] = [0.0, 1.0, 0.0]
    t, y = rng.uniform(0, 1, z.shape), rng.normal(size=z.shape)
    hard = rng.integers(0, 2, z.shape).astype(float)
    labels = rng.integers(0, CLASSES, ROWS)
    weights = (0.5, 2.0, 1.0)
    yield "mse", losses.mse, None, z, y
    yield "mae", losses.mae, None, z, y
    yield "huber", partial(losses.huber, delta=1.5), None, z, y
    yield "bce", losses.binary_cross_entropy, sigmoid, z, t
    weighted = partial(losses.binary_cross_entropy, positive_weight=3.0)
    yield "weighted bce", weighted, sigmoid, z, hard
    yield "bce logits", losses.binary_cross_entropy_with_logits, None, z, t
    weighted = partial(losses.binary_cross_entropy_with_logits, positive_weight=3.0)
    yield "weighted bce logits", weighted, None, z, hard
    yield "focal", losses.focal, None, z, hard
    yield "focal soft", partial(losses.focal, gamma=0.5, alpha=0.25), None, z, t
    for name, loss, before in [
        ("cross_entropy", losses.cross_entropy, None),
        ("from_probabilities", losses.cross_entropy_from_probabilities, softmax),
        ("focal_cross_entropy", losses.focal_cross_entropy, None),
        ("nll", losses.nll, log_softmax),
    ]:
        yield f"{name} of labels", loss, before, z, labels
        yield f"{name} of rows", loss, before, z, soft
        heavy = partial(loss, weights=weights)
        yield f"weighted {name} of labels", heavy, before, z, labels
        yield f"weighted {name} of rows", heavy, before, z, soft
    yield "kl", losses.kl_divergence, log_softmax, z, soft


CASES = list(make_cases())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_gradients_in_the_prediction_are_exact(case, backend):
    _, loss, before, z, target = case

    def f(z, target):
        return loss(before(z) if before else z, target)

    report = dk.check_grads(f, (z, target), backend=backend, against="exact")
    assert report.value_error < 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "name, slopes",
    [
        ("binary_cross_entropy_with_logits", True),
        ("focal", True),
        ("cross_entropy", True),
        ("focal_cross_entropy", True),
        ("nll", True),
        ("kl_divergence", True),
    ],
)
def test_values_and_gradients_are_finite_and_right_at_a_thousand(
    name, slopes, reduction, backend
):
    z = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0], [0.0, -1e3, 1e3]])
    target = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    loss = partial(losses.get(name), reduction=reduction)

    def f(z, target):
        before = log_softmax if name in ("nll", "kl_divergence") else None
        return loss(before(z) if before else z, target)

    report = dk.check_grads(f, (z, target), backend=backend, against="exact")
    assert report.value_error < 1e-12
    value, gradient = dk.value_and_grad(f, backend=backend)(z, target)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_l2_penalty_pulls_towards_zero(backend, rng):
    params = ({"weight": rng.normal(size=(2, 3)), "bias": rng.normal(size=3)}, ())

    def f(params):
        return losses.l2_penalty(params, 0.3, lambda name: name.endswith("weight"))

    dk.check_grads(f, (params,), backend=backend, against="exact")
    value, gradient = dk.value_and_grad(f, backend=backend)(params)
    weight = params[0]["weight"]
    assert value == pytest.approx(0.15 * np.sum(weight**2), rel=1e-14)
    np.testing.assert_allclose(gradient[0]["weight"], 0.3 * weight, rtol=1e-6)
    assert (gradient[0]["bias"] == 0).all()
