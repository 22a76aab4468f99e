from importlib import import_module

import numpy as np
import pytest

from diffkit import nn
from diffkit.errors import UnknownNameError, UserInputError

N_IN, N_OUT = 300, 200
VARIANCES = {
    "zeros": 0.0,
    "uniform": 1 / 3,
    "xavier": 2 / 500,
    "xavier_uniform": 2 / 500,
    "he": 2 / 300,
    "he_uniform": 2 / 300,
}


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_the_variance_is_the_stated_one(name, rng):
    weight = nn.get_initializer(name)(rng, N_IN, N_OUT)
    assert weight.shape == (N_IN, N_OUT)
    assert weight.dtype == np.float64
    # The deviation of a sample variance of n normals is v·√(2/n): five of them.
    n = weight.size
    assert weight.var() == pytest.approx(VARIANCES[name], rel=5 * np.sqrt(2 / n))
    assert abs(weight.mean()) <= 5 * np.sqrt(VARIANCES[name] / n)
    if "uniform" in name:
        bound = np.sqrt(3 * VARIANCES[name])
        assert 0.999 * bound < abs(weight).max() <= bound


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


def test_initializers_with_a_number(rng):
    assert (nn.Constant(0.3)(rng, 2, 3) == 0.3).all()
    assert nn.Normal(4.0)(rng, 300, 300).var() == pytest.approx(4.0, rel=0.02)
    leaky = nn.He(slope=0.5)(rng, 300, 300).var()
    assert leaky == pytest.approx(2 / (1.25 * 300), rel=0.02)
    flat = nn.He(slope=0.5, shape="uniform")(rng, 300, 300)
    assert flat.var() == pytest.approx(2 / (1.25 * 300), rel=0.02)
    assert abs(flat).max() <= np.sqrt(6 / (1.25 * 300))
    net = nn.Sequential(nn.Linear(300, 300), nn.LeakyReLU(0.5))
    assert net.init(rng)[0]["weight"].var() == pytest.approx(leaky, rel=0.03)


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_normalisation_dropout_and_skips_do_not_hide_the_activation(name, rng):
    after = nn.get_activation(name)
    net = nn.Sequential(
        nn.Residual(nn.Linear(4, 4)), nn.BatchNorm(4), nn.LayerNorm(4), nn.Dropout(0.1)
    )
    assert net.initializer_before(after.rule) == after.rule
    drawn = nn.Sequential(*net.layers, after).init(np.random.default_rng(0))
    wanted = nn.get_initializer(after.rule)(np.random.default_rng(0), 4, 4)
    np.testing.assert_array_equal(drawn[0]["weight"], wanted)


@pytest.mark.peers
@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5])
def test_the_variances_are_pytorchs(slope, rng):
    torch = import_module("torch")
    gain = torch.nn.init.calculate_gain("leaky_relu", slope)
    he = nn.He(slope)(rng, 400, 100).var()
    assert he == pytest.approx(gain**2 / 400, rel=0.05)
    weight = torch.empty(200, 300, dtype=torch.float64)  # (out, in)
    for ours, theirs in [
        (nn.xavier, torch.nn.init.xavier_normal_),
        (nn.xavier_uniform, torch.nn.init.xavier_uniform_),
        (nn.he, lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu")),
        (
            nn.he_uniform,
            lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
        ),
    ]:
        expected = theirs(weight).numpy()
        drawn = ours(rng, 300, 200)
        assert drawn.var() == pytest.approx(expected.var(), rel=0.04)
        if "uniform" in ours.__name__:
            assert abs(drawn).max() == pytest.approx(abs(expected).max(), rel=1e-3)


@pytest.mark.parametrize(
    "build, error, said",
    [
        (lambda: nn.get_initializer("constant"), UserInputError, r"nn\.Constant"),
        (lambda: nn.get_initializer("normal"), UserInputError, r"nn\.Normal"),
        (lambda: nn.Constant(np.inf), UserInputError, "finite"),
        (lambda: nn.Normal(-1.0), UserInputError, "variance must be"),
        (lambda: nn.He(np.nan), UserInputError, "slope must be finite"),
        (lambda: nn.He(0.0, "unifrom"), UnknownNameError, "'uniform'"),
    ],
)
def test_initializers_that_make_no_sense_are_refused(build, error, said):
    with pytest.raises(error, match=said):
        build()


def test_a_function_of_ones_own_is_an_initializer(rng):
    layer = nn.Linear(2, 3, initializer=lambda rng, n_in, n_out: np.eye(n_in, n_out))
    np.testing.assert_array_equal(layer.init(rng)["weight"], np.eye(2, 3))


def test_unknown_initializers_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'xavier'"):
        nn.Linear(2, 3, initializer="xaver")
    with pytest.raises(UserInputError, match="is not an initializer"):
        nn.get_initializer(0.1)  # type: ignore[arg-type]
