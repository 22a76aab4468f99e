from importlib import import_module
from math import nan
from typing import Any, cast

import numpy as np
import optree
import pytest

from diffkit import optim
from diffkit.errors import DtypeError, ShapeError, UserInputError


def changed(transform, grads, params=None):
    return transform.update(grads, transform.init(grads), params)[0]


def test_the_global_norm_is_that_of_all_leaves_together(rng):
    tree = {"w": rng.normal(size=(3, 4)), "b": (rng.normal(size=4), np.array(2.0))}
    vector = np.concatenate([np.ravel(a) for a in optree.tree_leaves(tree)])
    assert optim.global_norm(tree) == pytest.approx(np.linalg.norm(vector), rel=1e-14)
    assert optim.global_norm(vector) == optim.global_norm(tree)
    assert optim.global_norm({}) == 0


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1.0, 1e160, 1e300])
def test_the_norm_neither_over_nor_underflows(size):
    assert optim.global_norm(np.array([3.0, 4.0]) * size) == pytest.approx(5 * size)


def test_clipping_by_norm_keeps_the_direction_and_leaves_short_ones_alone(rng):
    grads = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    short = changed(optim.clip_by_global_norm(0.1), grads)
    assert optim.global_norm(short) == pytest.approx(0.1, rel=1e-12)
    ratio = [short[k] / grads[k] for k in grads]
    np.testing.assert_allclose(ratio[0], ratio[1].flat[0], rtol=1e-12)
    assert changed(optim.clip_by_global_norm(100.0), grads) is grads
    # What is not finite is for the trainer to see, not to hide.
    lost = {"w": np.array([nan, 1.0])}
    assert changed(optim.clip_by_global_norm(1.0), lost) is lost


def test_clipping_by_value_holds_each_element(rng):
    g = rng.normal(size=50)
    found = changed(optim.clip_by_value(0.5), g)
    np.testing.assert_array_equal(found, [max(min(x, 0.5), -0.5) for x in g])
    assert np.isnan(changed(optim.clip_by_value(0.5), np.array([nan]))[0])


@pytest.mark.peers
def test_clipping_equals_pytorchs(rng):
    torch = import_module("torch")
    for size in (0.1, 10.0):
        g = size * rng.normal(size=20)
        leaf = torch.zeros(20, dtype=torch.float64)
        leaf.grad = torch.tensor(g)
        norm = np.linalg.norm(g)
        # Theirs divides by the norm + 1e-6: at this limit both shorten alike.
        torch.nn.utils.clip_grad_norm_([leaf], (norm + 1e-6) / norm)
        ours = changed(optim.clip_by_global_norm(1.0), g)
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-10)
        leaf.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_value_([leaf], 0.3)
        found = changed(optim.clip_by_value(0.3), g)
        np.testing.assert_array_equal(found, leaf.grad.numpy())


def test_a_chain_hands_on_from_left_to_right(rng):
    params, g = {"w": rng.normal(size=3)}, {"w": rng.normal(size=3)}
    chained = optim.chain(
        optim.weight_decay(0.1), optim.clip_by_value(0.2), optim.momentum(0.5, 0.5)
    )
    state, v, w = chained.init(params), np.zeros(3), params["w"]
    for _ in range(5):
        updates, state = chained.update(g, state, params)
        params = optim.apply_updates(params, updates)
        v = 0.5 * v + np.clip(g["w"] + 0.1 * w, -0.2, 0.2)
        w = w - 0.5 * v
        np.testing.assert_allclose(params["w"], w, rtol=1e-13)
    assert (
        str(chained)
        == "chain(weight_decay(0.1), clip_by_value(0.2), momentum(0.5, 0.5))"
    )
    assert chained.observe is None


def test_a_chain_of_chains_observes():
    inner = optim.chain(optim.sgd(1.0), optim.reduce_on_plateau(0.5, patience=0))
    outer = optim.chain(optim.clip_by_value(1.0), inner)
    observe, state = outer.observe, outer.init(np.ones(1))
    assert observe is not None
    state = observe(observe(state, 1.0), 2.0)
    assert outer.update(np.full(1, 9.0), state)[0].item() == -0.5


def test_a_stranger_without_claims_is_taken_leaf_by_leaf():
    class Stranger:
        init = staticmethod(lambda params: ())
        update = staticmethod(lambda grads, state, params: (grads, state))

    stranger = cast(Any, Stranger())
    assert optim.chain(optim.sgd(1.0)).one_vector
    assert not optim.chain(optim.sgd(1.0), stranger).one_vector


def test_accumulating_gives_the_gradient_of_the_large_batch(rng):
    x, y, w = rng.normal(size=(20, 3)), rng.normal(size=20), rng.normal(size=3)

    def gradient(rows):
        return 2 * x[rows].T @ (x[rows] @ w - y[rows]) / len(rows)

    so_far = optim.start_accumulating(w)
    for rows in np.split(np.arange(20), [7, 14]):
        so_far = optim.accumulate(so_far, gradient(rows), len(rows))
    found, whole = optim.mean_gradient(so_far), gradient(np.arange(20))
    np.testing.assert_allclose(found, whole, rtol=1e-12)


def test_claim_c24_gradients_that_are_never_reset_add_up(rng):
    # k·g after k calls: the k-th step of a steady gradient is k times too long.
    params, g = {"w": rng.normal(size=3)}, {"w": rng.normal(size=3)}
    optimizer, forgotten = optim.sgd(0.1), optim.start_accumulating(params)
    for k in range(1, 6):
        forgotten = optim.accumulate(forgotten, g)
        np.testing.assert_allclose(forgotten.total["w"], k * g["w"], rtol=1e-14)
        updates, _ = optimizer.update(forgotten.total, optimizer.init(params))
        np.testing.assert_allclose(updates["w"], -0.1 * k * g["w"], rtol=1e-14)


@pytest.mark.peers
def test_claim_c24_pytorch_adds_up_too():
    torch = import_module("torch")
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    for k in range(1, 4):
        (3 * w).sum().backward()
        assert w.grad.tolist() == [3.0 * k, 3.0 * k]


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: optim.chain(), "at least one"),
        (lambda: optim.chain(cast(Any, 0.1)), "transform 0 is 0.1"),
        (lambda: optim.clip_by_value(0), "clip_by_value: limit must be a positive"),
        (lambda: optim.clip_by_global_norm(nan), "clip_by_global_norm: limit must"),
        (lambda: optim.weight_decay(-1), "weight_decay: penalty must be a number from"),
        (lambda: optim.scale(nan), "scale: factor must be finite"),
        (lambda: changed(optim.adamw(), np.ones(1)), "adamw: its update needs the par"),
        (lambda: changed(optim.weight_decay(1), np.ones(1)), "its update needs the"),
        (
            lambda: optim.mean_gradient(optim.start_accumulating(np.ones(1))),
            "Nothing was accumulated",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, said):
    with pytest.raises(UserInputError, match=said):
        build()


def test_transforms_check_what_they_are_given():
    with pytest.raises(DtypeError, match="int64"):
        optim.clip_by_value(1.0).init({"w": np.array([1])})
    so_far = optim.start_accumulating({"w": np.ones(2)})
    with pytest.raises(ShapeError, match=r"params\['w'\] have shape \(3,\)"):
        optim.accumulate(so_far, {"w": np.ones(3)})
