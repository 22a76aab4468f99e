"""Every row against numbers: the complex step where analytic, differences elsewhere.

The second of two oracles (the first is SymPy's, in test_rows_symbolic.py). Neither
knows the rules: both start from the row's NumPy meaning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diffkit.graph import Builder, forward, reverse, simplify
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE, Constant, Interval, Op, Span

STEP = 1e-30
ELEMENTWISE = [op for op in TABLE.values() if op.family == "elementwise"]
SMOOTH_INTERVAL = Interval(-2.0, 2.0)

# Structured rows: shapes and attributes to run them with.
STRUCTURED: dict[str, list[tuple[list[tuple[int, ...]], dict]]] = {
    "matmul": [
        ([(2, 3), (3, 4)], {}),
        ([(5, 2, 3), (3, 4)], {}),
        ([(1, 2, 3), (4, 3, 1)], {}),
    ],
    "transpose": [([(2, 3, 4)], {"axes": (2, 0, 1)})],
    "reshape": [([(2, 6)], {"shape": (3, 4)}), ([()], {"shape": (1, 1)})],
    "broadcast": [([(3, 1)], {"shape": (2, 3, 4)}), ([()], {"shape": (2,)})],
    "index": [
        ([(5, 4)], {"key": (Span(4, -2, 2), 1)}),
        ([(5, 4)], {"key": (Constant.of(np.array([0, 0, 3])), Span(0, 1, 4))}),
        ([(3,)], {"key": (None, Span(0, 2, 2))}),
    ],
    "scatter": [
        (
            [(2,), (3, 2)],
            {
                "keys": (
                    (1, Span(0, 1, 2)),
                    (Constant.of(np.array([0, 1, 1])), Span(0, 1, 2)),
                ),
                "shape": (3, 2),
            },
        )
    ],
    "concatenate": [([(2, 3), (2, 1), (2, 3)], {"axis": 1})],
    "stack": [([(2, 3), (2, 3)], {"axis": 1})],
    "cumsum": [([(3, 4)], {"axis": 0}), ([(3, 4)], {"axis": 1})],
    **{
        name: [
            ([(3, 4)], {"axes": (0,), "keepdims": False}),
            ([(3, 4)], {"axes": (1,), "keepdims": True}),
            ([(2, 3, 2)], {"axes": (0, 2), "keepdims": False}),
            ([(5,)], {"axes": (0,), "keepdims": False}),
        ]
        for name in ("sum", "mean", "prod", "max", "min", "logsumexp")
    },
}


def program(op: Op, shapes, words):
    """sum(weights · op(inputs)), whose gradient shows every entry of the Jacobian."""
    builder = Builder()
    inputs = [builder.input(shape) for shape in shapes]
    out = builder.apply(op, inputs, **words)
    weights = builder.input(builder.nodes[out].shape)
    product = builder.apply(TABLE["multiply"], [weights, out])
    axes = tuple(range(len(builder.nodes[product].shape)))
    total = product
    if axes:
        total = builder.apply(TABLE["sum"], [product], axes=axes, keepdims=False)
    return builder.graph([total])


def numeric_gradient(op: Op, inputs, weights, words, which):
    """∂ sum(weights · op) / ∂ inputs[which], by complex step or central differences."""
    x = inputs[which]
    gradient = np.zeros(x.shape)

    def total(changed):
        values = [*inputs[:which], changed, *inputs[which + 1 :]]
        with np.errstate(all="ignore"):
            return np.sum(weights * op.numpy(*values, **words))

    for place in np.ndindex(x.shape):
        if op.analytic:
            moved = x.astype(complex)
            moved[place] += 1j * STEP
            gradient[place] = total(moved).imag / STEP
        else:
            above, below = x.copy(), x.copy()
            above[place] += 1e-6
            below[place] -= 1e-6
            gradient[place] = (total(above) - total(below)) / (
                above[place] - below[place]
            )
    return gradient


def structured_cases():
    for op in TABLE.values():
        if op.family in ("leaf", "elementwise"):
            continue
        for shapes, words in STRUCTURED[op.name]:
            yield pytest.param(op, shapes, words, id=f"{op.name}-{shapes}")


def elementwise_cases():
    shapes = {1: [[(3,)], [()]], 2: [[(2, 3), (3,)], [(2, 1), ()], [(), (2,)]]}
    for op in ELEMENTWISE:
        for chosen in shapes.get(op.arity, [[(2, 3), (3,), (2, 1)]]):
            yield pytest.param(op, chosen, {}, id=f"{op.name}-{chosen}")


def sample(op: Op, shapes, rng):
    """Inputs from the row's domain, away from ties."""
    domains = op.domain or (SMOOTH_INTERVAL,) * len(shapes)
    return [np.asarray(d.sample(rng, s)) for d, s in zip(domains, shapes, strict=True)]


def check_row(op: Op, shapes, words, rng):
    graph = program(op, shapes, words)
    inputs = sample(op, shapes, rng)
    weights = rng.normal(size=graph.nodes[graph.inputs[-1]].shape)
    leaves = [*inputs, weights]
    wrt = range(len(inputs))
    for derived in (reverse(graph, wrt), simplify(reverse(graph, wrt))):
        _, *gradients = evaluate(derived, leaves)
        for which, gradient in enumerate(gradients):
            expected = numeric_gradient(op, inputs, weights, words, which)
            np.testing.assert_allclose(
                gradient, expected, rtol=1e-10 if op.analytic else 1e-6, atol=1e-9
            )
    tangents = [rng.normal(size=x.shape) for x in inputs]
    _, slope = evaluate(forward(graph, wrt), [*leaves, *tangents])
    # The dot-product identity: w·(J t) = (Jᵀ w)·t.
    by_reverse = sum(np.sum(g * t) for g, t in zip(gradients, tangents, strict=True))
    np.testing.assert_allclose(slope, by_reverse, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("op, shapes, words", list(elementwise_cases()))
def test_elementwise_row(op, shapes, words, rng):
    check_row(op, shapes, words, rng)


@pytest.mark.parametrize("op, shapes, words", list(structured_cases()))
def test_structured_row(op, shapes, words, rng):
    check_row(op, shapes, words, rng)


def test_every_row_is_exercised():
    exercised = {op.name for op in ELEMENTWISE} | set(STRUCTURED)
    leaves = {op.name for op in TABLE.values() if op.family == "leaf"}
    assert exercised | leaves == set(TABLE)


DIFFERENTIABLE = [op for op in ELEMENTWISE if any(op.partials) and op.name != "sign"]


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_planted_error_of_a_thousandth_is_caught(op, rng):
    def wrong(rule):
        return rule and (lambda *a: 1.001 * rule(*a))

    planted = replace(op, partials=tuple(wrong(rule) for rule in op.partials))
    with pytest.raises(AssertionError):
        check_row(planted, [(3,)] * op.arity, {}, rng)


@pytest.mark.parametrize(
    "name", [n for n in STRUCTURED if TABLE[n].transposes or TABLE[n].weights]
)
def test_planted_error_in_a_structured_row_is_caught(name, rng):
    op = TABLE[name]
    shapes, words = STRUCTURED[name][0]

    def wrong(rule):
        return lambda *a, **k: 1.001 * rule(*a, **k)

    planted = replace(
        op,
        transposes=tuple(wrong(rule) for rule in op.transposes),
        weights=wrong(op.weights) if op.weights else None,
    )
    with pytest.raises(AssertionError):
        check_row(planted, shapes, words, rng)


def test_kinks_take_the_value_the_row_states():
    def slope(name, x, *rest):
        op = TABLE[name]
        graph = program(op, [()] * (1 + len(rest)), {})
        leaves = [np.array(v) for v in (x, *rest, 1.0)]
        return [
            float(g) for g in evaluate(reverse(graph, range(1 + len(rest))), leaves)
        ][1:]

    assert slope("relu", 0.0) == [0.0]
    assert slope("abs", 0.0) == [0.0]
    assert slope("maximum", 1.5, 1.5) == [0.5, 0.5]
    assert slope("minimum", 1.5, 1.5) == [0.5, 0.5]
    for op in TABLE.values():
        if not op.analytic and op.kind == "real":
            assert op.kink


def test_ties_of_max_share_equally():
    graph = program(TABLE["max"], [(4,)], {"axes": (0,), "keepdims": False})
    leaves = [np.array([1.0, 3.0, 3.0, 0.0]), np.array(1.0)]
    _, gradient = evaluate(reverse(graph), leaves)
    assert gradient.tolist() == [0.0, 0.5, 0.5, 0.0]


def test_product_is_right_at_zeros():
    graph = program(TABLE["prod"], [(3,)], {"axes": (0,), "keepdims": False})
    for x, expected in (
        ([2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
        ([0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    ):
        _, gradient = evaluate(reverse(graph), [np.array(x), np.array(1.0)])
        assert gradient.tolist() == expected


def test_second_order_of_a_product_at_a_zero():
    graph = program(TABLE["prod"], [(3,)], {"axes": (0,), "keepdims": False})
    gradient = reverse(graph)
    mixed = forward(gradient, (0,), output=1)
    leaves = [np.array([2.0, 0.0, 0.0]), np.array(1.0), np.array([0.0, 1.0, 0.0])]
    assert evaluate(mixed, leaves)[1].tolist() == [0.0, 0.0, 2.0]


def test_power_has_no_nan_at_zero():
    op = TABLE["power"]
    graph = program(op, [(4,), (4,)], {})
    x, b = np.zeros(4), np.array([0.0, 1.0, 2.0, 0.5])
    _, dx, db = evaluate(reverse(graph, (0, 1)), [x, b, np.ones(4)])
    assert dx.tolist() == [0.0, 1.0, 0.0, np.inf]
    assert db.tolist() == [0.0] * 4


def test_an_incomplete_row_cannot_be_built():
    with pytest.raises(ValueError, match="one partial derivative per input"):
        replace(TABLE["tanh"], partials=())
    with pytest.raises(ValueError, match="test domain"):
        replace(TABLE["tanh"], domain=())
    with pytest.raises(ValueError, match="kink"):
        replace(TABLE["relu"], kink=None)
    with pytest.raises(ValueError, match="weights or a transpose"):
        replace(TABLE["prod"], weights=None)
    with pytest.raises(ValueError, match="SymPy"):
        replace(TABLE["tanh"], sympy=None)


def test_activations_keep_their_limits():
    ends = np.array([-np.inf, np.inf])
    assert TABLE["softplus"].numpy(ends).tolist() == [0.0, np.inf]
    assert TABLE["sigmoid"].numpy(ends).tolist() == [0.0, 1.0]
    assert TABLE["softplus"].numpy(np.float32([1.0])).dtype == np.float32
    assert TABLE["sigmoid"].numpy(np.float32([1.0])).dtype == np.float32
