"""Every row of the table, as each array peer reads it, against its NumPy meaning."""

from __future__ import annotations

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends.peers.reading import ArrayFunctions, elementwise, read
from diffkit.backends.registry import backend_availability
from diffkit.graph import trace
from diffkit.ops import TABLE, Constant, Span

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("default")]

ARRAY_PEERS = ["jax", "torch", "autograd", "casadi"]
ELEMENTWISE = [name for name, op in TABLE.items() if op.family == "elementwise"]
LOGICAL = [name for name in ELEMENTWISE if name.startswith("logical")]
WHOLE = Span(0, 1, 3)
PICKED = Constant.of(np.array([2, 0, 2]))
ROWS = Constant.of(np.array([1, 0, 1]))

# Name of the row, shapes of its inputs, attributes.
EXAMPLES = [
    ("matmul", [(2, 3), (3, 4)], {}),
    ("matmul", [(2, 1, 3, 4), (5, 4, 2)], {}),
    ("matmul", [(2, 0), (0, 3)], {}),
    ("transpose", [(2, 3, 4)], {"axes": (2, 0, 1)}),
    ("reshape", [(2, 3)], {"shape": (3, 1, 2)}),
    ("broadcast", [(3, 1)], {"shape": (2, 3, 4)}),
    ("broadcast", [()], {"shape": (2, 2)}),
    ("index", [(2, 3)], {"key": (1, WHOLE)}),
    ("index", [(2, 3)], {"key": (Span(1, -1, 2), Span(2, -2, 2))}),
    ("index", [(2, 3)], {"key": (None, 0, Span(1, 1, 2), None)}),
    ("index", [(2, 3)], {"key": (Span(0, 1, 0), WHOLE)}),
    ("index", [(2, 3)], {"key": (Span(0, 1, 2), PICKED)}),
    ("index", [(2, 3)], {"key": (ROWS, PICKED)}),
    ("index", [(2, 3)], {"key": (1, 2)}),
    ("scatter", [(3,), (2,)], {"keys": ((PICKED,), (Span(3, -2, 2),)), "shape": (4,)}),
    ("scatter", [(3,)], {"keys": ((1, WHOLE),), "shape": (2, 3)}),
    ("concatenate", [(2, 3), (2, 1), (2, 0)], {"axis": 1}),
    ("stack", [(2, 3), (2, 3)], {"axis": 1}),
    ("stack", [(), (), ()], {"axis": 0}),
    ("cumsum", [(2, 3, 2)], {"axis": 1}),
    ("cumsum", [(4,)], {"axis": 0}),
    *(
        (name, [(2, 3, 4)], {"axes": axes, "keepdims": keepdims})
        for name in ("sum", "mean", "prod", "max", "min", "logsumexp")
        for axes, keepdims in [((1,), False), ((0, 2), True), ((0, 1, 2), False)]
    ),
    *(
        (name, [(2, 3)], {"axes": (), "keepdims": False})
        for name in ("sum", "mean", "prod", "max", "min", "logsumexp")
    ),
    *(
        (name, [(2, 0)], {"axes": (1,), "keepdims": True})
        for name in ("sum", "prod", "logsumexp")
    ),
]


def peer(name):
    entry = backend_availability()[name]
    if not entry.available:
        pytest.skip(entry.reason)
    return dk.get_backend(name)


def agrees(name, function, arrays):
    """Value, outputs and gradients of a peer against diffkit's NumPy reading."""
    meaning = np.asarray(function(*arrays))
    shape, boolean = meaning.shape, meaning.dtype == bool
    weights = np.random.default_rng(3).uniform(0.5, 1.5, shape)

    def f(*inputs):
        out = function(*inputs)
        real = np.where(out, 1.0, 0.5) if boolean else out
        return np.sum(real * weights), out

    everything = tuple(range(len(arrays)))
    options = {"argnums": everything, "has_aux": True, "nonfinite": "allow"}
    ours = dk.prepare(
        f, *arrays, backend=dk.get_backend("autodiff", runtime="numpy"), **options
    )
    theirs = dk.prepare(f, *arrays, backend=peer(name), **options)
    (_, expected), slopes = ours(*arrays)
    (_, out), gradients = theirs(*arrays)
    assert np.shape(out) == shape
    assert np.asarray(out).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-14)
    for a, b in zip(slopes, gradients, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-12)


def test_every_row_has_an_example():
    named = {name for name, _, _ in EXAMPLES} | set(ELEMENTWISE)
    assert named == {name for name, op in TABLE.items() if op.family != "leaf"}


@pytest.mark.parametrize("name", ARRAY_PEERS)
@pytest.mark.parametrize("row", ELEMENTWISE)
def test_elementwise_row(row, name, rng):
    op = TABLE[row]
    shapes = [(2, 3), (3,), (2, 1)]
    arrays = [
        domain.sample(rng, shape)
        for domain, shape in zip(op.domain, shapes, strict=False)
    ]
    if row in LOGICAL or row == "where":

        def function(*x):
            conditions = x if row in LOGICAL else x[:1]
            chosen = [TABLE["greater"](v, 0.5) for v in conditions]
            return op(*chosen, *x[len(chosen) :])

        agrees(name, function, arrays)
    agrees(name, op, arrays)


@pytest.mark.parametrize("name", ARRAY_PEERS)
@pytest.mark.parametrize(
    "row, shapes, attributes",
    EXAMPLES,
    ids=[f"{row}-{i}" for i, (row, _, _) in enumerate(EXAMPLES)],
)
def test_row(row, shapes, attributes, name, rng):
    arrays = [np.asarray(rng.uniform(0.5, 1.5, shape)) for shape in shapes]
    agrees(name, lambda *x: TABLE[row](*x, **attributes), arrays)


@pytest.mark.parametrize("name", ARRAY_PEERS)
def test_booleans_in_arithmetic_are_0_and_1(name, rng):
    def function(x):
        positive = TABLE["greater"](x, 0.0)
        joined = TABLE["concatenate"](positive, x, axis=0)
        return joined * TABLE["stack"](positive, positive, axis=0).reshape(-1)

    x = rng.normal(size=4)
    agrees(name, function, [x])


KINKS = [
    ("relu", [np.array([0.0, 1.0])]),
    ("abs", [np.array([0.0, -1.0])]),
    ("sign", [np.array([0.0, -1.0])]),
    ("maximum", [np.array([1.0, 2.0]), np.array([1.0, 3.0])]),
    ("minimum", [np.array([1.0, 2.0]), np.array([1.0, 3.0])]),
]


@pytest.mark.parametrize("name", ARRAY_PEERS)
@pytest.mark.parametrize("row, arrays", KINKS, ids=[row for row, _ in KINKS])
def test_peers_choose_the_same_value_at_a_kink(row, arrays, name):
    agrees(name, TABLE[row], arrays)


@pytest.mark.parametrize("name", ARRAY_PEERS)
@pytest.mark.parametrize("row", ["sigmoid", "softplus", "logsumexp", "tanh", "relu"])
def test_activations_far_out(row, name):
    x = np.array([-60.0, -20.0, 20.0, 45.0, 700.0])
    attributes = {"axes": (0,), "keepdims": False} if row == "logsumexp" else {}
    agrees(name, lambda x: TABLE[row](x, **attributes), [x])


def test_an_operation_that_a_peer_lacks_is_named():
    functions = ArrayFunctions(
        peer="tiny",
        rows={"sin": elementwise(np.sin)},
        constant=lambda array: array,
        as_real=lambda x: x * 1.0,
        as_boolean=lambda x: x != 0,
    )
    graph = trace(lambda x: np.sum(np.sin(x)), np.ones(2))
    with pytest.raises(errors.LackingOperationError, match="'tiny' has no 'sum'"):
        read(graph, functions, np.dtype(float))
    alone = trace(lambda x: np.sin(x), np.ones(2))
    assert read(alone, functions, np.dtype(float))([np.zeros(2)])[0].tolist() == [0, 0]
