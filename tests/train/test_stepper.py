"""`train.Stepper`: the loop a reader would write by hand, in one call."""

from typing import Any, cast

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import losses, nn, optim, train
from diffkit.errors import (
    DivergenceError,
    DtypeError,
    NonFiniteError,
    PreparationMismatchError,
    ShapeError,
    UserInputError,
)
from diffkit.train.updates import ByEngine

NET = nn.mlp((3, 5, 2))


def problem(dtype=np.float64):
    rng = np.random.default_rng(3)
    params: Any = NET.init(rng, dtype)
    x, y = rng.normal(size=(8, 3)).astype(dtype), rng.integers(0, 2, size=8)
    return params, x, y


def loss(params, x, y):
    return losses.cross_entropy(NET.apply(params, x), y)


def same(mine, theirs):
    assert optree.tree_structure(mine) == optree.tree_structure(theirs)
    for a, b in zip(optree.tree_leaves(mine), optree.tree_leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


STRANGER = optim.Optimizer(optim.adam(0.1).init, optim.adam(0.1).update)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "optimizer, backend",
    [
        (optim.adam(0.1), "autodiff"),
        (optim.chain(optim.clip_by_global_norm(0.5), optim.nesterov(0.1)), "autodiff"),
        (STRANGER, "autodiff"),
        (optim.adamw(0.1), "forward"),
        (optim.sgd(0.1), dk.get_backend("autodiff", runtime="numpy")),
    ],
    ids=str,
)
def test_a_step_is_gradient_and_update(optimizer, backend, dtype):
    params, x, y = problem(dtype)
    given = optree.tree_map(np.array, params)
    prepared = dk.prepare(loss, params, x, y, backend=backend)
    step = train.Stepper(prepared, optimizer, params)
    state, mine = optimizer.init(params), params
    for taken in range(1, 8):
        value, grads = prepared(mine, x, y)
        updates, state = optimizer.update(grads, state, mine)
        mine = optim.apply_updates(mine, updates)
        assert step(x, y) == value
        same(step.params, mine)
        same(step.state, state)
        assert step.taken == taken
    same(params, given)


def test_a_state_is_gone_on_from():
    params, x, y = problem()
    prepared, optimizer = dk.prepare(loss, params, x, y), optim.adam(0.1)
    whole = train.Stepper(prepared, optimizer, params)
    first = train.Stepper(prepared, optimizer, params)
    for _ in range(3):
        whole(x, y)
        first(x, y)
    rest = train.Stepper(prepared, optimizer, first.params, first.state)
    for _ in range(3):
        assert whole(x, y) == rest(x, y)
    same(whole.params, rest.params)


def test_auxiliary_outputs_come_along():
    def both(w, x):
        return np.sum((x @ w) ** 2), x @ w

    w, x = np.ones(3), np.eye(3)
    prepared = dk.prepare(both, w, x, has_aux=True)
    step = train.Stepper(prepared, optim.sgd(0.25), w)
    value, outputs = step(x)
    assert (value, outputs.tolist()) == (3.0, [1.0, 1.0, 1.0])
    assert step.params.tolist() == [0.5, 0.5, 0.5]


def test_a_loss_that_is_lost_takes_no_step():
    def risky(w, x):
        return np.sum(np.log(w * x))

    w, x = np.array([1.0, 2.0]), np.ones(2)
    step = train.Stepper(dk.prepare(risky, w, x), optim.sgd(0.1), w)
    step(x)
    before, state = step.params, step.state
    with pytest.raises(DivergenceError, match="at step 2: the loss is nan"):
        step(-x)
    same((step.params, step.state, step.taken), (before, state, 1))
    with pytest.raises(NonFiniteError, match="x"):
        step(np.array([1.0, np.nan]))
    with pytest.raises(PreparationMismatchError):
        step(np.ones(3))
    same((step.params, step.state, step.taken), (before, state, 1))


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interruption_leaves_the_last_whole_step(when, monkeypatch):
    params, x, y = problem()
    prepared, optimizer = dk.prepare(loss, params, x, y), optim.adam(0.1)
    undisturbed = train.Stepper(prepared, optimizer, params)
    step = train.Stepper(prepared, optimizer, params)
    original = ByEngine.__call__

    def interrupted(this, *args):
        if when == "after":  # The native pass is done, and nobody was told.
            original(this, *args)
        raise KeyboardInterrupt

    for k in range(4):
        step(x, y)
        undisturbed(x, y)
        with monkeypatch.context() as disturbed:
            disturbed.setattr(ByEngine, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                step(x, y)
        same(step.params, undisturbed.params)
        same(step.state, undisturbed.state)
        assert step.taken == k + 1


def prepared_for(params, x, y, **options):
    return dk.prepare(loss, params, x, y, **options)


def test_what_cannot_be_stepped_is_said():
    params, x, y = problem()
    prepared, adam = prepared_for(params, x, y), optim.adam(0.1)
    stepper: Any = train.Stepper
    with pytest.raises(UserInputError, match="has no init and update"):
        stepper(prepared, 0.1, params)
    with pytest.raises(UserInputError, match=r"what dk\.prepare\(loss"):
        stepper(loss, adam, params)
    whole = optree.tree_map(lambda a: a.astype(int), params)
    with pytest.raises(DtypeError, match="must be all float64 or all float32"):
        stepper(prepared, adam, whole)
    lost = optree.tree_map(lambda a: np.full_like(a, np.nan), params)
    with pytest.raises(NonFiniteError):
        stepper(prepared, adam, lost)
    with pytest.raises(ShapeError, match="prepared for parameters of shapes"):
        stepper(
            prepared, adam, cast(Any, nn.mlp((3, 4, 2))).init(np.random.default_rng(0))
        )
    other = prepared_for(params, x, y, argnums=(0, 1))
    with pytest.raises(UserInputError, match="argnums=0"):
        stepper(other, adam, params)
    for state in (optim.sgd(0.1).init(params), adam.init({"w": np.ones(2)})):
        with pytest.raises(UserInputError, match="state is not one of adam"):
            stepper(prepared, adam, params, state)
