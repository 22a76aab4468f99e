from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special, stats

import diffkit as dk
from diffkit import nn
from diffkit.errors import UnknownNameError, UserInputError

BACKENDS = ["autodiff", "forward", "symbolic", "finite_differences"]
EXPECTED = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.maximum(x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0))),
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * stats.norm.cdf(x),
    "gelu_tanh": lambda x: (
        x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    ),
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "softmax": lambda x: special.softmax(x, axis=-1),
    "log_softmax": lambda x: special.log_softmax(x, axis=-1),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_activations_are_what_they_are_called(name, rng):
    layer, x = nn.get_activation(name), rng.normal(size=(3, 4)) * 10
    assert layer.init(rng) == layer.init_state() == layer.masks(rng, 3) == ()
    assert str(layer).lower().startswith(name.replace("_", "").removesuffix("tanh"))
    expected = EXPECTED[name](x)
    # gelu's Φ loses its relative tail, never more than x·2⁻⁵³.
    np.testing.assert_allclose(layer.apply((), x), expected, rtol=1e-13, atol=2e-15)
    y, after = layer.apply_training((), x)
    np.testing.assert_array_equal(y, layer.apply((), x))
    assert after == ()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_their_gradients_are_exact_on_every_backend(name, backend, rng):
    layer = nn.get_activation(name)
    x, seed = 2 * rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    x[np.abs(x) < 1e-3] = 0.1  # away from kinks: finite differences straddle them

    def f(x, seed):
        return np.sum(layer.apply((), x) * seed)

    assert dk.check_grads(f, (x, seed), backend=backend, against="exact").passed


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_values_and_gradients_are_finite_far_out(name):
    layer = nn.get_activation(name)
    x = np.array([[-1000.0, -50.0, 0.0, 50.0, 1000.0]])
    with np.errstate(over="raise", invalid="raise"):
        y = layer.apply((), x)
    assert np.isfinite(y).all()
    value, gradient = dk.value_and_grad(lambda x: np.sum(layer.apply((), x)))(x)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "layer, slope",
    [
        (nn.ReLU(), 0.0),
        (nn.LeakyReLU(0.2), 0.2),
        (nn.ELU(0.5), 0.5),
        (nn.SiLU(), 0.5),
        (nn.GELU(), 0.5),
        (nn.GELU("tanh"), 0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("backend", ["autodiff", "forward", "symbolic"])
def test_the_slope_at_zero_is_the_stated_one(layer, slope, backend):
    f = dk.grad(lambda x: np.sum(layer.apply((), x)), backend=backend)
    np.testing.assert_allclose(f(np.zeros(2)), slope, rtol=1e-15)


@given(
    arrays(float, (2, 5), elements=st.floats(-1e3, 1e3)),
    st.floats(-1e3, 1e3),
)
def test_softmax_sums_to_one_and_is_blind_to_a_shift(x, shift):
    p = nn.Softmax().apply((), x)
    np.testing.assert_allclose(p.sum(axis=-1), 1.0, rtol=1e-12)
    assert (p >= 0).all()
    # A shift rounds the logits to within 2000·2⁻⁵³.
    shifted = nn.Softmax().apply((), x + shift)
    np.testing.assert_allclose(shifted, p, rtol=3e-12, atol=1e-300)
    np.testing.assert_allclose(
        special.logsumexp(nn.LogSoftmax().apply((), x), axis=-1), 0.0, atol=1e-12
    )


def test_gelus_forms_are_close_and_differ():
    x = np.linspace(-6, 6, 1001)
    apart = np.abs(nn.GELU().apply((), x) - nn.GELU("tanh").apply((), x)).max()
    assert 1e-4 < apart < 5e-4


def test_activations_are_equal_when_they_compute_the_same():
    assert nn.LeakyReLU(0.1) == nn.LeakyReLU(0.1) != nn.LeakyReLU(0.2)
    assert nn.ELU() != nn.ELU(2.0)
    assert nn.GELU() != nn.GELU("tanh")
    assert str(nn.LeakyReLU(0.1)) == "LeakyReLU(slope=0.1)"


@pytest.mark.parametrize(
    "build, error, said",
    [
        (lambda: nn.LeakyReLU(np.nan), UserInputError, "slope must be a finite"),
        (lambda: nn.ELU("1"), UserInputError, "alpha must be a finite"),  # type: ignore[arg-type]
        (lambda: nn.GELU("tnah"), UnknownNameError, "'tanh'"),
        (lambda: nn.get_activation("leakyrelu"), UnknownNameError, "'leaky_relu'"),
        (lambda: dk.functions.gelu([1.0], "erf"), UserInputError, "'none'"),
    ],
)
def test_activations_that_cannot_be_are_refused(build, error, said):
    with pytest.raises(error, match=said):
        build()


@pytest.mark.peers
def test_values_and_gradients_equal_pytorchs(rng):
    torch = import_module("torch")
    F = torch.nn.functional
    x = np.concatenate([3 * rng.normal(size=(4, 5)), np.zeros((1, 5))])
    seed = rng.normal(size=x.shape)
    theirs = {
        "tanh": torch.tanh,
        "relu": F.relu,
        "leaky_relu": F.leaky_relu,
        "elu": F.elu,
        "silu": F.silu,
        "gelu": F.gelu,
        "gelu_tanh": partial(F.gelu, approximate="tanh"),
        "sigmoid": torch.sigmoid,
        "softplus": F.softplus,
        "softmax": partial(F.softmax, dim=-1),
        "log_softmax": partial(F.log_softmax, dim=-1),
        "identity": lambda x: x,
    }
    assert theirs.keys() == nn.ACTIVATIONS.keys()
    for name, function in theirs.items():
        layer = nn.get_activation(name)
        leaf = torch.tensor(x, requires_grad=True)
        value = torch.sum(function(leaf) * torch.tensor(seed))
        value.backward()
        ours, gradient = dk.value_and_grad(
            lambda x, layer=layer: np.sum(layer.apply((), x) * seed)
        )(x)
        assert ours == pytest.approx(value.item(), rel=1e-12), name
        np.testing.assert_allclose(
            gradient, leaf.grad.numpy(), rtol=1e-10, atol=1e-13, err_msg=name
        )
