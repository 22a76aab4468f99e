"""Normalisation, dropout and skips: alone, on every backend, and beside PyTorch's."""

from importlib import import_module

import numpy as np
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import diffkit as dk
from diffkit import nn
from diffkit.errors import ShapeError, UserInputError

BACKENDS = ["autodiff", "forward", "symbolic", "finite_differences"]


def frozen(tree):
    def freeze(leaf):
        array = np.array(leaf)
        array.flags.writeable = False
        return array

    return optree.tree_map(freeze, tree)


def shaken(params, rng):
    """Parameters moved away from 1 and 0, where mistakes would not show."""
    return frozen(optree.tree_map(lambda p: p + 0.3 * rng.normal(size=p.shape), params))


def everything():
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm(4),
        nn.GELU(),
        nn.Residual(
            nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.4), nn.LayerNorm(4), nn.ELU())
        ),
        nn.Dropout(0.25),
        nn.Linear(4, 2),
        nn.LogSoftmax(),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_of_every_layer_has_exact_gradients(backend, rng):
    net = everything()
    params, x = shaken(net.init(rng), rng), rng.normal(size=(5, 3))
    state, masks = frozen(net.init_state()), frozen(net.masks(rng, 5))
    labels = rng.integers(0, 2, 5)

    def training(params, x, labels, state, masks):
        y, after = net.apply_training(params, x, state, masks)
        return dk.losses.nll(y, labels), after

    def evaluation(params, x, labels, state):
        return dk.losses.nll(net.apply(params, x, state), labels)

    args = (params, x, labels, state, masks)
    # The mean of a batch of five cancels digits that differences do not have.
    report = dk.check_grads(training, args, backend=backend, has_aux=True)
    assert report.value_error < 1e-12
    assert dk.check_grads(evaluation, args[:4], backend=backend).passed

    (_, after), _ = dk.value_and_grad(training, backend=backend, has_aux=True)(*args)
    _, expected = net.apply_training(params, x, state, masks)
    assert optree.tree_structure(after) == optree.tree_structure(state)
    for ours, plain in zip(
        optree.tree_leaves(after), optree.tree_leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, plain, rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm(3), nn.LayerNorm(3), nn.Dropout(0.5, 3), nn.Residual(nn.Tanh())],
    ids=str,
)
def test_gradients_in_the_input_are_exact(layer, backend, rng):
    x, seed = rng.normal(size=(4, 3)) + 5.0, rng.normal(size=(4, 3))
    params, masks = shaken(layer.init(rng), rng), layer.masks(rng, 4)

    def f(x, seed, params):
        y, _ = layer.apply_training(params, x, layer.init_state(), masks)
        return np.sum(y * seed)

    assert dk.check_grads(f, (x, seed, params), backend=backend).passed


@pytest.mark.parametrize("name, axis", [("BatchNorm", 0), ("LayerNorm", 1)])
def test_normalisation_and_its_gradients_in_closed_form(name, axis, rng):
    # Ioffe and Szegedy (2015), section 3: the statistics are differentiated through.
    layer = getattr(nn, name)(3)
    params, x = shaken(layer.init(rng), rng), rng.normal(size=(7, 3))
    g = rng.normal(size=x.shape)
    deviation = np.sqrt(x.var(axis=axis, keepdims=True) + layer.epsilon)
    hat = (x - x.mean(axis=axis, keepdims=True)) / deviation
    y, _ = layer.apply_training(params, x, layer.init_state())
    np.testing.assert_allclose(y, hat * params["weight"] + params["bias"], rtol=1e-12)

    def f(params, x):
        return np.sum(layer.apply_training(params, x, layer.init_state())[0] * g)

    _, (by_params, by_x) = dk.value_and_grad(f, argnums=(0, 1))(params, x)
    gw = g * params["weight"]
    through = gw.mean(axis=axis, keepdims=True)
    scaled = hat * (gw * hat).mean(axis=axis, keepdims=True)
    expected = (gw - through - scaled) / deviation
    np.testing.assert_allclose(by_x, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_params["weight"], (g * hat).sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(by_params["bias"], g.sum(axis=0), rtol=1e-12)


def test_a_bias_before_batch_norm_has_no_gradient(rng):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Tanh())
    params, x = shaken(net.init(rng), rng), rng.normal(size=(9, 3))
    gradient = dk.grad(
        lambda p: np.sum(net.apply_training(p, x, net.init_state())[0] ** 2)
    )(params)
    np.testing.assert_allclose(gradient[0]["bias"], 0.0, atol=1e-13)
    assert np.abs(gradient[0]["weight"]).max() > 1e-3


# ---- batch normalisation ------------------------------------------------------------


@given(arrays(float, (6, 3), elements=st.floats(-100, 100)))
def test_batch_norm_gives_mean_zero_and_variance_one(x):
    layer = nn.BatchNorm(3)
    params = layer.init(np.random.default_rng(0))
    y, _ = layer.apply_training(params, x, layer.init_state())
    variance = x.var(axis=0)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-9)
    # ε keeps it a little below 1, and at 0 where all rows are alike.
    np.testing.assert_allclose(
        y.var(axis=0), variance / (variance + layer.epsilon), rtol=1e-6, atol=1e-9
    )


def test_batch_norm_in_training_does_not_see_scale_and_shift(rng):
    layer = nn.BatchNorm(3, epsilon=1e-12)
    params, x = layer.init(rng), rng.normal(size=(20, 3))
    y, _ = layer.apply_training(params, x, layer.init_state())
    moved, _ = layer.apply_training(params, 50.0 * x - 3.0, layer.init_state())
    np.testing.assert_allclose(moved, y, rtol=1e-9, atol=1e-11)


def test_running_statistics_tend_to_those_of_the_data(rng):
    layer = nn.BatchNorm(2)
    params, state = layer.init(rng), frozen(layer.init_state())
    mean, deviation = np.array([3.0, -1.0]), np.array([2.0, 0.5])
    for _ in range(400):
        x = mean + deviation * rng.normal(size=(50, 2))
        _, state = layer.apply_training(params, x, frozen(state))
    np.testing.assert_allclose(state["mean"], mean, atol=0.25)
    np.testing.assert_allclose(state["variance"], deviation**2, rtol=0.15)
    x = mean + deviation * rng.normal(size=(5000, 2))
    y = layer.apply(params, x, state)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=0.1)


def test_momentum_one_keeps_the_last_batch_and_zero_the_first_state(rng):
    x = rng.normal(size=(7, 2))
    for momentum, mean, variance in [
        (1.0, x.mean(axis=0), x.var(axis=0, ddof=1)),
        (0.0, np.zeros(2), np.ones(2)),
    ]:
        layer = nn.BatchNorm(2, momentum=momentum)
        _, state = layer.apply_training(layer.init(rng), x, layer.init_state())
        np.testing.assert_allclose(state["mean"], mean, rtol=1e-13, atol=1e-16)
        np.testing.assert_allclose(state["variance"], variance, rtol=1e-13)


def test_all_axes_but_the_last_are_the_batch(rng):
    layer = nn.BatchNorm(3)
    params, x = layer.init(rng), rng.normal(size=(2, 5, 3))
    y, state = layer.apply_training(params, x, layer.init_state())
    flat, same = layer.apply_training(params, x.reshape(10, 3), layer.init_state())
    np.testing.assert_allclose(y.reshape(10, 3), flat, rtol=1e-13)
    np.testing.assert_allclose(state["variance"], same["variance"], rtol=1e-13)


@pytest.mark.parametrize("layer", [nn.BatchNorm(2), nn.LayerNorm(2)], ids=str)
def test_a_large_mean_does_not_cancel_the_variance(layer, rng):
    x = rng.integers(-8, 9, size=(6, 2)).astype(float)
    params, state = layer.init(rng), layer.init_state()
    y, _ = layer.apply_training(params, x, state)
    far, _ = layer.apply_training(params, x + 2.0**40, state)
    np.testing.assert_allclose(far, y, rtol=1e-3, atol=1e-3)


# ---- dropout ------------------------------------------------------------------------


@given(st.floats(0, 0.95), st.integers(0, 2**32))
def test_dropout_keeps_the_expectation(rate, seed):
    mask = nn.Dropout(rate, 400).masks(np.random.default_rng(seed), 50)
    assert set(np.unique(mask)) <= {0.0, 1.0 / (1.0 - rate)}
    # The variance of an entry is rate/(1 − rate): six deviations of the mean.
    deviation = np.sqrt(rate / (1.0 - rate) / mask.size)
    assert abs(mask.mean() - 1.0) <= 6 * deviation + 1e-12


def test_masks_are_drawn_alike_in_both_precisions_and_fresh_each_time():
    net = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 1))
    rng = np.random.default_rng(1)
    first, second = net.masks(rng, 4), net.masks(rng, 4)
    assert [np.shape(mask) for mask in first] == [(0,), (4, 5), (0,)]
    assert (first[1] != second[1]).any()
    single = net.masks(np.random.default_rng(1), 4, np.float32)
    assert single[1].dtype == np.float32
    np.testing.assert_array_equal(single[1], first[1])
    assert np.shape(net.masks(rng, (2, 7))[1]) == (2, 7, 5)


def test_dropout_does_nothing_in_evaluation(rng):
    net = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.9))
    params, x = net.init(rng), rng.normal(size=(4, 3))
    np.testing.assert_array_equal(
        net.apply(params, x), net.layers[0].apply(params[0], x)
    )


# ---- residual -----------------------------------------------------------------------


def test_residual_passes_the_cotangent_through(rng):
    inner = nn.Sequential(nn.Linear(3, 3, initializer="zeros"), nn.Tanh())
    net = nn.Sequential(*[nn.Residual(inner)] * 30)
    params, x = net.init(rng), rng.normal(size=(2, 3))
    np.testing.assert_array_equal(net.apply(params, x), x)
    gradient = dk.grad(lambda x: np.sum(net.apply(params, x)))(x)
    np.testing.assert_array_equal(gradient, np.ones_like(x))


# ---- state and masks ----------------------------------------------------------------


def test_state_and_masks_nest_as_parameters_do(rng):
    net = everything()
    assert net.stateful
    assert net.stochastic
    state, masks = net.init_state(), net.masks(rng, 5)
    assert len(state) == len(masks) == len(net.init(rng)) == len(net)
    assert [i for i, own in enumerate(state) if own != ()] == [1]
    assert np.shape(masks[3][1]) == (5, 4)
    plain = nn.mlp((2, 3, 1))
    assert plain.init_state() == plain.masks(rng, 5) == ()
    assert not plain.stateful
    assert not plain.stochastic
    _, after = plain.apply_training(plain.init(rng), np.ones((4, 2)))
    assert after == ()


def test_float32_stays_float32(rng):
    net = everything()
    params, state = net.init(rng, np.float32), net.init_state(np.float32)
    x, masks = np.ones((4, 3), np.float32), net.masks(rng, 4, np.float32)
    y, after = net.apply_training(params, x, state, masks)
    assert y.dtype == net.apply(params, x, state).dtype == np.float32
    assert {a.dtype for a in optree.tree_leaves(after)} == {np.dtype(np.float32)}


def stateful():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.5))


@pytest.mark.parametrize("in_trace", [False, True])
@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda n, p, x, s, m: n.apply(p, x), UserInputError, "net.init_state"),
        (lambda n, p, x, s, m: n.apply_training(p, x), UserInputError, "has state"),
        (lambda n, p, x, s, m: n.apply_training(p, x, s), UserInputError, "net.masks"),
        (lambda n, p, x, s, m: n.apply(p, x, s[:2]), ShapeError, "3 layers.*state"),
        (
            lambda n, p, x, s, m: n.apply(p, x, ((), {"mean": np.ones(4)}, ())),
            ShapeError,
            r"layer 1, BatchNorm\(4\), has state",
        ),
        (
            lambda n, p, x, s, m: n.apply(
                p, x, ((), {"maen": np.ones(4), "variance": np.ones(4)}, ())
            ),
            ShapeError,
            "Did you mean 'mean' for 'maen'",
        ),
        (
            lambda n, p, x, s, m: n.apply_training(p, x[:1], s, m),
            ShapeError,
            "two rows or more",
        ),
        (
            lambda n, p, x, s, m: n.apply_training(p, x[:4], s, m),
            ShapeError,
            r"layer 2, Dropout\(0.5\), was given a mask.*\(5, 4\).*masks\(rng, 4",
        ),
        (
            lambda n, p, x, s, m: nn.mlp((3, 1)).apply(
                nn.mlp((3, 1)).init(np.random.default_rng(0)), x, (1,)
            ),
            ShapeError,
            "without state",
        ),
        (
            lambda n, p, x, s, m: n.apply((p[0], p[1], {"weight": 1.0}), x, s),
            ShapeError,
            r"layer 2, Dropout\(0.5\), has no parameters",
        ),
    ],
)
def test_state_masks_and_rows_that_do_not_fit_are_named(
    call, error, said, in_trace, rng
):
    net = stateful()
    params, state, masks = net.init(rng), net.init_state(), net.masks(rng, 5)
    x = rng.normal(size=(5, 3))

    def run(x):
        y = call(net, params, x, state, masks)
        return y[0] if isinstance(y, tuple) else y

    with pytest.raises(error, match=said):
        dk.trace(run, x) if in_trace else run(x)


@pytest.mark.parametrize(
    "build, error, said",
    [
        (lambda: nn.Dropout(1.0), UserInputError, "from 0 to below 1"),
        (lambda: nn.Dropout(-0.1), UserInputError, "from 0 to below 1"),
        (lambda: nn.Dropout(np.nan), UserInputError, "from 0 to below 1"),
        (lambda: nn.Dropout(True), UserInputError, "from 0 to below 1"),
        (lambda: nn.Dropout("0.5"), UserInputError, "from 0 to below 1"),  # type: ignore[arg-type]
        (lambda: nn.Dropout(0.5, 0), UserInputError, "positive integer"),
        (
            lambda: nn.Dropout(0.5).masks(np.random.default_rng(0), 3),
            ShapeError,
            r"Dropout\(0.5, n\)",
        ),
        (
            lambda: nn.Dropout(0.5, 2).masks(np.random, 3),  # type: ignore[arg-type]
            UserInputError,
            r"net\.masks\(np\.random\.default_rng",
        ),
        (
            lambda: nn.Dropout(0.5, 2).masks(np.random.default_rng(0), 0),
            UserInputError,
            "positive number of rows",
        ),
        (lambda: nn.BatchNorm(0), UserInputError, "positive integer"),
        (lambda: nn.BatchNorm(2, momentum=1.5), UserInputError, "from 0 to 1"),
        (lambda: nn.BatchNorm(2, epsilon=0.0), UserInputError, "square root"),
        (lambda: nn.LayerNorm(2, epsilon=np.inf), UserInputError, "square root"),
        (lambda: nn.Residual(nn.Linear(2, 3)), ShapeError, "gives 3 features.*expects"),
        (lambda: nn.Residual(nn.Tanh), UserInputError, "not a layer"),  # type: ignore[arg-type]
        (
            lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(4)),
            ShapeError,
            "layer 1, BatchNorm.4., expects 4 features and was given 3",
        ),
        (
            lambda: nn.Sequential(nn.Linear(2, 3), nn.Residual(nn.Linear(4, 4))),
            ShapeError,
            "expects 4 features and was given 3",
        ),
    ],
)
def test_layers_that_cannot_be_are_refused(build, error, said):
    with pytest.raises(error, match=said):
        build()


class Scale:
    """A layer of a user's own: nothing inherited, the interface alone."""

    parameter_count = 1
    stateful = stochastic = False

    def __str__(self):
        return "Scale()"

    def initializer_before(self, following):
        return following

    def features(self, given):
        return given

    def init(self, rng, dtype=np.float64, *, default="xavier"):
        return {"scale": np.ones((), dtype)}

    def init_state(self, dtype=np.float64):
        return ()

    def masks(self, rng, batch, dtype=np.float64, *, features=None):
        return ()

    def apply(self, params, x, state=()):
        return x * params["scale"]

    def apply_training(self, params, x, state=(), masks=()):
        return self.apply(params, x), ()


def test_a_layer_of_ones_own_takes_part(rng):
    net = nn.Sequential(nn.Linear(2, 3), Scale(), nn.Dropout(0.5), nn.Tanh())
    params, x = shaken(net.init(rng), rng), rng.normal(size=(4, 2))
    masks = net.masks(rng, 4)
    report = dk.check_grads(
        lambda p: np.sum(net.apply_training(p, x, (), masks)[0]), (params,)
    )
    assert report.passed
    assert "1.scale" in net.named_parameters(params)
    assert net.summary(batch=4).rows[2].parameters == 1


# ---- PyTorch ------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm"])
def test_normalisation_equals_pytorchs(name, rng):
    torch = import_module("torch")
    theirs = {
        "BatchNorm": lambda: torch.nn.BatchNorm1d(4, dtype=torch.float64),
        "LayerNorm": lambda: torch.nn.LayerNorm(4, dtype=torch.float64),
    }[name]()
    layer = getattr(nn, name)(4)
    params, state = shaken(layer.init(rng), rng), layer.init_state()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(params["weight"]))
        theirs.bias.copy_(torch.tensor(params["bias"]))
    seed = rng.normal(size=(6, 4))

    def f(params, x, state):
        y, after = layer.apply_training(params, x, state)
        return np.sum(y * seed), after

    for _ in range(3):
        x = 2 + 3 * rng.normal(size=(6, 4))
        theirs.zero_grad()
        leaf = torch.tensor(x, requires_grad=True)
        value = torch.sum(theirs(leaf) * torch.tensor(seed))
        value.backward()
        both = dk.value_and_grad(f, argnums=(0, 1), has_aux=True)
        (ours, state), (by_params, by_x) = both(params, x, state)
        assert ours == pytest.approx(value.item(), rel=1e-11)
        for gradient, expected in [
            (by_x, leaf.grad),
            (by_params["weight"], theirs.weight.grad),
            (by_params["bias"], theirs.bias.grad),
        ]:
            np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)
    if state:
        np.testing.assert_allclose(state["mean"], theirs.running_mean, rtol=1e-12)
        np.testing.assert_allclose(state["variance"], theirs.running_var, rtol=1e-12)
    theirs.eval()
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(
        layer.apply(params, x, state), expected, rtol=1e-11, atol=1e-13
    )


@pytest.mark.peers
def test_a_whole_network_equals_pytorchs(rng):
    torch = import_module("torch")

    class Skip(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return x + self.inner(x)

    t = torch.nn
    theirs = t.Sequential(
        t.Linear(3, 5),
        t.BatchNorm1d(5),
        t.ReLU(),
        Skip(t.Sequential(t.Linear(5, 5), t.LayerNorm(5), t.GELU())),
        t.Linear(5, 2),
    ).double()
    net = nn.Sequential(
        nn.Linear(3, 5),
        nn.BatchNorm(5),
        nn.ReLU(),
        nn.Residual(nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5), nn.GELU())),
        nn.Linear(5, 2),
    )
    params = shaken(net.init(rng), rng)
    named = net.named_parameters(params)
    own = {k.replace(".inner", ""): v for k, v in theirs.named_parameters()}
    assert own.keys() == named.keys()
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.tensor(named[name].T))
    x, labels = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    loss = t.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels))
    loss.backward()

    def f(params):
        y, _ = net.apply_training(params, x, net.init_state())
        return dk.losses.cross_entropy(y, labels)

    value, gradient = dk.value_and_grad(f)(params)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, array in net.named_parameters(gradient).items():
        np.testing.assert_allclose(
            array.T, own[name].grad, rtol=1e-10, atol=1e-14, err_msg=name
        )
