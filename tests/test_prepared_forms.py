"""One gradient in three forms: nested, as one vector, into arrays that are there.

Two oracles: the graph read by NumPy, and the way through copies that calls take where
native code does not fit. What the engine runs must be theirs to the bit.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffkit as dk
from diffkit import errors
from diffkit.engine import native_arrays
from diffkit.testing.cases import CASES, MIXTURE

BACKENDS: list[Any] = [
    "autodiff",
    "forward",
    "finite_differences",
    "symbolic",
    "exact",
    "null",
    dk.get_backend("autodiff", runtime="numpy"),
    dk.get_backend("autodiff", dtype="float32"),
    dk.get_backend("symbolic", runtime="engine"),
]
R = np.random.default_rng(1)
PARAMS = {"w": R.normal(size=(3, 2)), "more": [R.normal(size=2), np.array(0.5)]}
X = R.normal(size=(4, 3))
LABELS = np.array([0, 1, 1, 0])
KEEP = np.array([[True, False]] * 4)
DATA = (X, {"labels": LABELS, "keep": KEEP})


def loss(params, x, other):
    h = np.tanh(x @ params["w"] + params["more"][0]) * params["more"][1]
    h = np.where(other["keep"], h, 0.25)
    return np.mean((h - other["labels"][:, None]) ** 2)


def with_aux(params, x, other):
    h = x @ params["w"]
    return loss(params, x, other), {"h": h, "large": [h > 0.0]}


def leaves_of(tree):
    return optree.tree_leaves(tree)


def by_copies(prepared, args):
    """Value and gradients in order, by the way that all backends share."""
    value, gradients, aux = prepared.compiled(prepared.leaves(args))
    return value, gradients, aux


def assert_same(first, second):
    """Equal to the bit, with the same dtypes, shapes and (where kept) containers."""
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
        np.testing.assert_array_equal(a, b)


def all_forms(prepared, args):
    """The gradients of every form, as lists of leaves; the values must agree."""
    params, *data = args
    value, nested = prepared(*args)
    theta = prepared.pack(params)
    flat_value, vector = prepared.flat(theta, *data)
    out = np.full_like(vector, 7.0)
    out_value, same = prepared.flat(theta, *data, out=out)
    assert same is out
    grads = optree.tree_map(lambda leaf: np.full_like(leaf, 7.0), nested)
    into_value = prepared.into(grads, *args)
    values = [value, flat_value, out_value, into_value]
    trees = [nested, prepared.unpack(vector), prepared.unpack(out), grads]
    for tree in trees:
        assert optree.tree_structure(tree) == optree.tree_structure(params)
    return values, [leaves_of(tree) for tree in trees]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("backend", BACKENDS, ids=str)
def test_every_backend_gives_the_same_in_every_form(backend, case):
    prepared = dk.prepare(case.f, *case.args, backend=backend)
    for args in (case.args, case.elsewhere):
        value, gradients, _ = by_copies(prepared, args)
        values, forms = all_forms(prepared, args)
        assert_same(values, [value] * len(values))
        for form in forms:
            assert_same(form, gradients)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_data_of_any_kind_beside_the_numpy_reading(dtype):
    prepared = dk.prepare(
        loss, PARAMS, *DATA, backend=dk.get_backend("autodiff", dtype=dtype)
    )
    oracle = dk.prepare(
        loss, PARAMS, *DATA, backend=dk.get_backend("autodiff", runtime="numpy")
    )
    assert prepared._direct is not None
    assert oracle._direct is None
    args = (PARAMS, *DATA)
    truth_value, truth = oracle(*args)
    value, gradients, _ = by_copies(prepared, args)
    values, forms = all_forms(prepared, args)
    assert_same(values, [value] * len(values))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    assert value == pytest.approx(truth_value, rel=tolerance)
    for form in forms:
        assert_same(form, gradients)
        for mine, true in zip(form, leaves_of(truth), strict=True):
            np.testing.assert_allclose(mine, true, rtol=tolerance, atol=tolerance)


leaf_shapes = st.sampled_from([(), (1,), (3,), (2, 3), (0,), (2, 0, 1), (1, 2, 1, 2)])
shape_trees = st.recursive(
    leaf_shapes.map(np.zeros),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.tuples(inner, st.none())
        | st.dictionaries(st.sampled_from("zyxab"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=25)
@given(shape_trees, shape_trees, st.integers(0, 99), st.sampled_from([0, 1, (0, 1)]))
def test_any_nesting_goes_in_and_comes_out(params, data, seed, argnums):
    """The gradient of Σ sin(k·leaf) is known: k·cos(k·leaf), k by the leaf's number."""
    rng = np.random.default_rng(seed)
    args = optree.tree_map(lambda leaf: rng.normal(size=leaf.shape), (params, data))

    def f(*args):
        terms = [np.sum(np.sin(k * leaf)) for k, leaf in enumerate(leaves_of(args), 1)]
        return sum(terms, np.float64(0.0)) + np.sum(np.zeros(1))

    prepared = dk.prepare(f, *args, argnums=argnums)
    counter = iter(range(1, 99))
    slopes = optree.tree_map(lambda leaf: (k := next(counter)) * np.cos(k * leaf), args)
    expected = slopes if argnums == (0, 1) else slopes[argnums]
    chosen = args if argnums == (0, 1) else args[argnums]
    rest = {0: args[1:], 1: args[:1], (0, 1): ()}[argnums]
    value, nested = prepared(*args)
    theta = prepared.pack(chosen)
    flat_value, vector = prepared.flat(theta, *rest)
    grads = optree.tree_map(lambda leaf: np.full(leaf.shape, 7.0), chosen)
    into_value = prepared.into(grads, *args)
    assert value == flat_value == into_value == pytest.approx(f(*args))
    assert theta.shape == vector.shape == (prepared.program.parameters,)
    assert_same(leaves_of(prepared.unpack(theta)), leaves_of(chosen))
    for tree in (nested, prepared.unpack(vector), grads):
        assert optree.tree_structure(tree) == optree.tree_structure(expected)
        for mine, true in zip(leaves_of(tree), leaves_of(expected), strict=True):
            np.testing.assert_allclose(mine, true, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backend", ["autodiff", "forward"])
def test_auxiliary_outputs_in_every_form(backend):
    args = (PARAMS, *DATA)
    prepared = dk.prepare(with_aux, *args, backend=backend, has_aux=True)
    value, gradients, _ = by_copies(prepared, args)
    h = X @ PARAMS["w"]
    theta = prepared.pack(PARAMS)
    grads = optree.tree_map(np.empty_like, PARAMS)
    answers = [
        prepared(*args)[0],
        prepared.flat(theta, *DATA)[0],
        prepared.flat(theta, *DATA, out=np.empty_like(theta))[0],
        prepared.into(grads, *args),
    ]
    for found, aux in answers:
        assert found == value
        np.testing.assert_allclose(aux["h"], h, rtol=1e-14)
        np.testing.assert_array_equal(aux["large"][0], h > 0)
        assert aux["large"][0].dtype == bool
    assert_same(leaves_of(grads), gradients)


def layouts(array):
    """The same numbers as NumPy may hold them."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
    shifted = shifted.reshape(array.shape)
    shifted[...] = array
    fixed = array.copy()
    fixed.flags.writeable = False
    return {
        "fortran": np.asfortranarray(array),
        "strided": wide[..., ::2],
        "backwards": array[::-1].copy()[::-1],
        "unaligned": shifted,
        "read-only": fixed,
        "subclass": array.view(np.recarray),
    }


@pytest.mark.parametrize("layout", layouts(X))
@pytest.mark.parametrize("place", ["parameter", "data"])
def test_any_layout_of_the_inputs(layout, place):
    args = (PARAMS, *DATA)
    prepared = dk.prepare(loss, *args)
    expected = by_copies(prepared, args)[1]
    if place == "parameter":
        args = ({**PARAMS, "w": layouts(PARAMS["w"])[layout]}, *DATA)
    else:
        args = (PARAMS, layouts(X)[layout], DATA[1])
    _, forms = all_forms(prepared, args)
    for form in forms:
        assert_same(form, expected)


def test_a_vector_of_any_layout():
    prepared = dk.prepare(loss, PARAMS, *DATA)
    theta = prepared.pack(PARAMS)
    expected = prepared.flat(theta, *DATA)[1]
    for name in ("strided", "backwards", "unaligned", "read-only"):
        np.testing.assert_array_equal(
            prepared.flat(layouts(theta)[name], *DATA)[1], expected
        )


@pytest.mark.parametrize("dtype", [">f8", ">i4", np.int8, np.uint16, np.int32, bool])
def test_data_in_dtypes_that_native_code_converts_or_leaves_to_python(dtype):
    x = (10 * X).astype(dtype)
    args = (PARAMS, x, DATA[1])
    prepared = dk.prepare(loss, *args)
    as_floats = dk.prepare(loss, PARAMS, *DATA)
    expected = by_copies(as_floats, (PARAMS, x.astype(float), DATA[1]))[1]
    _, forms = all_forms(prepared, args)
    for form in forms:
        assert_same(form, expected)


def test_scalars_are_arrays_of_no_axes():
    prepared = dk.prepare(lambda w, x: w * x, 2.0, np.float64(3.0))
    for w, x in ((2.0, 3.0), (np.float64(2.0), np.array(3.0)), (np.array(2.0), 3.0)):
        value, slope = prepared(w, x)
        assert (value, slope) == (6.0, 3.0)
        assert prepared.flat(np.array([2.0]), x)[1].tolist() == [3.0]
        grads = np.zeros(())
        assert prepared.into(grads, w, x) == 6.0
        assert grads == 3.0


def call(prepared, form, args):
    """A call in one form, with results of its own."""
    if form == "nested":
        return prepared(*args)
    if form == "into":
        grads = optree.tree_map(np.empty_like, PARAMS)
        return prepared.into(grads, *args)
    theta = np.concatenate([np.ravel(leaf) for leaf in leaves_of(args[0])])
    return prepared.flat(theta, *args[1:])


FORMS = ["nested", "flat", "into"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "data, says",
    [
        ((X[:2], DATA[1]), "x: prepared as float64[4, 3], given float64[2, 3]"),
        ((X.astype(np.float32), DATA[1]), "x: prepared as float64[4, 3], given flo"),
        ((X.astype(">f8"), DATA[1]), "float64[4, 3], given float64[4, 3] as >f8"),
        ((X[None], DATA[1]), "x: prepared as float64[4, 3], given float64[1, 4, 3]"),
        ((X, {"labels": LABELS}), "['keep']: prepared as bool[4, 2], given absent"),
        ((X, DATA[1], X), "argument 3: prepared as absent, given float64[4, 3]"),
        ((X, [LABELS, KEEP]), "other[0]: prepared as absent, given int64[4]"),
        ((X,), "other['labels']: prepared as int64[4], given absent"),
        ((X, {**DATA[1], "keep": [KEEP]}), "other['keep'][0]: prepared as absent"),
    ],
)
def test_mismatches_are_listed_in_every_form(form, data, says):
    prepared = dk.prepare(loss, PARAMS, *DATA)
    with pytest.raises(errors.PreparationMismatchError) as caught:
        call(prepared, form, (PARAMS, *data))
    assert says in str(caught.value)
    assert "Prepare again" in str(caught.value)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"w": PARAMS["w"][:2]}, "params['w']: prepared as float64[3, 2]"),
        ({"w": PARAMS["w"].astype(np.float32)}, "given float32[3, 2]"),
        ({"more": [PARAMS["more"][0]]}, "params['more'][1]: prepared as float64[]"),
        ({"more": tuple(PARAMS["more"])}, "structure"),
        ({"extra": X}, "params['extra']: prepared as absent"),
    ],
)
def test_mismatches_of_the_parameters(change, says):
    prepared = dk.prepare(loss, PARAMS, *DATA)
    wrong = {**PARAMS, **change}
    grads = optree.tree_map(np.empty_like, PARAMS)
    for wanted in (
        lambda: prepared(wrong, *DATA),
        lambda: prepared.pack(wrong),
        lambda: prepared.into(grads, wrong, *DATA),
    ):
        with pytest.raises(errors.PreparationMismatchError) as caught:
            wanted()
        assert says in str(caught.value)


@pytest.mark.parametrize("backend", ["autodiff", "forward"])
def test_a_wrong_vector_is_refused(backend):
    prepared = dk.prepare(loss, PARAMS, *DATA, backend=backend)
    theta = prepared.pack(PARAMS)
    for wrong, says in (
        (theta[:-1], "theta: prepared as float64[9], given float64[8]"),
        (theta[None], "given float64[1, 9]"),
        (theta.astype(np.float32), "given float32[9]"),
        (theta.astype(int), "given int64[9]"),
        (PARAMS, "theta['w']: prepared as absent"),
    ):
        with pytest.raises(errors.PreparationMismatchError) as caught:
            prepared.flat(wrong, *DATA)
        assert says in str(caught.value)
    with pytest.raises(errors.ShapeError, match=r"shape \(8,\).*by 9 numbers"):
        prepared.unpack(theta[:-1])


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("backend", ["autodiff", "forward"])
def test_results_that_cannot_be_written_are_refused_and_left_alone(backend):
    prepared = dk.prepare(loss, PARAMS, *DATA, backend=backend)
    args = (PARAMS, *DATA)
    theta = prepared.pack(PARAMS)
    base = np.full(40, 7.0)
    good = {
        "w": np.full((3, 2), 7.0),
        "more": [np.full(2, 7.0), np.full((), 7.0)],
    }
    whole = base[:6].reshape(3, 2)
    cases = [
        ({"w": np.full((2, 3), 7.0)}, "grads['w']: prepared as float64[3, 2], given"),
        ({"w": np.full((3, 2), 7.0, np.float32)}, "given float32[3, 2]"),
        ({"w": np.full((3, 2), 7)}, "given int64[3, 2]"),
        ({"more": [np.full(2, 7.0)]}, "grads['more'][1]: prepared as float64[]"),
        ({"more": (np.full(2, 7.0), np.full((), 7.0))}, "structure"),
        ({"w": read_only(np.full((3, 2), 7.0))}, "grads['w'] is read-only"),
        ({"w": np.full((2, 3), 7.0).T}, "grads['w'] is not one block"),
        ({"w": base[:24].reshape(3, 8)[:, ::4]}, "grads['w'] is not one block"),
        ({"more": [np.full(2, 7.0), 7.0]}, "grads['more'][1] is a float"),
        ({"w": PARAMS["w"]}, "grads['w'] and params['w'] share memory"),
        ({"w": whole, "more": [whole[2], np.full((), 7.0)]}, "share memory"),
        ({"w": whole, "more": [base[5:7], np.full((), 7.0)]}, "share memory"),
        ({"more": [PARAMS["w"][0], np.full((), 7.0)]}, "params['w'] share memory"),
    ]
    kept = {k: np.copy(v) for k, v in (("w", PARAMS["w"]), ("base", base))}
    for change, says in cases:
        grads = {**good, **change}
        before = [np.copy(leaf) for leaf in leaves_of(grads)]
        with pytest.raises(errors.UserInputError) as caught:
            prepared.into(grads, *args)
        assert says in str(caught.value)
        assert_same([np.asarray(leaf) for leaf in leaves_of(grads)], before)
    outs = [
        (np.full(8, 7.0), "out: prepared as float64[9], given float64[8]"),
        (np.full(9, 7.0, np.float32), "given float32[9]"),
        (read_only(np.full(9, 7.0)), "out is read-only"),
        (np.full(18, 7.0)[::2], "out is not one block"),
        (theta, "out and theta share memory"),
    ]
    for out, says in outs:
        before = out.copy()
        with pytest.raises(errors.UserInputError) as caught:
            prepared.flat(theta, *DATA, out=out)
        assert says in str(caught.value)
        assert_same([out], [before])
    assert_same([PARAMS["w"], base], [kept["w"], kept["base"]])


def test_neighbours_in_one_block_are_apart():
    """Gradients that fill one vector, next to the parameters in the same memory."""
    prepared = dk.prepare(loss, PARAMS, *DATA)
    both = np.zeros((2, 9))
    both[0] = prepared.pack(PARAMS)
    value = prepared.into(prepared.unpack(both[1]), prepared.unpack(both[0]), *DATA)
    expected_value, expected = prepared.flat(both[0], *DATA)
    assert value == expected_value
    np.testing.assert_array_equal(both[1], expected)
    np.testing.assert_array_equal(both[0], prepared.pack(PARAMS))


@pytest.mark.parametrize("backend", ["autodiff", "forward"])
def test_numbers_that_are_not_finite_are_named_and_nothing_is_written(backend):
    prepared = dk.prepare(loss, PARAMS, *DATA, backend=backend)
    dirty = X.copy()
    dirty[2, 1] = np.nan
    grads = optree.tree_map(lambda leaf: np.full_like(leaf, 7.0), PARAMS)
    out = np.full(9, 7.0)
    theta = prepared.pack(PARAMS)
    for wanted in (
        lambda: prepared(PARAMS, dirty, DATA[1]),
        lambda: prepared.flat(theta, dirty, DATA[1]),
        lambda: prepared.flat(theta, dirty, DATA[1], out=out),
        lambda: prepared.into(grads, PARAMS, dirty, DATA[1]),
    ):
        with pytest.raises(errors.NonFiniteError, match=r"x\[2, 1\] is nan"):
            wanted()
    theta[3] = np.inf
    theta[7] = np.nan
    with pytest.raises(errors.NonFiniteError, match=r"theta\[3\] is inf \(2 of 9"):
        prepared.flat(theta, *DATA)
    for leaf in (out, *leaves_of(grads)):
        np.testing.assert_array_equal(leaf, 7.0)
    allowed = dk.prepare(loss, PARAMS, *DATA, backend=backend, nonfinite="allow")
    assert np.isnan(allowed.into(grads, PARAMS, dirty, DATA[1]))
    assert np.isnan(grads["w"]).any()


def test_overflow_of_finite_inputs_is_an_answer_in_every_form():
    prepared = dk.prepare(lambda w: np.sum(np.exp(w)), np.zeros(2))
    values, forms = all_forms(prepared, (np.array([1000.0, 0.0]),))
    assert values == [np.inf] * 4
    for (gradient,) in forms:
        np.testing.assert_array_equal(gradient, [np.inf, 1.0])


def test_results_are_fresh_and_inputs_untouched():
    prepared = dk.prepare(loss, PARAMS, *DATA)
    theta = prepared.pack(PARAMS)
    before = [np.copy(leaf) for leaf in leaves_of((PARAMS, DATA, theta))]
    _, first = prepared.flat(theta, *DATA)
    kept = first.copy()
    first[:] = 99.0
    np.testing.assert_array_equal(prepared.flat(theta, *DATA)[1], kept)
    all_forms(prepared, (PARAMS, *DATA))
    assert_same(leaves_of((PARAMS, DATA, theta)), before)


def test_a_program_without_parameters_or_without_data():
    prepared = dk.prepare(lambda p, x: np.sum(x), {}, X)
    assert prepared.pack({}).shape == (0,)
    value, gradient = prepared.flat(np.zeros(0), X)
    assert value == pytest.approx(X.sum())
    assert gradient.shape == (0,)
    assert prepared.into({}, {}, X) == value
    with pytest.raises(errors.PreparationMismatchError):
        prepared({"a": X}, X)
    alone = dk.prepare(lambda w: np.sum(w * w), X)
    np.testing.assert_array_equal(alone.flat(X.ravel())[1], 2 * X.ravel())


def test_parameters_of_two_precisions_are_one_vector_of_the_wider():
    args = ([np.array([0.5], np.float32), np.array([0.25])],)
    prepared = dk.prepare(lambda p: np.sum(p[0] * p[1]), *args)
    theta = prepared.pack(*args)
    assert theta.dtype == np.float64
    assert prepared.flat(theta)[1].tolist() == [0.25, 0.5]
    assert [leaf.tolist() for leaf in prepared(*args)[1]] == [[0.25], [0.5]]


def more_blocks(run):
    """How many more of Python's blocks are in use after a run, at least."""
    more = []
    for _ in range(8):
        before = sys.getallocatedblocks()
        run()
        more.append(sys.getallocatedblocks() - before)
    return min(more)


def test_into_allocates_nothing():
    """No block of Python's, no byte of NumPy's, however many calls."""
    params = {"w": np.ones((300, 40)), "b": np.zeros(40)}
    x = np.ones((2, 300))
    prepared = dk.prepare(
        lambda p, x: np.mean(np.tanh(x @ p["w"] + p["b"]) ** 2), params, x
    )
    grads = optree.tree_map(np.empty_like, params)
    theta = prepared.pack(params)
    out = np.empty_like(theta)
    for run in (
        lambda: prepared.into(grads, params, x),
        lambda: prepared.flat(theta, x, out=out),
    ):

        def many(run=run):
            for _ in range(500):
                run()

        gc.collect()
        # Python's own caches fill, and empty, in some rounds; a leak shows in each.
        assert more_blocks(many) <= 0
        tracemalloc.start()
        try:
            many()
            tracemalloc.reset_peak()
            start, _ = tracemalloc.get_traced_memory()
            many()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Lists, tuples and numbers that a call hands around; the smallest array, the
        # bias, would be 320 bytes, the weights 96,000.
        assert peak - start < 2_000


def test_threads_share_one_prepared_program():
    prepared = dk.prepare(MIXTURE.f, *MIXTURE.args)
    (params, x) = MIXTURE.args
    thetas = [prepared.pack(params) * k for k in np.linspace(-1, 1, 40)]
    alone = [prepared.flat(theta, x)[1] for theta in thetas]

    def one(theta):
        out = np.empty_like(theta)
        prepared.flat(theta, x, out=out)
        grads = prepared.unpack(np.empty_like(theta))
        prepared.into(grads, prepared.unpack(theta), x)
        np.testing.assert_array_equal(prepared.pack(grads), out)
        return out

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one, thetas * 5))
    np.testing.assert_array_equal(together, alone * 5)


def test_where_arrays_cannot_be_read_natively_python_does_it(monkeypatch):
    expected = all_forms(dk.prepare(loss, PARAMS, *DATA), (PARAMS, *DATA))
    monkeypatch.setattr(native_arrays, "headers_are_known", lambda: False)
    prepared = dk.prepare(loss, PARAMS, *DATA)
    assert prepared._direct is None
    values, forms = all_forms(prepared, (PARAMS, *DATA))
    assert_same(values, expected[0])
    for form, other in zip(forms, expected[1], strict=True):
        assert_same(form, other)
