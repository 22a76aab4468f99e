"""Products with the Jacobian and second order, on every backend that gives them.

The oracles: the dot-product identity ⟨w, J v⟩ = ⟨Jᵀ w, v⟩ (two modes that share no
pass), formulas written out by hand, and differences of gradients.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import diffkit as dk
from diffkit import errors
from diffkit.backends import Backend
from diffkit.graph import reverse, trees
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from diffkit.transform.maps import LinearMap, TracedMap, pack
from tests.programs import programs

BACKENDS = [
    ("autodiff", 1e-12),
    ("forward", 1e-12),
    ("symbolic", 1e-12),
    ("exact", 1e-13),
    ("finite_differences", 1e-7),
]
RNG = np.random.default_rng(3)
P = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}
X = RNG.normal(size=(4, 3))


def layer(p, x):
    h = np.tanh(x @ p["w"] + p["b"])
    return {"h": h, "more": (np.sum(h**2), p["b"] * 2.0)}


def loss(p, x):
    return np.sum(np.tanh(x @ p["w"]) ** 2) + np.sum(p["b"] ** 3)


def dot(one, other):
    pairs = zip(trees.leaves(one), trees.leaves(other), strict=True)
    return sum(float(np.sum(np.asarray(a) * b)) for a, b in pairs)


def random_like(tree, seed):
    rng = np.random.default_rng(seed)
    leaves, structure = trees.flatten(tree)
    drawn = [rng.normal(size=np.shape(leaf)) for leaf in leaves]
    return trees.unflatten(structure, drawn)


@pytest.mark.parametrize("backend, tolerance", BACKENDS)
def test_the_two_products_agree_on_nested_vector_functions(backend, tolerance):
    v = random_like((P, X), 1)
    value, tangent = dk.jvp(layer, (P, X), v, backend=backend)
    again, pullback = dk.vjp(layer, P, X, backend=backend)
    expected = layer(P, X)
    for got in (value, again):
        assert trees.structure(got) == trees.structure(expected)
        np.testing.assert_allclose(got["h"], expected["h"], rtol=1e-14)
    w = random_like(value, 2)
    assert dot(w, tangent) == pytest.approx(dot(pullback(w), v), rel=tolerance)
    # and the tangent is the right one, by differences
    h = 1e-6
    moved = [layer(*_moved(sign * h, v))["h"] for sign in (1, -1)]
    np.testing.assert_allclose(tangent["h"], (moved[0] - moved[1]) / (2 * h), atol=1e-8)


def _moved(h, v):
    leaves, structure = trees.flatten((P, X))
    return trees.unflatten(
        structure, [a + h * b for a, b in zip(leaves, trees.leaves(v), strict=True)]
    )


@pytest.mark.parametrize("backend, tolerance", BACKENDS)
@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobian_by_either_mode(backend, tolerance, mode):
    jac = dk.jacobian(layer, argnums=(0, 1), backend=backend, mode=mode)(P, X)
    (by_p, _by_x) = jac["h"]
    assert by_p["w"].shape == (4, 2, 3, 2)
    h = layer(P, X)["h"]
    slope = 1 - h**2
    expected = np.einsum("ik,ij,kl->ikjl", slope, X, np.eye(2))
    np.testing.assert_allclose(by_p["w"], expected, atol=10 * tolerance)
    np.testing.assert_allclose(jac["more"][1][0]["b"], 2 * np.eye(2), atol=tolerance)
    assert not jac["more"][1][1].any()


@pytest.mark.parametrize("backend, tolerance", BACKENDS)
def test_second_order(backend, tolerance):
    hessian = dk.hessian(loss, backend=backend)(P, X)
    expected = np.diag(6 * P["b"])
    np.testing.assert_allclose(hessian["b"]["b"], expected, atol=10 * tolerance)
    dense = hessian["w"]["w"].reshape(6, 6)
    np.testing.assert_allclose(dense, dense.T, atol=10 * tolerance)
    v = random_like((P,), 5)
    (product,) = dk.hvp(lambda p: loss(p, X), (P,), v, backend=backend)
    by_hand = dense @ v[0]["w"].ravel()
    np.testing.assert_allclose(product["w"].ravel(), by_hand, atol=50 * tolerance)
    np.testing.assert_allclose(product["b"], 6 * P["b"] * v[0]["b"], rtol=1e-6)


@pytest.mark.parametrize("outer", [name for name, _ in BACKENDS])
@pytest.mark.parametrize("inner", ["autodiff", "forward", "symbolic", "exact"])
def test_gradient_of_a_gradient(outer, inner):
    second = dk.grad(dk.grad(lambda x: x**4, backend=inner), backend=outer)
    assert second(2.0) == pytest.approx(48.0, rel=1e-8)


def test_products_inside_a_traced_function_can_be_differentiated():
    w = np.array([0.3, -0.5, 0.8])

    def by_jvp(w):
        return dk.jvp(lambda u: np.sum(np.sin(u)), (w,), (w,))[1]

    def by_vjp(w):
        _, pull = dk.vjp(lambda u: {"s": np.sin(u), "c": u * 2.0}, w)
        return np.sum(pull({"s": w, "c": np.zeros(3)})[0])

    expected = np.cos(w) - w * np.sin(w)
    np.testing.assert_allclose(dk.grad(by_jvp)(w), expected, rtol=1e-14)
    np.testing.assert_allclose(dk.grad(by_vjp)(w), expected, rtol=1e-14)
    hessian_free = dk.grad(lambda u: np.sum(dk.jvp(dk.grad(loss_of), (u,), (w,))[1]))
    assert np.isfinite(hessian_free(w)).all()
    with pytest.raises(errors.BackendError, match="approximate"):
        dk.grad(lambda u: dk.jvp(np.sin, (u,), (u,), backend="finite_differences")[1])(
            0.5
        )
    for inside in (
        lambda u: np.sum(dk.jacobian(np.sin)(u)),
        lambda u: np.sum(dk.hessian(loss_of)(u)),
        lambda u: np.sum(dk.hvp(loss_of, (u,), (u,))[0]),
        lambda u: np.sum(dk.linearize(np.sin, u)[0]),
    ):
        with pytest.raises(errors.UserInputError, match="inside another traced"):
            dk.grad(inside)(w)


def loss_of(u):
    return np.sum(np.sin(u) * u[::-1])


def identity_holds(graph, leaves, backend, rng, tolerance):
    """⟨w, J v⟩ = ⟨Jᵀ w, v⟩ for a graph, at random v and w."""
    shapes = tuple(graph.nodes[o].shape for o in graph.outputs)
    wrt = tuple(range(len(leaves)))
    specs = tuple(
        dk.prepared.LeafSpec(f"x{i}", x.shape, x.dtype) for i, x in enumerate(leaves)
    )
    float64 = np.dtype(np.float64)
    traced = TracedMap(pack(graph), wrt, specs, float64, None, None, shapes)
    linear = LinearMap(traced, dk.get_backend(backend))
    v = [rng.normal(size=x.shape) for x in leaves]
    w = rng.normal(size=traced.m)
    _, tangent = linear.push(leaves, v)
    _, cotangents = linear.pull(leaves, w)
    left = float(w @ tangent)
    right = sum(float(np.sum(a * b)) for a, b in zip(cotangents, v, strict=True))
    size = np.sum(np.abs(w * tangent)) + sum(
        np.sum(np.abs(a * b)) for a, b in zip(cotangents, v, strict=True)
    )
    assert abs(left - right) <= tolerance * max(float(size), 1e-12)


SKIPPED = {"input", "constant"}
ATTRIBUTES = {
    "transpose": {"axes": (1, 0)},
    "reshape": {"shape": (6,)},
    "broadcast": {"shape": (4, 2, 3)},
    "concatenate": {"axis": 0},
    "stack": {"axis": 1},
    "cumsum": {"axis": 1},
}
REDUCE = {"axes": (1,), "keepdims": False}


def row_graph(op):
    """A program of one row, and a point inside its domain."""
    rng = np.random.default_rng(11)
    if op.name == "index":
        return dk.trace(lambda x: x[np.array([1, 0, 1])], np.ones((2, 3)))
    if op.name == "scatter":
        return dk.trace(lambda x: np.diag(x), np.ones(3))
    words = ATTRIBUTES.get(op.name, REDUCE if op.family == "reduce" else {})
    count = op.arity or 2
    shapes = [(2, 3)] * count
    if op.name == "matmul":
        shapes = [(2, 3), (3, 2)]
    leaves = [rng.uniform(0.2, 0.8, s) for s in shapes]

    def apply(*x):
        if op.name == "where":
            return op(x[0] > 0.5, x[1], x[2])
        if op.name.startswith("logical"):
            return op(*(v > 0.5 for v in x))
        return op(*x, **words)

    return dk.trace(apply, *leaves)


@pytest.mark.parametrize("name", sorted(set(TABLE) - SKIPPED))
def test_dot_product_identity_on_every_row(name, rng):
    graph = row_graph(TABLE[name])
    assert any(node.op.name == name for node in graph.nodes)
    shapes = [graph.nodes[i].shape for i in graph.inputs]
    leaves = [rng.uniform(0.2, 0.8, shape) for shape in shapes]
    identity_holds(graph, leaves, "autodiff", rng, 1e-13)


@settings(max_examples=40)
@given(programs())
def test_dot_product_identity_on_random_programs(program):
    rng = np.random.default_rng(0)
    identity_holds(program.graph, list(program.leaves), "autodiff", rng, 1e-10)
    # and of their gradients, which are vector functions
    gradient = reverse(program.graph, program.wrt)
    if all(np.isfinite(g).all() for g in evaluate(gradient, program.leaves)):
        identity_holds(gradient, list(program.leaves), "autodiff", rng, 1e-8)


def test_directions_that_do_not_fit_are_named():
    with pytest.raises(errors.ShapeError, match=r"tangent of w .*\(2,\).*\(3,\)"):
        dk.jvp(lambda w: w * 2.0, (np.ones(3),), (np.ones(2),))
    with pytest.raises(errors.ShapeError, match="nested"):
        dk.jvp(lambda w: w * 2.0, (np.ones(3),), ([np.ones(3)],))
    with pytest.raises(errors.UserInputError, match="has to be a tuple"):
        dk.jvp(lambda w: w * 2.0, np.ones(3), (np.ones(3),))
    _, pullback = dk.vjp(lambda w: w * 2.0, np.ones(3))
    with pytest.raises(errors.ShapeError, match="cotangent of output 0"):
        pullback(np.ones((3, 1)))


@pytest.mark.parametrize(
    "bad", [np.arange(3), np.ones(3, complex), np.array(["a"]), np.array([True])]
)
def test_parameters_that_are_not_floats(bad):
    for call in (
        lambda: dk.jvp(np.sin, (bad,), (np.ones(3),)),
        lambda: dk.vjp(np.sin, bad),
        lambda: dk.jacobian(np.sin)(bad),
        lambda: dk.hessian(np.sum)(bad),
        lambda: dk.grad(np.sum)(bad),
    ):
        with pytest.raises(errors.DtypeError, match="dtype"):
            call()


def test_a_scalar_is_asked_for_where_it_is_needed():
    with pytest.raises(errors.ShapeError, match=r"dk\.jacobian or dk\.vjp"):
        dk.grad(lambda w: w * 2.0)(np.ones(3))
    for call in (
        lambda: dk.hessian(lambda w: w * 2.0)(np.ones(3)),
        lambda: dk.hvp(lambda w: w * 2.0, (np.ones(3),), (np.ones(3),)),
    ):
        with pytest.raises(errors.ShapeError, match="need a scalar"):
            call()


@pytest.mark.parametrize("backend", [name for name, _ in BACKENDS])
def test_constants_and_nothing_at_all(backend):
    w = np.ones(3)

    def constant(w):
        return np.float64(2.0)

    assert dk.grad(constant, backend=backend)(w).tolist() == [0.0] * 3
    assert dk.jacobian(constant, backend=backend)(w).tolist() == [0.0] * 3
    assert not dk.hessian(constant, backend=backend)(w).any()
    assert dk.jvp(constant, (w,), (w,), backend=backend)[1] == 0.0
    assert dk.vjp(constant, w, backend=backend)[1](1.0)[0].tolist() == [0.0] * 3
    assert dk.grad(lambda p, x: np.sum(x), backend=backend)({}, w) == {}
    assert dk.jacobian(lambda w: w * 2.0, backend=backend)(w[:0]).shape == (0, 0)
    assert dk.hessian(np.sum, backend=backend)(w[:0]).shape == (0, 0)


def test_float32_stays_float32():
    w = np.array([0.5, 0.25], np.float32)
    for backend in ("autodiff", "forward", "symbolic", "finite_differences"):
        _, tangent = dk.jvp(np.sin, (w,), (w,), backend=backend)
        jac = dk.jacobian(np.sin, backend=backend)(w)
        assert tangent.dtype == jac.dtype == np.float32
        tolerance = 1e-2 if backend == "finite_differences" else 1e-6
        np.testing.assert_allclose(np.diag(jac), np.cos(w), rtol=tolerance)


def test_nan_is_named_on_every_call():
    jac = dk.jacobian(np.sin)
    jac(np.ones(2))
    with pytest.raises(errors.NonFiniteError, match="nan"):
        jac(np.array([1.0, np.nan]))
    allowed = dk.jacobian(np.sin, nonfinite="allow")
    assert np.isnan(allowed(np.array([1.0, np.nan]))[1, 1])


def test_linearize_is_compiled_once_and_called_often():
    value, push = dk.linearize(layer, P, X)
    np.testing.assert_allclose(value["h"], layer(P, X)["h"], rtol=1e-14)
    v = random_like((P, X), 9)
    tangent = push(*v)
    np.testing.assert_array_equal(tangent["h"], dk.jvp(layer, (P, X), v)[1]["h"])


def test_a_line_derivative_of_differences_keeps_the_size_of_the_point():
    x = np.array([1e6, 3e-3])
    for size in (1e-8, 1.0, 1e8):
        _, tangent = dk.jvp(
            lambda x: np.sum(x**2), (x,), (size * x,), backend="finite_differences"
        )
        assert tangent == pytest.approx(2 * size * np.sum(x**2), rel=1e-8)


class Counting:
    """A backend that counts the evaluations that its gradients are billed."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = inner.name
        self.capabilities = inner.capabilities
        self.evaluations = 0
        self.runs = 0

    def compile(self, program):
        compiled = self.inner.compile(program)
        counting = self

        class Compiled:
            info = compiled.info
            value = compiled.value

            def __call__(self, leaves):
                counting.runs += 1
                # A program with nothing to differentiate is one evaluation.
                counting.evaluations += compiled.info.evaluations if program.wrt else 1
                return compiled(leaves)

        return Compiled()


@pytest.mark.parametrize("n, m", [(2, 5), (5, 2), (3, 3)])
@pytest.mark.parametrize("backend", [name for name, _ in BACKENDS])
def test_the_capability_table_is_true_by_counting(backend, n, m):
    a = np.random.default_rng(0).normal(size=(m, n))
    x = np.linspace(0.1, 1.0, n)

    def vector(x):
        return np.sin(a @ x)

    def scalar(x):
        return np.sum(np.sin(a @ x))

    count = dk.backends.formula.count
    table = dk.capabilities([backend])

    def calls(counting):
        _, pullback = dk.vjp(vector, x, backend=counting)
        counting.evaluations = 0
        yield "vjp", lambda: pullback(np.ones(m))
        yield "jvp", lambda: dk.jvp(vector, (x,), (x,), backend=counting)
        yield "gradient", lambda: dk.grad(scalar, backend=counting)(x)
        yield "jacobian", lambda: dk.jacobian(vector, backend=counting)(x)
        yield "hvp", lambda: dk.hvp(scalar, (x,), (x,), backend=counting)
        yield "hessian", lambda: dk.hessian(scalar, backend=counting)(x)

    counting = Counting(dk.get_backend(backend))
    seen = set()
    for derivative, call in calls(counting):
        counting.evaluations = 0
        call()
        formula = table.row(backend, derivative).evaluations
        assert counting.evaluations == count(formula, P=n, n=n, m=m), derivative
        seen.add(derivative)
    assert seen == set(dk.backends.base.DERIVATIVES)


def test_the_table_says_no_and_unavailable(monkeypatch):
    table = dk.capabilities(["null", "autodiff"])
    assert table.row("null", "jvp").status == "no"
    assert "autodiff" in str(table)
    assert len(table.records()) == len(table) == 12
    with pytest.raises(errors.BackendError, match="does not give jvp"):
        dk.jvp(np.sin, (1.0,), (1.0,), backend="null")
    with pytest.raises(errors.BackendError, match="no row"):
        table.row("autodiff", "trace")

    def missing(name):
        raise errors.MissingDependencyError("ghost", "the backend ghost")

    monkeypatch.setattr(dk.transform.table, "get_backend", missing)
    row = dk.capabilities(["ghost"]).row("ghost", "jvp")
    assert row.status.startswith("unavailable")
    assert "pip install ghost" in row.status


@pytest.mark.parametrize("formula", ["", "2Q", "P/2", "P**2", "open('x')", "2P("])
def test_formulas_that_cannot_be_read(formula):
    with pytest.raises(errors.BackendError, match="cannot be read"):
        dk.backends.formula.count(formula, P=3)
