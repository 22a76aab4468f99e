"""Every row of the table on the engine, against its NumPy meaning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from diffkit.engine import compile_graph, lower_linear
from diffkit.graph import Builder
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from diffkit.ops.op import Constant
from diffkit.ops.shape import Span
from tests.engine.make_graphs import one_row, random_key, random_leaves

DTYPES = ["float64", "float32"]
# Both sides round every elementary function, by a few ulp each; sums differ in order.
TOLERANCE = {"float64": 4e-15, "float32": 2e-6}
SHAPES = [(), (1,), (5,), (0,), (3, 4), (0, 3), (2, 3, 4), (33,), (7, 19), (1, 70)]
ELEMENTWISE = [op.name for op in TABLE.values() if op.family == "elementwise"]
REDUCTIONS = ["sum", "mean", "prod", "max", "min", "logsumexp"]
SPECIAL = np.array(
    [
        *(0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, -1e-310, 5e-324),
        *(1e300, -1e300, 0.5, -0.5, 2.0, 710.0, -746.0, 1e-20, 30.0, -30.0, 88.8),
    ]
)


def assert_same(name, graph, leaves, dtype):
    machine = compile_graph(graph, dtype)
    got = machine(leaves)
    expected = evaluate(graph, leaves, dtype=dtype)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.shape == theirs.shape, name
        assert mine.dtype == theirs.dtype, name
        if mine.dtype == bool:
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
            continue
        finite = np.abs(theirs[np.isfinite(theirs)])
        scale = max(1.0, float(finite.max(initial=0.0))) if "prod" not in name else 1e3
        np.testing.assert_allclose(
            mine,
            theirs,
            rtol=8 * TOLERANCE[dtype],
            atol=TOLERANCE[dtype] * min(scale, 1e6),
            err_msg=name,
        )


def test_every_row_is_tested_here():
    elsewhere = {"input", "constant", "matmul", "cumsum", *REDUCTIONS}
    shapes = {"transpose", "reshape", "broadcast", "index", "scatter"}
    shapes |= {"concatenate", "stack"}
    assert set(TABLE) == {*ELEMENTWISE, *elsewhere, *shapes}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_shapes_and_layouts(name, dtype, rng):
    op = TABLE[name]
    assert op.arity is not None
    cases = [[shape] * op.arity for shape in SHAPES]
    if op.arity == 2:
        cases += [[(3, 4), (4,)], [(3, 4), (3, 1)], [(), (3, 4)], [(3, 1), (1, 4)]]
        cases += [[(2, 3, 4), (3, 1)], [(2, 1, 4), (3, 1)], [(5, 1, 7), (1, 6, 1)]]
        cases += [[(3, 0), (3, 1)], [(4, 5, 6), (4, 1, 6)]]
    if op.arity == 3:
        cases += [[(3, 4), (), ()], [(3, 1), (3, 4), (4,)], [(4,), (3, 1), (3, 4)]]
        cases += [[(), (5,), ()], [(1, 4), (3, 1), ()], [(3, 1), (), (1, 4)]]
    for shapes in cases:
        for turned in ([False] * op.arity, [True] + [False] * (op.arity - 1)):
            graph = one_row(name, shapes, turned)
            leaves = []
            for domain, leaf in zip(op.domain, random_leaves(graph, rng), strict=True):
                values = domain.sample(rng, leaf.shape)
                if op.kind == "boolean" or name == "where":
                    values = np.round(values)
                leaves.append(values)
            assert_same(name, graph, leaves, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_special_values(name, dtype):
    arity = TABLE[name].arity
    assert arity is not None
    with np.errstate(all="ignore"):
        special = SPECIAL.astype(dtype)
    grids = np.meshgrid(*[special] * arity)
    leaves = [grid.ravel() for grid in grids]
    graph = one_row(name, [leaf.shape for leaf in leaves])
    (got,) = compile_graph(graph, dtype)(leaves)
    (expected,) = evaluate(graph, leaves, dtype=dtype)
    if got.dtype == bool:
        np.testing.assert_array_equal(got, expected)
        return
    if name == "softplus":
        expected[leaves[0] == -np.inf] = 0.0  # its limit
    # Subnormal results have few bits; everything else is within a few ulp.
    tiny = float(np.finfo(dtype).smallest_subnormal)
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=2 * tiny)
    zero = expected == 0
    if name not in ("maximum", "minimum", "relu", "sign", "where"):
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["logical_and", "where", "add", "multiply", "tanh"])
def test_boolean_operands_count_as_zero_and_one(name, dtype, rng):
    arity = TABLE[name].arity
    assert arity is not None
    kinds = ("boolean", "real", "real")[:arity]
    graph = one_row(name, [(3, 5)] * arity, kinds=kinds)
    assert_same(name, graph, random_leaves(graph, rng), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dtype, rng):
    for shape in [
        (5,),
        (3, 4),
        (2, 3, 4),
        (40, 3),
        (3, 40),
        (2, 3, 4, 5),
        (1, 6),
        (70,),
    ]:
        rank = len(shape)
        for bits in range(1 << rank):
            axes = tuple(i for i in range(rank) if bits >> i & 1)
            for turned in (False, True):
                for keepdims in (False, True):
                    graph = one_row(
                        name, [shape], [turned], axes=axes, keepdims=keepdims
                    )
                    assert_same(name, graph, random_leaves(graph, rng), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "logsumexp"])
@pytest.mark.parametrize("shape, axes", [((0,), (0,)), ((3, 0), (1,)), ((0, 3), (0,))])
def test_reductions_of_nothing(name, dtype, shape, axes):
    graph = one_row(name, [shape], axes=axes, keepdims=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of the mean of no elements
        assert_same(name, graph, [np.zeros(shape)], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_keep_nan_and_infinity(name, dtype):
    rows = [[1, np.nan, 2], [np.inf, 1, 2], [-np.inf, 1, 2], [np.inf, -np.inf, 0]]
    rows += [[-np.inf] * 3, [np.inf] * 3, [np.nan] * 3, [np.nan, np.inf, 1]]
    x = np.tile(np.array(rows), (1, 15))
    for axes in [(0,), (1,), (0, 1)]:
        for turned in (False, True):
            graph = one_row(name, [x.shape], [turned], axes=axes, keepdims=False)
            assert_same(name, graph, [x.T if turned else x], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_sums_keep_their_digits(dtype, rng):
    x = rng.uniform(size=300_001)
    (total,) = compile_graph(
        one_row("sum", [x.shape], axes=(0,), keepdims=False), dtype
    )([x])
    exact = float(np.sum(x.astype(dtype), dtype=np.longdouble))
    assert abs(float(total) - exact) <= 30 * np.finfo(dtype).eps * exact


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (0,), (3, 4), (2, 3, 4), (3, 0)])
def test_cumsum(dtype, shape, rng):
    for axis in range(len(shape)):
        for turned in (False, True):
            graph = one_row("cumsum", [shape], [turned], axis=axis)
            assert_same("cumsum", graph, random_leaves(graph, rng), dtype)


MATMULS = [
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((1, 5), (5, 1)),
    ((5, 1), (1, 7)),
    ((4, 2), (2, 8)),
    ((9, 8), (8, 1)),
    ((33, 7), (7, 2)),
    ((3, 9), (9, 3)),
    ((5, 6), (6, 5)),
    ((13, 7), (7, 9)),
    ((7, 13), (13, 17)),
    ((32, 10), (10, 64)),
    ((6, 33), (33, 31)),
    ((70, 65), (65, 66)),
    ((150, 160), (160, 170)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((2, 3), (3, 0)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 3), (3, 20)),
    ((2, 1, 3, 4), (1, 6, 4, 5)),
    ((2, 5, 3, 4), (2, 1, 4, 5)),
    ((3, 70, 60), (3, 60, 80)),
    ((391, 270), (270, 33)),
]


@pytest.mark.parametrize(
    "multiplier", ["product_small", "product_packed", "product_blas"]
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("a, b", MATMULS)
def test_matmul(dtype, a, b, multiplier, rng, monkeypatch):
    monkeypatch.setattr(lower_linear, "multiplier", lambda *_: multiplier)
    for turned in ([False, False], [True, False], [False, True], [True, True]):
        graph = one_row("matmul", [a, b], turned)
        leaves = random_leaves(graph, rng)
        (got,) = compile_graph(graph, dtype)(leaves)
        (expected,) = evaluate(graph, leaves, dtype=np.float64)
        bound = 2 * a[-1] * np.finfo(dtype).eps * 10
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_of_slices(dtype, rng):
    x, w = rng.normal(size=(9, 12)), rng.normal(size=(20, 5))
    rows = (Span(0, 2, 10), Span(0, 1, 5))
    for key in [(Span(0, 2, 4), Span(1, 1, 10)), (Span(8, -1, 9), Span(11, -1, 10))]:
        builder = Builder()
        left = builder.apply(TABLE["index"], [builder.input(x.shape)], key=key)
        right = builder.apply(TABLE["index"], [builder.input(w.shape)], key=rows)
        graph = builder.graph([builder.apply(TABLE["matmul"], [left, right])])
        (got,) = compile_graph(graph, dtype)([x, w])
        (expected,) = evaluate(graph, [x, w])
        np.testing.assert_allclose(got, expected, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (0, 2), (2, 3, 4), (20, 37)])
def test_moves(dtype, shape, rng):
    size = int(np.prod(shape, dtype=int))
    rank = len(shape)
    axes = tuple(int(i) for i in rng.permutation(rank))
    graphs = [
        one_row("transpose", [shape], axes=axes),
        one_row("reshape", [shape], shape=(size,)),
        one_row("reshape", [shape], [True], shape=(1, size)),
        one_row("broadcast", [shape], shape=(3, *shape)),
        one_row("broadcast", [shape], [True], shape=(2, 2, *shape)),
    ]
    for axis in range(rank):
        graphs += [
            one_row("concatenate", [shape] * 3, [True, False, True], axis=axis),
            one_row("concatenate", [shape], axis=axis),
        ]
    for axis in range(rank + 1):
        graphs.append(one_row("stack", [shape] * 2, [True, False], axis=axis))
    for graph in graphs:
        assert_same("move", graph, random_leaves(graph, rng), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 5)])
def test_index_and_scatter(dtype, shape, rng):
    for _ in range(30):
        key = random_key(shape, rng)
        graph = one_row("index", [shape], [bool(rng.integers(2))], key=key)
        assert_same("index", graph, random_leaves(graph, rng), dtype)
        picked = graph.nodes[graph.outputs[0]].shape
        graph = one_row(
            "scatter", [picked, picked], [True, False], keys=(key, key), shape=shape
        )
        assert_same("scatter", graph, random_leaves(graph, rng), dtype)
        graph = one_row("scatter", [picked], keys=(key,), shape=shape)
        assert_same("scatter", graph, random_leaves(graph, rng), dtype)


def test_scatter_joins_duplicates_and_booleans():
    key = (Constant.of(np.array([1, 1, 3, 1])),)
    graph = one_row("scatter", [(4,)], keys=(key,), shape=(5,))
    (got,) = compile_graph(graph)([np.array([1.0, 2.0, 3.0, 4.0])])
    np.testing.assert_array_equal(got, [0, 7, 0, 3, 0])
    key = (Span(0, 1, 2),)
    graph = one_row(
        "scatter", [(2,), (2,)], keys=(key, key), shape=(3,), kinds=("boolean",) * 2
    )
    (got,) = compile_graph(graph)([np.array([True, False]), np.array([True, True])])
    assert got.dtype == bool
    np.testing.assert_array_equal(got, [True, True, False])
