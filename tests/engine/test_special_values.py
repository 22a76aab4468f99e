"""NaN, infinities and signed zeros through every kernel, as NumPy has them.

Every entry of `KERNELS` is reached through a graph. What a kernel may contract, take in
another order, or compute in vectors with a scalar rest must not show.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from diffkit.engine import compile_graph, fusion, lower_linear, prefetch
from diffkit.engine.kernels import KERNELS, OPCODES
from diffkit.engine.kernels.fields import GOES_ON, OPCODE
from diffkit.graph import Builder, Graph, trace
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from diffkit.ops.op import Constant
from diffkit.ops.shape import Span
from tests.engine.make_graphs import one_row

DTYPES = ["float64", "float32"]
INF, NAN = np.inf, np.nan
ENDS = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -3.0, INF, -INF, NAN])
# Of vectors and a rest, whatever the CPU's registers hold.
LONG = np.tile(ENDS, 9)[:77]
PAIRS = np.array(list(product(ENDS, repeat=2)))
# Rows in which something meets something: each also at the end of a longer row.
ROWS = np.array(
    [
        [0.0, 0.0, 0.0],
        [-0.0, -0.0, -0.0],
        [-0.0, 0.0, -0.0],
        [1.0, NAN, 2.0],
        [INF, 1.0, 2.0],
        [2.0, 1.0, -INF],
        [INF, -INF, 0.0],
        [0.0, INF, 1.0],
        [-INF, -INF, -INF],
        [INF, INF, INF],
        [NAN, NAN, NAN],
        [NAN, INF, -INF],
        [-1.0, 3.0, -2.0],
    ]
)
LONG_ROWS = np.hstack([ROWS] * 14 + [np.ones((len(ROWS), 1)), ROWS[:, ::-1]])
ONES = np.ones(LONG_ROWS.shape[1])

Case = tuple[Graph, list[np.ndarray]]
UNARY = [n for n in KERNELS if n in TABLE and TABLE[n].arity == 1]
UNARY = [n for n in UNARY if TABLE[n].family == "elementwise"]
BINARY = [n for n in KERNELS if n in TABLE and TABLE[n].arity == 2]
BINARY = [n for n in BINARY if TABLE[n].family == "elementwise"]
REDUCTIONS = ["sum", "mean", "prod", "max", "min", "logsumexp"]
# NumPy's own zeros have either sign here, by its CPU's instructions or by its BLAS.
SIGNLESS = {"maximum", "minimum", "max", "min", "relu"}
SIGNLESS |= {"product_small", "product_packed", "product_blas"}


def traced(f: Callable[..., Any], *leaves: np.ndarray) -> Case:
    return trace(f, *leaves), list(leaves)


def unary(name: str) -> list[Case]:
    rows = np.tile(ENDS, (9, 4))  # read row by row, from a wider array
    key = (Span(0, 1, 9), Span(1, 1, 33))
    builder = Builder()
    part = builder.apply(TABLE["index"], [builder.input(rows.shape)], key=key)
    sliced = builder.graph([builder.apply(TABLE[name], [part])])
    return [(one_row(name, [LONG.shape]), [LONG]), (sliced, [rows])]


def binary(name: str) -> list[Case]:
    """All pairs: both along memory, or one of them repeated along the inner loop."""
    a, b = PAIRS.T.copy()
    column = ENDS[:, None]
    return [
        (one_row(name, [x.shape, y.shape]), [x, y])
        for x, y in ((a, b), (column, LONG), (LONG, column), (ENDS, np.array(NAN)))
    ]


def triples(name: str) -> list[Case]:
    """All triples, with every operand along memory, repeated, or a scalar."""
    full = np.array(list(product(ENDS, repeat=3))).T.copy()
    if name == "where":
        full[0] = np.nan_to_num(full[0]) != 0
    columns = [x.reshape(27, 27)[:, :1].copy() for x in full]
    rows = [x.reshape(27, 27) for x in full]
    cases = []
    for pick in product((0, 1), repeat=3):
        leaves = [(rows, columns)[which][k] for k, which in enumerate(pick)]
        if name == "where":
            cases.append((one_row(name, [x.shape for x in leaves]), leaves))
        else:
            # The product is as large as the sum, or it would not be joined to it.
            leaves[0] = rows[0]
            cases.append(traced(lambda x, y, z: np.add(x * y, z), *leaves))
    return cases


def pullback() -> list[Case]:
    a, b = PAIRS.T.copy()
    return [traced(lambda g, y: g * (1.0 - y * y), a, b)]


def reduction(name: str) -> list[Case]:
    cases = []
    for x, turned in product((ROWS, LONG_ROWS), (False, True)):
        for axes in [(0,), (1,), (0, 1)]:
            graph = one_row(name, [x.shape], [turned], axes=axes, keepdims=False)
            cases.append((graph, [x.T.copy() if turned else x]))
    return cases


def rows_of_a_group() -> list[Case]:
    """A sum over rows that goes on from block to block."""
    return [
        traced(lambda x: (np.sum(-x, axis=0), -x), x)
        for x in (ROWS, LONG_ROWS, ROWS.T.copy(), LONG_ROWS.T.copy())
    ]


def inner_product() -> list[Case]:
    cases = [
        traced(lambda x, y: np.sum(x * y), x.copy(), y)
        for x, y in product(LONG_ROWS, (ONES, -0.0 * ONES, LONG_ROWS[6]))
    ]
    turned = LONG_ROWS.T.copy()
    return [*cases, traced(lambda x, y: np.sum(x[:, 3] * y), turned, ONES)]


def cumsum() -> list[Case]:
    return [
        (one_row("cumsum", [x.shape], axis=axis), [x])
        for x in (ROWS, LONG_ROWS)
        for axis in (0, 1)
    ]


def matmul() -> list[Case]:
    """Infinite, missing and zero factors, in every place of a tile and in its rest."""
    plain = np.ones((LONG_ROWS.shape[1], 21))
    mixed = plain.copy()
    mixed[::4] = 0.0
    mixed[::5, ::3] = -2.0
    holes = plain.copy()
    holes[3, 20] = NAN
    holes[7, 0] = -INF
    cases = []
    for a, b in product((LONG_ROWS, LONG_ROWS[::-1]), (plain, mixed, holes)):
        for turned in ([False, False], [True, False], [False, True]):
            leaves = [
                x.T.copy() if t else x for x, t in zip((a, b), turned, strict=True)
            ]
            cases.append((one_row("matmul", [a.shape, b.shape], turned), leaves))
    column = plain[:, :1].copy()
    cases.append((one_row("matmul", [a.shape, column.shape]), [LONG_ROWS, column]))
    return cases


def moves() -> list[Case]:
    x = LONG_ROWS
    return [
        (one_row("concatenate", [x.shape] * 2, [True, False], axis=0), [x.T.copy(), x]),
        (one_row("stack", [x.shape] * 2, [False, True], axis=2), [x, x.T.copy()]),
    ]


def gathered() -> list[Case]:
    key = (Constant.of(np.array([8, 0, 1, 6, 8])),)
    return [(one_row("index", [ENDS.shape], key=key), [ENDS])]


def scattered() -> list[Case]:
    """Into one place, in order: −0 alone, ∞ − ∞, and a number after NaN."""
    key = (Constant.of(np.array([0, 0, 1, 2, 2, 3, 3])),)
    x = np.array([INF, -INF, -0.0, 1.0, 2.0, NAN, 1.0])
    return [(one_row("scatter", [x.shape], keys=(key,), shape=(5,)), [x])]


def accumulated() -> list[Case]:
    keys = ((Span(0, 1, 9),), (Span(2, 1, 9),))
    other = ENDS[::-1].copy()
    graph = one_row("scatter", [ENDS.shape] * 2, keys=keys, shape=(12,))
    return [(graph, [ENDS, other])]


def prefetched() -> list[Case]:
    x = np.tile(LONG_ROWS, (4, 1))
    return [traced(lambda x: np.tanh(np.exp(x) + x) * x, x)]


CASES: dict[str, Callable[[], list[Case]]] = {
    **{name: lambda name=name: unary(name) for name in UNARY},
    **{name: lambda name=name: binary(name) for name in BINARY},
    **{name: lambda name=name: reduction(name) for name in REDUCTIONS},
    "tanh_pullback": pullback,
    "multiply_add": lambda: triples("multiply_add"),
    "where": lambda: triples("where"),
    "inner_product": inner_product,
    "cumsum": cumsum,
    "product_small": matmul,
    "product_packed": matmul,
    "product_blas": matmul,
    "add_rows": rows_of_a_group,
    "copy": moves,
    "accumulate": accumulated,
    "fill_zero": scattered,
    "gather": gathered,
    "scatter": scattered,
    "prefetch": prefetched,
}


def assert_as_numpy(got: np.ndarray, expected: np.ndarray, signed: bool) -> None:
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if got.dtype == bool:
        np.testing.assert_array_equal(got, expected)
        return
    # NaN and infinities must be where they are there; numbers within some ulps.
    tolerance = 200 * np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    if signed:
        zero = expected == 0
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


def test_every_kernel_is_tested_here():
    numberless = {"clock", "barrier"}  # write a time or a count, and read no number
    assert set(CASES) == set(KERNELS) - numberless


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_special_values_are_as_numpy_has_them(name, dtype, monkeypatch):
    if name.startswith("product"):
        monkeypatch.setattr(lower_linear, "multiplier", lambda *_: name)
    if name == "add_rows":
        monkeypatch.setattr(fusion, "BLOCK", 2)
        monkeypatch.setattr(fusion, "LEAST", 4)
    if name == "prefetch":
        monkeypatch.setattr(prefetch, "COLD_BYTES", 100)
    met = False
    for graph, leaves in CASES[name]():
        machine = compile_graph(graph, dtype)
        met |= OPCODES[name] in machine.program.table[:, [OPCODE, GOES_ON]]
        got = machine(leaves)
        expected = evaluate(graph, leaves, dtype=dtype)
        for mine, theirs in zip(got, expected, strict=True):
            assert_as_numpy(mine, theirs, name not in SIGNLESS)
    assert met, f"no case reaches the kernel {name}"
