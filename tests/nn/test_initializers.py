import numpy as np
import pytest

from diffkit import nn
from diffkit.errors import UnknownNameError, UserInputError

N_IN, N_OUT = 300, 200
VARIANCES = {"zeros": 0.0, "uniform": 1 / 3, "xavier": 2 / 500, "he": 2 / 300}


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_the_variance_is_the_stated_one(name, rng):
    weight = nn.get_initializer(name)(rng, N_IN, N_OUT)
    assert weight.shape == (N_IN, N_OUT)
    assert weight.dtype == np.float64
    # The deviation of a sample variance of n normals is v·√(2/n): five of them.
    n = weight.size
    assert weight.var() == pytest.approx(VARIANCES[name], rel=5 * np.sqrt(2 / n))
    assert abs(weight.mean()) <= 5 * np.sqrt(VARIANCES[name] / n)
    if name == "uniform":
        assert weight.min() > -1
        assert weight.max() < 1


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_a_seed_gives_the_same_weights_in_both_precisions(name):
    layer = nn.Linear(5, 4, initializer=name)
    double = layer.init(np.random.default_rng(3))
    single = layer.init(np.random.default_rng(3), np.float32)
    assert single["weight"].dtype == single["bias"].dtype == np.float32
    np.testing.assert_array_equal(double["weight"].astype(np.float32), single["weight"])
    assert (double["bias"] == 0).all()


def test_the_rule_matches_the_activation_that_follows(rng):
    net = nn.Sequential(
        nn.Linear(200, 200),
        nn.ReLU(),
        nn.Linear(200, 200),
        nn.Tanh(),
        nn.Linear(200, 200, initializer="zeros"),
        nn.ReLU(),
        nn.Sequential(nn.Linear(200, 200)),
        nn.ReLU(),
        nn.Linear(200, 200),
    )
    params = net.init(rng)
    variances = [params[i]["weight"].var() for i in (0, 2, 4, 8)]
    variances.append(params[6][0]["weight"].var())
    he, xavier = 2 / 200, 2 / 400
    assert variances == pytest.approx([he, xavier, 0, xavier, he], rel=0.05)


def test_he_keeps_the_second_moment_through_relu_layers(rng):
    net = nn.mlp([256] * 11, "relu")
    params = net.init(rng)
    x = rng.normal(size=(100, 256))
    for layer, own in zip(net.layers[:20], params[:20], strict=True):
        x = layer.apply(own, x)
    # It starts at 1; Xavier's variance, half as large, would leave 2⁻¹⁰ of it.
    assert 0.3 < np.mean(x**2) < 1.2


def test_a_function_of_ones_own_is_an_initializer(rng):
    layer = nn.Linear(2, 3, initializer=lambda rng, n_in, n_out: np.eye(n_in, n_out))
    np.testing.assert_array_equal(layer.init(rng)["weight"], np.eye(2, 3))


def test_unknown_initializers_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'xavier'"):
        nn.Linear(2, 3, initializer="xaver")
    with pytest.raises(UserInputError, match="is not an initializer"):
        nn.get_initializer(0.1)  # type: ignore[arg-type]
