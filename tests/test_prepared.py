"""`prepare` once, call often; what differs is listed, what is wrong is named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pandas as pd
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.graph import trees
from tests.cases import mlp

W = np.array([0.5, -1.0, 2.0])
X = np.arange(12.0).reshape(4, 3) / 12


def f(w, x):
    return np.mean(np.tanh(x @ w) ** 2)


def test_a_prepared_program_runs_at_other_points():
    prepared = dk.prepare(f, np.zeros(3), X)
    value, gradient = prepared(W, X)
    assert value == pytest.approx(f(W, X), rel=1e-14)
    expected = dk.value_and_grad(f)(W, X)[1]
    np.testing.assert_array_equal(gradient, expected)


def test_info_says_what_it_cost():
    info = dk.prepare(f, W, X).info
    assert {"trace", "derive", "simplify", "lower"} <= set(info.seconds)
    assert info.operations > info.details["primal_operations"] > 0
    assert info.bytes > 0
    assert info.evaluations == 1


@pytest.mark.parametrize(
    "args, says",
    [
        ((W, X[:2]), "x: prepared as float64[4, 3], given float64[2, 3]"),
        ((W.astype(np.float32), X), "w: prepared as float64[3], given float32[3]"),
        ((W,), "x: prepared as float64[4, 3], given absent"),
        (([W], X), "w[0]: prepared as absent, given float64[3]"),
        ((W, X, X), "argument 2: prepared as absent, given float64[4, 3]"),
    ],
)
def test_a_mismatch_lists_each_field(args, says):
    prepared = dk.prepare(f, W, X)
    with pytest.raises(errors.PreparationMismatchError) as caught:
        prepared(*args)
    assert says in str(caught.value)
    assert "Prepare again" in str(caught.value)


def test_all_differences_are_listed_at_once():
    prepared = dk.prepare(f, W, X)
    with pytest.raises(errors.PreparationMismatchError) as caught:
        prepared(W[:2], X[:1])
    assert str(caught.value).count("prepared as") == 2


def test_an_equal_structure_of_another_kind_is_a_mismatch():
    prepared = dk.prepare(lambda p: np.sum(p[0]), [W])
    with pytest.raises(errors.PreparationMismatchError, match="structure"):
        prepared((W,))


def test_integers_where_floats_are_needed():
    with pytest.raises(errors.DtypeError, match=r"Argument w .* int64.*dtype=float"):
        dk.value_and_grad(f)(np.arange(3), X)
    with pytest.raises(errors.DtypeError, match="Argument w"):
        dk.grad(lambda w: w * 2.0)(3)
    # as data they are welcome
    value, _ = dk.value_and_grad(f)(W, np.arange(12).reshape(4, 3))
    assert np.isfinite(value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_named_with_their_index(bad):
    dirty = X.copy()
    dirty[2, 1] = bad
    with pytest.raises(
        errors.NonFiniteError, match=r"x\[2, 1\] is -?(nan|inf) \(1 of 12"
    ):
        dk.prepare(f, W, dirty)
    prepared = dk.prepare(f, W, X)
    if np.isnan(bad):  # tanh saturates at infinity: the value is finite, and right
        with pytest.raises(errors.NonFiniteError, match=r"x\[2, 1\]"):
            prepared(W, dirty)
        with pytest.raises(errors.NonFiniteError, match=r"x\[2, 1\]"):
            prepared.value(W, dirty)


def test_infinity_on_purpose_is_allowed():
    masked = np.array([0.0, -np.inf, 1.0])
    loss = dk.value_and_grad(lambda w, m: np.sum(np.exp(w + m)), nonfinite="allow")
    value, gradient = loss(W, masked)
    assert gradient[1] == 0.0
    assert value == pytest.approx(np.exp(0.5) + np.exp(3.0))
    with pytest.raises(errors.UserInputError, match="'raise' or 'allow'"):
        dk.prepare(f, W, X, nonfinite="ignore")


def test_overflow_of_finite_inputs_is_not_an_error():
    value, gradient = dk.value_and_grad(lambda w: np.sum(np.exp(w)))(np.array([1000.0]))
    assert value == np.inf
    assert gradient[0] == np.inf


def test_ragged_object_and_table_arguments():
    with pytest.raises(errors.DtypeError, match=r"Argument x .*ragged"):
        dk.prepare(f, W, np.array([[1.0], [1.0, 2.0]], dtype=object))
    with pytest.raises(errors.DtypeError, match="to_numpy"):
        dk.prepare(f, W, pd.DataFrame(X))


@pytest.mark.parametrize(
    "g, says",
    [
        (lambda w: w * 2.0, "array of shape (3,)"),
        (lambda w: (np.sum(w), w), "returned 2 arrays"),
    ],
)
def test_a_gradient_needs_a_scalar(g, says):
    with pytest.raises(errors.ShapeError) as caught:
        dk.prepare(g, W)
    assert says in str(caught.value)


@pytest.mark.parametrize("argnums", [2, -3, (0, 0), (), "w", True])
def test_argnums_that_do_not_fit(argnums):
    with pytest.raises(errors.UserInputError, match="argnums"):
        dk.prepare(f, W, X, argnums=argnums)


def test_argnums_choose_and_nest():
    _, (dx, dw) = dk.prepare(f, W, X, argnums=(1, 0))(W, X)
    assert (dx.shape, dw.shape) == (X.shape, W.shape)
    _, last = dk.prepare(f, W, X, argnums=-1)(W, X)
    np.testing.assert_array_equal(last, dx)


def test_auxiliary_outputs_are_returned_as_they_were_nested():
    def with_aux(w, x):
        h = np.tanh(x @ w)
        return np.mean(h**2), {"hidden": h, "size": [np.sum(w)]}

    for backend in ("autodiff", "forward", "finite_differences", "symbolic"):
        (value, aux), gradient = dk.value_and_grad(
            with_aux, backend=backend, has_aux=True
        )(W, X)
        assert value == pytest.approx(f(W, X), rel=1e-14)
        np.testing.assert_allclose(aux["hidden"], np.tanh(X @ W), rtol=1e-14)
        np.testing.assert_allclose(aux["size"][0], 1.5, rtol=1e-15)
        np.testing.assert_allclose(gradient, dk.grad(f)(W, X), rtol=1e-6)
    with pytest.raises(errors.ShapeError, match="auxiliary"):
        dk.value_and_grad(f, has_aux=True)(W, X)


def test_results_are_fresh_arrays():
    prepared = dk.prepare(f, W, X)
    _, first = prepared(W, X)
    kept = first.copy()
    first[:] = 99.0
    _, second = prepared(W, X)
    np.testing.assert_array_equal(second, kept)


def test_any_memory_layout_gives_the_same():
    prepared = dk.prepare(f, W, X)
    expected = prepared(W, X)[1]
    wide = np.zeros((4, 6))
    wide[:, ::2] = X
    for layout in (np.asfortranarray(X), wide[:, ::2], X[::-1].copy()[::-1]):
        np.testing.assert_array_equal(prepared(W, layout)[1], expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("inside", [1, 2])
@pytest.mark.parametrize("threads", [2, 8])
def test_concurrent_calls_give_the_bits_of_serial_ones(threads, inside, dtype):
    """All callers begin at once, on a network whose large products are cut in parts."""
    loss, (params, x, y) = mlp([20, 300, 300, 1], batch=300)
    backend = dk.get_backend("autodiff", dtype=dtype, threads=inside)
    prepared = dk.prepare(loss, params, x, y, backend=backend)
    batches = [x * k for k in range(3 * threads)]
    alone = [bits(prepared(params, batch, y)) for batch in batches]
    values = [prepared.value(params, batch, y) for batch in batches]
    start = Barrier(threads)

    def work(first):
        start.wait()
        mine = batches[first::threads]
        return [
            (bits(prepared(params, batch, y)), prepared.value(params, batch, y))
            for batch in mine
        ]

    with ThreadPoolExecutor(threads) as pool:
        for first, found in enumerate(pool.map(work, range(threads))):
            assert [one for one, _ in found] == alone[first::threads]
            assert [value for _, value in found] == values[first::threads]


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "two", None])
def test_a_number_of_threads_that_makes_no_sense(threads):
    with pytest.raises(errors.UserInputError, match="is no number of threads"):
        dk.get_backend("autodiff", threads=threads)


def test_threads_need_the_engine():
    with pytest.raises(errors.UserInputError, match="needs the engine"):
        dk.get_backend("autodiff", threads=2, runtime="numpy")


def bits(result):
    return [np.asarray(leaf).tobytes() for leaf in trees.leaves(result)]


def test_value_and_grad_prepares_once_for_each_shape():
    calls = []

    def counted(w, x):
        calls.append(x.shape)
        return f(w, x)

    both = dk.value_and_grad(counted)
    for batch in (4, 2, 4, 2, 4):
        both(W, X[:batch])
    assert calls == [(4, 3), (2, 3)]


def test_gradients_of_gradients():
    third = dk.grad(dk.grad(dk.grad(lambda x: x**4)))
    assert third(2.0) == pytest.approx(48.0, rel=1e-15)

    def penalised(w, x):
        value, slope = dk.value_and_grad(f)(w, x)
        return value + np.sum(slope**2)

    assert dk.check_grads(penalised, (W, X)).relative_error < 1e-12
    numeric = dk.value_and_grad(penalised, backend="finite_differences")(W, X)[1]
    np.testing.assert_allclose(dk.grad(penalised)(W, X), numeric, rtol=1e-6)
    differences = dk.grad(f, backend="finite_differences")
    with pytest.raises(errors.BackendError, match="gradient of a gradient"):
        dk.grad(lambda w: np.sum(differences(w, X)))(W)
