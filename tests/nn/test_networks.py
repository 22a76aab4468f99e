import pickle
from typing import Any, cast

import numpy as np
import pytest
from scipy import special

from diffkit import nn
from diffkit.errors import DtypeError, ShapeError, UnknownNameError, UserInputError
from diffkit.graph import reverse, trace
from diffkit.interpret.numpy import evaluate


def frozen(params):
    """The same parameters, read-only: writing to them is then an error."""
    for own in params:
        for array in own.values() if own else ():
            array.flags.writeable = False
    return params


def test_a_network_is_the_formula(rng):
    net = nn.Sequential(
        nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3, bias=False), nn.Softmax()
    )
    params, x = frozen(net.init(rng)), rng.normal(size=(7, 4))
    hidden = np.tanh(x @ params[0]["weight"] + params[0]["bias"])
    expected = special.softmax(hidden @ params[2]["weight"], axis=-1)
    np.testing.assert_allclose(net.apply(params, x), expected, rtol=1e-13)
    np.testing.assert_allclose(net.apply(params, x[0]), expected[0], rtol=1e-13)
    stack = net.apply(params, np.stack([x, x]))
    np.testing.assert_allclose(stack[1], expected, rtol=1e-13)
    traced = evaluate(trace(lambda x: net.apply(params, x), x), [x])[0]
    np.testing.assert_allclose(traced, expected, rtol=1e-13)


def test_the_gradients_are_the_textbook_formulas(rng):
    # Claim C16: x → W₁, b₁ → relu → W₂, b₂ → σ → binary cross-entropy: δ₂ = ŷ − y.
    net = nn.mlp((3, 4, 1), "relu", "sigmoid")
    params, x = net.init(rng), rng.normal(size=(6, 3))
    y = rng.integers(0, 2, (6, 1)).astype(float)
    w1, b1 = params[0]["weight"], rng.normal(size=4)
    w2, b2 = params[2]["weight"], rng.normal(size=1)

    def loss(w1, b1, w2, b2):
        own = {"weight": w1, "bias": b1}, (), {"weight": w2, "bias": b2}, ()
        p = net.apply(own, x)
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))

    graph = reverse(trace(loss, w1, b1, w2, b2), (0, 1, 2, 3))
    _, *gradients = evaluate(graph, [w1, b1, w2, b2])
    z1 = x @ w1 + b1
    a1 = np.maximum(z1, 0)
    delta2 = special.expit(a1 @ w2 + b2) - y
    delta1 = (delta2 @ w2.T) * (z1 > 0)
    expected = [x.T @ delta1, delta1.sum(0), a1.T @ delta2, delta2.sum(0)]
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "sizes, count",
    [((10, 64, 32, 1), 2817), ((10, 32, 1), 385), ((784, 128, 10), 101_770)],
)
def test_parameters_are_counted_as_drawn(sizes, count, rng):
    net = nn.mlp(sizes)
    drawn = sum(a.size for own in net.init(rng) for a in (own or {}).values())
    assert net.parameter_count == drawn == count


def test_networks_are_values():
    net = nn.mlp((4, 8, 3), "relu", "softmax")
    assert net == nn.mlp((4, 8, 3), "relu", "softmax") != nn.mlp((4, 8, 3))
    again = pickle.loads(pickle.dumps(net))  # noqa: S301 - our own bytes, just made
    assert again == net
    assert len({net, nn.mlp((4, 8, 3), "relu", "softmax")}) == 1
    with pytest.raises(AttributeError):
        net.layers = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    "build, error, said",
    [
        (
            lambda: nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(8, 3)),
            ShapeError,
            r"layer 2, Linear\(8, 3\), expects 8 features and was given 16.*layer 0, L",
        ),
        (lambda: nn.Sequential(), UserInputError, "at least one layer"),
        (lambda: nn.Sequential(cast(Any, nn.Tanh)), UserInputError, "with parentheses"),
        (lambda: nn.Linear(0, 3), UserInputError, "n_in must be a positive integer"),
        (lambda: nn.Linear(3, cast(Any, 2.5)), UserInputError, "n_out must be"),
        (lambda: nn.mlp((4,)), UserInputError, "at least the numbers"),
        (lambda: nn.mlp((4, 3), "tahn"), UnknownNameError, "Did you mean 'tanh'"),
        (lambda: nn.mlp((4, 3), output="sofmax"), UnknownNameError, "'softmax'"),
    ],
)
def test_networks_that_cannot_be_are_refused(build, error, said):
    with pytest.raises(error, match=said):
        build()


@pytest.mark.parametrize("in_trace", [False, True])
@pytest.mark.parametrize(
    "change, shape, said",
    [
        (None, (5, 4), r"layer 0, Linear\(3, 16\), expects 3 features and was given 4"),
        (None, (), "was given a scalar"),
        (lambda p: p[:2], (5, 3), "3 layers needs one entry of parameters for each"),
        (lambda p: p[0], (5, 3), "needs one entry of parameters"),
        (
            lambda p: (p[0], (), {"weight": p[2]["weight"]}),
            (5, 3),
            r"layer 2, Linear\(16, 2\), has parameters",
        ),
        (lambda p: (p[2], (), p[0]), (5, 3), r"layer 0, Linear\(3, 16\), has param"),
        (lambda p: ((), (), ()), (5, 3), "was given tuple"),
    ],
)
def test_inputs_and_parameters_that_do_not_fit_name_the_layer(
    change, shape, said, in_trace, rng
):
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
    params = net.init(rng)
    params = change(params) if change else params

    def apply(x):
        return net.apply(params, x)

    with pytest.raises(ShapeError, match=said):
        trace(apply, np.zeros(shape)) if in_trace else apply(np.zeros(shape))


def test_inner_networks_name_both_layers(rng):
    net = nn.Sequential(nn.Tanh(), nn.Sequential(nn.Tanh(), nn.Linear(3, 2)))
    with pytest.raises(ShapeError, match=r"layer 1, layer 1, Linear\(3, 2\), expects"):
        net.apply(net.init(rng), np.zeros((5, 4)))


def test_init_takes_a_generator_and_a_floating_dtype(rng):
    net = nn.mlp((2, 2))
    with pytest.raises(UserInputError, match=r"numpy\.random\.Generator"):
        net.init(0)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="float64 or float32, not int64"):
        net.init(rng, np.int64)
    wrong = nn.Linear(2, 3, initializer=lambda *_: np.zeros(3))
    with pytest.raises(ShapeError, match=r"gave shape \(3,\)"):
        wrong.init(rng)
