"""Steps by the engine are those of the optimizers' pure functions, to the bit."""

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import optim
from diffkit.errors import ShapeError, UserInputError
from diffkit.optim import schedules
from diffkit.train.updates import ByEngine, ByUpdate, updates_for

ENGINE = dk.get_backend("autodiff")
RATE = schedules.WarmupCosine(0.1, warmup=5, steps=25)
OPTIMIZERS = {
    "sgd": optim.sgd(0.05),
    "momentum": optim.momentum(RATE, 0.8),
    "averaged_momentum": optim.averaged_momentum(0.05, 0.8),
    "nesterov": optim.nesterov(schedules.OneCycle(0.1, 30), 0.8),
    "adagrad": optim.adagrad(0.05, 1e-6),
    "rmsprop": optim.rmsprop(RATE, 0.9, 1e-6),
    "adam": optim.adam(schedules.Step(0.1, every=7), 0.85, 0.95, 1e-6),
    "adamw": optim.adamw(RATE, 0.85, 0.95, 1e-6, 0.3),
    "decayed": optim.chain(optim.weight_decay(0.1), optim.sgd(0.1)),
    "clipped": optim.chain(optim.clip_by_global_norm(5.0), optim.adam(0.1)),
    "clipped by value": optim.chain(optim.clip_by_value(0.4), optim.momentum(0.1)),
    "on a plateau": optim.chain(optim.adam(0.1), optim.reduce_on_plateau(0.5, 0)),
    "scaled after": optim.chain(optim.adagrad(0.1), optim.scale(0.5)),
    "a chain of chains": optim.chain(
        optim.chain(optim.weight_decay(0.01), optim.clip_by_global_norm(2.0)),
        optim.chain(optim.rmsprop(0.01), optim.scale(2.0)),
    ),
    "two that remember": optim.chain(optim.momentum(0.5, 0.5), optim.adam(0.1)),
}


def same(mine, theirs):
    assert optree.tree_structure(mine) == optree.tree_structure(theirs)
    for a, b in zip(optree.tree_leaves(mine), optree.tree_leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_by_the_engine_are_those_of_update(name, dtype, rng):
    optimizer = OPTIMIZERS[name]
    packed = rng.normal(size=37).astype(dtype)
    state = optimizer.init(packed)
    by_engine = updates_for(optimizer, packed, state, ENGINE)
    by_update = ByUpdate(optimizer)
    assert isinstance(by_engine, ByEngine)
    mine = theirs = packed, state
    for step in range(30):
        gradient = rng.normal(size=37).astype(dtype)
        if step % 2:  # both ways of handing a gradient over
            by_engine.gradient[:] = gradient
        mine = by_engine(*mine, by_engine.gradient if step % 2 else gradient)
        theirs = by_update(*theirs, gradient)
        same(mine, theirs)
        if optimizer.observe is not None and step % 5 == 4:
            mine = mine[0], optimizer.observe(mine[1], 1.0)
            theirs = theirs[0], optimizer.observe(theirs[1], 1.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_where_a_step_began_stands_until_the_next_step_is_done(name, rng):
    """Whatever happens after the arithmetic: what was handed over is still whole."""
    optimizer = OPTIMIZERS[name]
    packed = rng.normal(size=5)
    at = packed, optimizer.init(packed)
    updates = updates_for(optimizer, *at, ENGINE)
    for _ in range(6):
        before = optree.tree_map(np.array, at)
        gradient = rng.normal(size=5)
        after = updates(*at, gradient)
        same(at, before)
        # Again from there, as if the first attempt had been lost.
        first = optree.tree_map(np.array, after)
        same(updates(*at, gradient), first)
        same(at, before)
        if optimizer.observe is not None:
            observed = optimizer.observe(at[1], 3.0)
            updates(at[0], observed, gradient)
            same(at, before)
        at = updates(*at, gradient)


def test_a_step_can_begin_anywhere(rng):
    optimizer = optim.adam(0.1)
    by_update, packed = ByUpdate(optimizer), rng.normal(size=6)
    start = packed, optimizer.init(packed)
    updates = updates_for(optimizer, *start, ENGINE)
    gradients = rng.normal(size=(4, 6))
    elsewhere = start
    for gradient in gradients:
        elsewhere = by_update(*elsewhere, gradient)
    updates(*start, gradients[0])
    frozen = optree.tree_map(np.array, elsewhere)
    for leaf in optree.tree_leaves(frozen):
        leaf.flags.writeable = False
    same(updates(*frozen, gradients[0]), by_update(*elsewhere, gradients[0]))
    same(frozen, elsewhere)


def test_every_optimizer_here_says_its_step_in_stages():
    for optimizer in OPTIMIZERS.values():
        assert optimizer.stages is not None


def test_who_is_stepped_by_their_own_update(rng):
    packed, adam = rng.normal(size=3), optim.adam(0.1)
    stranger = optim.Optimizer(adam.init, adam.update, one_vector=True)
    numpy = dk.get_backend("autodiff", runtime="numpy")
    half, nested = packed.astype(np.float16), {"w": packed}
    for optimizer, params, backend in (
        (stranger, packed, ENGINE),
        (optim.chain(optim.clip_by_value(1.0), stranger), packed, ENGINE),
        (adam, packed, numpy),
        (adam, packed, dk.get_backend("null")),
        (adam, half, ENGINE),
        (adam, nested, ENGINE),
    ):
        state = optimizer.init(params)
        found = updates_for(optimizer, params, state, backend)
        assert isinstance(found, ByUpdate)
        assert found.gradient is None
        grads = optree.tree_map(np.ones_like, params)
        updates, after = optimizer.update(grads, state, params)
        same(found(params, state, grads), (optim.apply_updates(params, updates), after))


def test_states_that_do_not_fit_are_refused(rng):
    packed = rng.normal(size=3)
    adam, momentum = optim.adam(0.1), optim.momentum(0.1)
    state = adam.init(packed)
    updates = updates_for(adam, packed, state, ENGINE)
    with pytest.raises(
        UserInputError, match="adam: its state is of the kind AdamState"
    ):
        updates(packed, momentum.init(packed), packed)
    with pytest.raises(ShapeError, match=r"adam: its state .*\(4,\) for 3 parameters"):
        updates(packed, adam.init(np.ones(4)), packed)
    # And the one that does fit still does.
    same(updates(packed, state, packed), ByUpdate(adam)(packed, state, packed))


def test_a_rate_that_is_none_leaves_everything_in_place(rng):
    rates = iter([0.1, np.nan, 0.2])
    optimizer = optim.chain(optim.momentum(0.1), optim.sgd(lambda step: next(rates)))
    packed = rng.normal(size=3)
    at = packed, optimizer.init(packed)
    updates = updates_for(optimizer, *at, ENGINE)
    at = updates(*at, np.ones(3))
    before = optree.tree_map(np.array, at)
    with pytest.raises(UserInputError, match="gave the rate nan"):
        updates(*at, np.ones(3))
    same(at, before)
    after = updates(*at, np.ones(3))
    np.testing.assert_allclose(after[0], before[0] + 0.2 * 0.1 * 1.9)
