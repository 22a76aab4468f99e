from importlib import import_module
from math import inf, nan
from typing import Any, cast

import numpy as np
import optree
import pytest

from diffkit import optim
from diffkit.errors import DtypeError, ShapeError, UserInputError

OPTIMIZERS = {
    "sgd": optim.sgd(0.05),
    "momentum": optim.momentum(0.05, 0.8),
    "averaged_momentum": optim.averaged_momentum(0.05, 0.8),
    "nesterov": optim.nesterov(0.05, 0.8),
    "adagrad": optim.adagrad(0.05, 1e-6),
    "rmsprop": optim.rmsprop(0.05, 0.9, 1e-6),
    "adam": optim.adam(0.05, 0.85, 0.95, 1e-6),
    "adamw": optim.adamw(0.05, 0.85, 0.95, 1e-6, 0.3),
}


def locked(tree):
    """A copy of the tree whose arrays cannot be written to."""

    def lock(leaf):
        array = np.array(leaf)
        array.flags.writeable = False
        return array

    return optree.tree_map(lock, tree)


def run(optimizer, params, gradients):
    """The parameters after each gradient, everything handed over read-only."""
    params, state, path = locked(params), locked(optimizer.init(params)), []
    for gradient in gradients:
        updates, state = optimizer.update(locked(gradient), state, params)
        params = locked(optim.apply_updates(params, locked(updates)))
        state = locked(state)
        path.append(params)
    return path


def by_hand(name, w, gradients):
    """Each recurrence on one scalar, as its source writes it."""
    m = v = 0.0
    before = w
    for t, g in enumerate(gradients, start=1):
        if name == "sgd":
            w = w - 0.05 * g
        elif name == "momentum":  # Polyak's own form
            w, before = w - 0.05 * g + 0.8 * (w - before), w
        elif name == "averaged_momentum":
            m = 0.8 * m + 0.2 * g
            w = w - 0.05 * m
        elif name == "nesterov":  # Sutskever's form; w is the point looked ahead to
            theta = w - 0.8 * m
            m = 0.8 * m - 0.05 * g
            w = theta + m + 0.8 * m
        elif name == "adagrad":
            v += g**2
            w = w - 0.05 * g / (v**0.5 + 1e-6)
        elif name == "rmsprop":
            v = 0.9 * v + 0.1 * g**2
            w = w - 0.05 * g / (v**0.5 + 1e-6)
        else:
            if name == "adamw":
                w = w - 0.05 * 0.3 * w
            m = 0.85 * m + 0.15 * g
            v = 0.95 * v + 0.05 * g**2
            m_hat, v_hat = m / (1 - 0.85**t), v / (1 - 0.95**t)
            w = w - 0.05 * m_hat / (v_hat**0.5 + 1e-6)
        yield w


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_path_is_the_recurrence_of_the_source(name, rng):
    gradients = rng.normal(size=(60, 3))
    path = run(OPTIMIZERS[name], np.ones(3), gradients)
    for i in range(3):
        expected = list(by_hand(name, 1.0, gradients[:, i]))
        np.testing.assert_allclose([w[i] for w in path], expected, rtol=1e-11)


def test_claim_c1_gradient_descent_on_one_weight():
    # L = (w − 3)², α = 0.1: w_k = 3(1 − 0.8ᵏ).
    optimizer, w = optim.sgd(0.1), np.array(0.0)
    state, path = optimizer.init(w), []
    for _ in range(20):
        updates, state = optimizer.update(2 * (w - 3), state)
        w = optim.apply_updates(w, updates)
        path.append(float(w))
    assert path[:2] == pytest.approx([0.6, 1.08], rel=1e-15)
    np.testing.assert_allclose(path, 3 * (1 - 0.8 ** np.arange(1, 21)), rtol=1e-14)


def test_the_two_forms_of_momentum_differ_by_a_rate(rng):
    gradients = rng.normal(size=(60, 3))
    heavy = run(optim.momentum(0.05, 0.8), np.ones(3), gradients)
    averaged = run(
        optim.averaged_momentum(0.05 / (1 - 0.8), 0.8), np.ones(3), gradients
    )
    np.testing.assert_allclose(averaged, heavy, rtol=1e-12)


def test_the_averaged_form_reaches_the_rate_itself():
    path = run(optim.averaged_momentum(0.1, 0.9), np.zeros(1), np.ones((400, 1)))
    assert path[-2][0] - path[-1][0] == pytest.approx(0.1, rel=1e-12)


def test_claim_c21_the_rate_of_adagrad_decays_to_zero():
    path = run(optim.adagrad(0.1), np.zeros(1), np.full((400, 1), 3.0))
    lengths = -np.diff([0.0, *(w[0] for w in path)])
    np.testing.assert_allclose(lengths, 0.1 / np.sqrt(np.arange(1, 401)), rtol=1e-9)


def test_claim_c21_what_the_epsilon_of_rmsprop_is_for():
    gradients = [np.array([0.0, 1.0])]
    with np.errstate(invalid="ignore"):
        (without,) = run(optim.rmsprop(eps=0.0), np.zeros(2), gradients)
    (with_it,) = run(optim.rmsprop(), np.zeros(2), gradients)
    assert np.isnan(without[0])
    assert with_it[0] == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_flat_vector_gives_the_same_numbers(name, rng):
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), OPTIMIZERS[name])
    assert optimizer.one_vector
    params = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}

    def flat(tree):
        return np.concatenate([np.ravel(a) for a in optree.tree_leaves(tree)])

    gradients = [
        optree.tree_map(lambda a: rng.normal(size=a.shape), params) for _ in range(20)
    ]
    nested = run(optimizer, params, gradients)
    vectors = run(optimizer, flat(params), [flat(g) for g in gradients])
    np.testing.assert_array_equal([flat(w) for w in nested], vectors)


def test_momentum_reaches_the_effective_rate_of_its_form():
    path = run(optim.momentum(0.1, 0.9), np.zeros(1), np.ones((400, 1)))
    assert path[-2][0] - path[-1][0] == pytest.approx(0.1 / (1 - 0.9), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_first_step_of_adam_has_the_length_of_the_rate(scale):
    (w,) = run(optim.adam(0.01), np.zeros(2), [np.array([scale, -scale])])
    np.testing.assert_allclose(w, [-0.01, 0.01], rtol=2e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_nesting_and_both_precisions(name, dtype, rng):
    params: Any = (
        {"weight": rng.normal(size=(2, 3)), "bias": np.zeros(3)},
        (),
        [np.array(1.5), rng.normal(size=(0, 2))],
    )
    params = optree.tree_map(lambda a: a.astype(dtype), params)
    gradients = [optree.tree_map(np.ones_like, params)] * 3
    last = run(OPTIMIZERS[name], params, gradients)[-1]
    assert optree.tree_structure(last) == optree.tree_structure(params)
    for new, old in zip(
        optree.tree_leaves(last), optree.tree_leaves(params), strict=True
    ):
        assert new.dtype == dtype
        assert new.shape == old.shape
        assert (new < old).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_repeat_from_the_same_state(name, rng):
    optimizer, params = OPTIMIZERS[name], rng.normal(size=4)
    state = optimizer.init(params)
    first = optimizer.update(params, state, params)
    again = optimizer.update(params, state, params)
    np.testing.assert_array_equal(first[0], again[0])


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: optim.sgd(0.0), "sgd: rate must be a positive number and is 0.0"),
        (lambda: optim.sgd(-1), "rate must be a positive number"),
        (lambda: optim.sgd(nan), "rate must be a positive number"),
        (lambda: optim.sgd(inf), "rate must be a positive number"),
        (lambda: optim.sgd(cast(Any, "0.1")), "rate must be a positive number"),
        (lambda: optim.sgd(True), "rate must be a positive number"),
        (lambda: optim.momentum(0.1, 1.0), "momentum: beta must be at least 0 and"),
        (lambda: optim.momentum(0.1, -0.1), "beta must be at least 0"),
        (lambda: optim.adam(0.1, 1.0), "adam: b1"),
        (lambda: optim.adam(0.1, b2=1.5), "adam: b2"),
        (lambda: optim.adam(0.1, eps=0), "adam: eps must be a positive number"),
        (lambda: optim.adamw(weight_decay=-1), "adamw: weight_decay must be a number"),
        (lambda: optim.adagrad(eps=-1), "adagrad: eps must be a number from 0"),
        (lambda: optim.rmsprop(beta=1), "rmsprop: beta must be at least 0 and below"),
        (lambda: optim.nesterov(0.1, 2), "nesterov: beta"),
        (lambda: optim.averaged_momentum(0), "averaged_momentum: rate must be a pos"),
    ],
)
def test_hyperparameters_are_checked(build, said):
    with pytest.raises(UserInputError, match=said):
        build()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_does_not_fit_is_named(name):
    optimizer = OPTIMIZERS[name]
    with pytest.raises(DtypeError, match=r"params\['w'\] has dtype int64"):
        optimizer.init({"w": np.array([1, 2])})
    params = {"w": np.ones(2)}
    state = optimizer.init(params)
    with pytest.raises(ShapeError, match="nested as"):
        optimizer.update([np.ones(2)], state, params)
    with pytest.raises(ShapeError, match=r"params\['w'\] have shape \(3,\)"):
        optimizer.update({"w": np.ones(3)}, state, params)
    with pytest.raises(ShapeError, match=r"updates for params\['w'\] have shape \(\)"):
        optim.apply_updates(params, {"w": 1.0})


def test_optimizers_say_what_they_are():
    assert [str(o) for o in OPTIMIZERS.values()] == [
        "sgd(0.05)",
        "momentum(0.05, 0.8)",
        "averaged_momentum(0.05, 0.8)",
        "nesterov(0.05, 0.8)",
        "adagrad(0.05, 1e-06)",
        "rmsprop(0.05, 0.9, 1e-06)",
        "adam(0.05, 0.85, 0.95, 1e-06)",
        "adamw(0.05, 0.85, 0.95, 1e-06, 0.3)",
    ]


@pytest.mark.peers
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_200_steps_equal_pytorchs(name, rng):
    torch = import_module("torch")
    gradients = rng.normal(size=(200, 5))
    leaf = torch.ones(5, dtype=torch.float64, requires_grad=True)
    theirs = {
        "sgd": lambda: torch.optim.SGD([leaf], lr=0.05),
        "momentum": lambda: torch.optim.SGD([leaf], lr=0.05, momentum=0.8),
        # The same path as ours by the rate: its own dampening spares the first step.
        "averaged_momentum": lambda: torch.optim.SGD([leaf], lr=0.01, momentum=0.8),
        "nesterov": lambda: torch.optim.SGD(
            [leaf], lr=0.05, momentum=0.8, nesterov=True
        ),
        "adagrad": lambda: torch.optim.Adagrad([leaf], lr=0.05, eps=1e-6),
        "rmsprop": lambda: torch.optim.RMSprop([leaf], lr=0.05, alpha=0.9, eps=1e-6),
        "adam": lambda: torch.optim.Adam([leaf], lr=0.05, betas=(0.85, 0.95), eps=1e-6),
        "adamw": lambda: torch.optim.AdamW(
            [leaf], lr=0.05, betas=(0.85, 0.95), eps=1e-6, weight_decay=0.3
        ),
    }[name]()
    path = run(OPTIMIZERS[name], np.ones(5), gradients)
    for ours, gradient in zip(path, gradients, strict=True):
        leaf.grad = torch.tensor(gradient)
        theirs.step()
        np.testing.assert_allclose(ours, leaf.detach().numpy(), rtol=1e-10)
