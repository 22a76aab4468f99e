"""The symbolic backend gives reverse mode's gradient, in all forms, for all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.backends.base import Program
from diffkit.backends.symbolic import EngineCompiled, SourceCompiled, Symbolic
from diffkit.engine.kernels import OPCODES
from diffkit.engine.kernels.fields import OPCODE
from diffkit.errors import BackendError, UnknownNameError, UserInputError
from diffkit.graph import reverse, trace, trace_arguments
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from tests.cases import make_cases

FORMS = ("shared", "cse", "expanded")
BATCH = 5
R = np.random.default_rng(11)
W, X = R.normal(size=(3, 4)), R.normal(size=(BATCH, 3))
LABELS = np.array([0, 3, 1, 2, 3])


def program_of(
    f: Callable[..., Any], args: tuple[Any, ...], dtype: str = "float64"
) -> tuple[Program, list[np.ndarray]]:
    """A function differentiated by its first argument, and its leaves."""
    tracing = trace_arguments(f, args)
    wrt = tuple(range(len(optree.tree_leaves(args[0]))))
    program = Program(tracing.graph, wrt, tracing.arguments.names, np.dtype(dtype))
    kinds = [tracing.graph.nodes[i].kind for i in tracing.graph.inputs]
    leaves = [
        np.asarray(leaf, bool if kind == "boolean" else dtype)
        for leaf, kind in zip(optree.tree_leaves(args), kinds, strict=True)
    ]
    return program, leaves


def truth(program: Program, leaves: list[np.ndarray]) -> list[np.ndarray]:
    return evaluate(reverse(program.graph, program.wrt), leaves)


def assert_agrees(
    f: Callable[..., Any], args: tuple[Any, ...], **options: Any
) -> EngineCompiled | SourceCompiled:
    """On every runtime that the form has."""
    program, leaves = program_of(f, args)
    expected = truth(program, leaves)
    compiled = None
    for runtime in ("numpy", "auto"):
        compiled = Symbolic(**options, runtime=runtime).compile(program)
        value, gradients, others = compiled(leaves)
        found = [np.asarray(value), *gradients, *others]
        for have, want in zip(found, expected, strict=True):
            assert have.shape == want.shape
            assert have.dtype == want.dtype
            if want.dtype == bool:
                np.testing.assert_array_equal(have, want)
            else:
                scale = max(1.0, np.max(np.abs(want), initial=0.0))
                np.testing.assert_allclose(have, want, rtol=1e-10, atol=1e-10 * scale)
        alone = compiled.value(leaves)
        assert alone == pytest.approx(expected[0], rel=1e-12, abs=1e-12)
        if compiled.info.details["form"] == "expanded":
            break
    assert compiled is not None
    return compiled


# Name, function of (w, x), and whether its samples can be columns.
PROGRAMS: dict[str, tuple[Callable[..., Any], bool]] = {
    "net": (lambda w, x: np.mean((np.tanh(x @ w) - 0.5) ** 2), True),
    "power": (
        lambda w, x: np.sum(np.abs(x @ w) ** 2.5) + np.sum((w * w + 1) ** w),
        True,
    ),
    "whole powers": (
        lambda w, x: np.sum(w**3 + w**2 + w**-1 + w**-2 + w**0 + w**7),
        True,
    ),
    "number to a power": (lambda w, x: np.sum(np.power(2.0, x @ w)), True),
    "quotient": (lambda w, x: np.mean(x @ w / (2 + np.square(x @ w)) / w[0]), True),
    "extremes": (
        lambda w, x: np.sum(np.maximum(x @ w, 0.1) + np.minimum(x @ w, x[:, :1])),
        True,
    ),
    "choice": (lambda w, x: np.sum(np.where(x @ w > 0, np.exp(x @ w), w[0])), True),
    "booleans": (
        lambda w, x: (
            np.sum(((x @ w > 0) & (w[0] < 1)) * (x @ w))
            + np.sum((x > 0) * 1.0) * np.sum(w)
        ),
        True,
    ),
    "max": (lambda w, x: np.sum(np.max(x @ w, axis=1)) + np.min(w), True),
    "max over the batch": (lambda w, x: np.sum(np.max(x @ w, axis=0)), False),
    "prod": (lambda w, x: np.sum(np.prod(x @ w, axis=1)) + np.prod(w[:2]), True),
    "cumsum": (lambda w, x: np.sum(np.cumsum(x @ w, axis=1) ** 2), True),
    "cumsum of samples": (lambda w, x: np.sum(np.cumsum(x @ w, axis=0) ** 2), False),
    "batch norm": (
        lambda w, x: np.sum(
            np.tanh(
                (x @ w - np.mean(x @ w, axis=0))
                / np.sqrt(np.var(x @ w, axis=0) + 1e-3)
                * w[0]
            )
            ** 2
            * x[:, :1]
        ),
        True,
    ),
    "cross entropy by index": (
        lambda w, x: (
            -np.mean(
                (x @ w - np.log(np.sum(np.exp(x @ w), axis=1, keepdims=True)))[
                    np.arange(BATCH), LABELS
                ]
            )
        ),
        True,
    ),
    "columns by index": (
        lambda w, x: np.sum((x @ w)[:, 1:3] * (x @ w)[:, [3, 0]]) + w[0, 1] * w[-1, -1],
        True,
    ),
    "some samples": (lambda w, x: np.sum((x @ w)[1:3]), False),
    "samples reversed": (lambda w, x: np.sum((x @ w)[::-1] * (x @ w)), False),
    "transposed": (lambda w, x: np.sum(np.tanh((w.T @ x.T).T) * 2), True),
    "gram": (lambda w, x: np.sum((x @ w).T @ (x @ w) * w[0]), True),
    "samples by samples": (lambda w, x: np.sum((x @ w) @ (x @ w).T), False),
    "summed by a product": (lambda w, x: np.ones(BATCH) @ (x @ w) @ np.ones(4), True),
    "weighted samples": (lambda w, x: np.sum(np.arange(5.0) @ np.tanh(x @ w)), True),
    "concatenated": (
        lambda w, x: np.sum(
            np.tanh(np.concatenate([x, x @ w, np.ones((BATCH, 1))], axis=1)) * 1.2
        ),
        True,
    ),
    "samples concatenated": (
        lambda w, x: np.sum(np.tanh(np.concatenate([x @ w, x @ w], axis=0))),
        False,
    ),
    "stacked": (
        lambda w, x: np.sum(
            np.stack([x @ w, 2 * (x @ w)], axis=0)[1]
            * np.stack([x @ w, x @ w], axis=-1)[..., 0]
        ),
        True,
    ),
    "reshaped": (
        lambda w, x: np.sum(np.tanh(np.reshape(x @ w, (BATCH, 2, 2)).sum(axis=1))),
        True,
    ),
    "flattened": (lambda w, x: np.sum(np.reshape(x @ w, (20,)) ** 2), False),
    "einsum": (lambda w, x: np.sum(np.einsum("bi,bj->bij", x, x @ w) ** 2), True),
    "norm": (lambda w, x: np.linalg.norm(w) + np.linalg.norm(x @ w), True),
    "triangle": (lambda w, x: np.sum(np.tril(w) ** 2) + np.trace(w), True),
    "clipped": (lambda w, x: np.sum(np.clip(x @ w, -0.5, 0.5)), True),
    "constant": (lambda w, x: np.sum(x) * 1.0, True),
    "pure number": (lambda w, x: np.sum(np.ones(3)) + 0 * w[0, 0], True),
    "with auxiliaries": (
        lambda w, x: (np.sum(x @ w), x @ w, x @ w > 0, w * 2, (w.T @ x.T) * 1.0),
        True,
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_reverse_mode_by_columns(name: str, form: str) -> None:
    f, columns = PROGRAMS[name]
    compiled = assert_agrees(f, (W, X), form=form)
    assert compiled.info.details["batch"].startswith(
        f"columns of {BATCH} samples" if columns else "every element written out"
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_reverse_mode_written_out(name: str, form: str) -> None:
    f, _ = PROGRAMS[name]
    limit = 3_000_000 if form == "expanded" else None
    args = (W, X)
    if name == "samples by samples" and form == "expanded":
        args = (W[:, :2], X[:, :])
    assert_agrees(f, args, form=form, batch="written_out", max_operations=limit)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", make_cases(), ids=str)
def test_agrees_on_the_case_list(case: Any, form: str) -> None:
    assert_agrees(case.f, case.args, form=form, max_operations=5_000_000)


ELEMENTWISE = [op for op in TABLE.values() if op.family == "elementwise"]


@pytest.mark.parametrize("batch", ["columns", "written_out"])
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_every_elementwise_row(op: Any, batch: str) -> None:
    rng = np.random.default_rng(5)
    points = [domain.sample(rng, (BATCH, 2)) for domain in op.domain]
    data = rng.normal(size=(BATCH, 2))

    def f(p: Any, x: Any) -> Any:
        if op.name == "where":
            y = op(x > 0, p[1] * x, p[2] + x)
        else:  # the parameter varies, the data ride along as columns
            y = op(*[q + 0.0 * x for q in p])
        return np.sum(np.where(y, 1.0, 0.5) * x) if op.kind == "boolean" else np.sum(y)

    params = [point[0] for point in points]
    for form in ("shared", "expanded"):
        assert_agrees(f, (params, data), form=form, batch=batch)


KINKS = {
    "relu": (lambda p, x: np.sum(np.maximum(p * x, 0.0)), 0.5),
    "abs": (lambda p, x: np.sum(np.abs(p * x)), 0.0),
    "sign": (lambda p, x: np.sum(np.sign(p * x)), 0.0),
    "maximum": (lambda p, x: np.sum(np.maximum(p * x, p * x * 1.0 + 0.0 * x)), 1.0),
    "max of three": (
        lambda p, x: np.sum(np.max(np.stack([p * x, 2 * p * x, 0 * x]), axis=0)),
        1.0,
    ),
    "where": (lambda p, x: np.sum(np.where(p * x > 0, p * x, 3 * p)), 3.0),
}


RUNS = [
    ("shared", "numpy"),
    ("shared", "engine"),
    ("cse", "numpy"),
    ("expanded", "numpy"),
]


@pytest.mark.parametrize("form, runtime", RUNS)
@pytest.mark.parametrize("name", KINKS)
def test_kinks_by_convention(name: str, form: str, runtime: str) -> None:
    f, expected = KINKS[name]
    x = np.ones(4)
    program, leaves = program_of(f, (np.float64(0.0), x))
    _, (gradient,), _ = Symbolic(form=form, runtime=runtime).compile(program)(leaves)
    assert gradient == 4 * expected


def test_relu_row_is_flat_at_zero() -> None:
    relu = TABLE["relu"]
    program, leaves = program_of(lambda p, x: np.sum(relu(p * x)), (0.0, np.ones(4)))
    for form in FORMS:
        _, (gradient,), _ = Symbolic(form=form).compile(program)(leaves)
        assert gradient == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_power_at_zero(form: str) -> None:
    f = lambda p, x: np.sum(x * p[0] ** p[1])  # noqa: E731
    for point in ([0.0, 2.0], [0.0, 0.0], [-2.0, 3.0], [0.0, 1.0]):
        program, leaves = program_of(f, (np.array(point), np.ones(3)))
        _, (gradient,), _ = Symbolic(form=form).compile(program)(leaves)
        np.testing.assert_array_equal(gradient, truth(program, leaves)[1])


@pytest.mark.parametrize("form", FORMS)
def test_runs_in_the_dtype_of_the_program(form: str) -> None:
    def f(w: Any, x: Any) -> Any:
        h = np.where(x @ w > 0, np.maximum(x @ w, 0.25), 0.1 * np.tanh(x @ w))
        return np.mean(h**3 / 3) + np.max(w) * 0.1, h, h > 0

    program, leaves = program_of(f, (W, X), "float32")
    compiled = Symbolic(form=form, runtime="numpy").compile(program)
    assert isinstance(compiled, SourceCompiled)
    on_default = Symbolic(form=form).compile(program)(leaves)
    value, (gradient,), (h, positive) = compiled(leaves)
    assert type(on_default[0]) is np.float32
    np.testing.assert_allclose(on_default[1][0], gradient, rtol=2e-5)
    assert type(value) is np.float32
    assert gradient.dtype == h.dtype == np.float32
    assert positive.dtype == bool
    expected = evaluate(reverse(program.graph, (0,)), leaves, np.float32)
    np.testing.assert_allclose(gradient, expected[1], rtol=2e-5)
    # Every intermediate too: no column is secretly float64.
    steps = compiled.evaluate(compiled._scalars(leaves))
    kinds = {np.asarray(step).dtype for step in steps if not isinstance(step, int)}
    assert np.dtype(np.float64) not in kinds


def test_other_dtypes_are_refused() -> None:
    program, _ = program_of(lambda w, x: np.sum(x @ w), (W, X))
    half = Program(program.graph, program.wrt, program.names, np.dtype("float16"))
    with pytest.raises(BackendError, match="float16"):
        Symbolic().compile(half)


def test_inputs_stay_as_they_are_and_results_are_fresh() -> None:
    program, leaves = program_of(lambda w, x: (np.sum(x @ w), w * 1.0), (W, X))
    for leaf in leaves:
        leaf.flags.writeable = False
    compiled = Symbolic().compile(program)
    first, second = compiled(leaves), compiled(leaves)
    for a, b in zip(first[1] + first[2], second[1] + second[2], strict=True):
        assert not np.shares_memory(a, b)
        a[...] = 0
        assert np.any(b != 0)


def test_non_contiguous_inputs() -> None:
    program, _ = program_of(lambda w, x: np.mean(np.tanh(x @ w)), (W, X))
    compiled = Symbolic().compile(program)
    a = compiled([W.copy("F"), X.copy("F")])
    b = compiled([W, X])
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1][0], b[1][0])


@pytest.mark.parametrize("form", FORMS)
def test_empty_arrays(form: str) -> None:
    assert_agrees(lambda w, x: np.sum(x @ w) + 1.0, (np.zeros((3, 0)), X), form=form)
    assert_agrees(lambda w, x: np.sum(x @ w) + 1.0, (W, np.zeros((0, 3))), form=form)


def test_no_data_and_no_parameters_used() -> None:
    assert_agrees(lambda w: np.sum(np.tanh(w) ** 2), (W,))
    assert_agrees(lambda w: 3.0 + 0.0 * np.sum(np.zeros(2)), (W,))


def test_batch_as_long_as_a_layer_is_wide() -> None:
    x = R.normal(size=(3, 3))
    w = R.normal(size=(3, 3))
    b = R.normal(size=(1, 3))
    f = lambda p, x: np.mean(np.tanh(x @ p[0] + p[1] + p[0][0]))  # noqa: E731
    compiled = assert_agrees(f, ([w, b], x))
    assert "columns of 3" in compiled.info.details["batch"]
    # A parameter with an entry for each sample cannot be a column.
    own = assert_agrees(lambda w, x: np.sum(w * x[:, 0]), (R.normal(size=3), x))
    assert (
        "entry" in own.info.details["batch"] or "element" in own.info.details["batch"]
    )


def test_special_values_pass_through() -> None:
    program, leaves = program_of(lambda w, x: np.sum(np.log(x @ w)), (W, X))
    compiled = Symbolic().compile(program)
    value, (gradient,), _ = compiled([np.zeros_like(W), leaves[1]])
    assert value == -np.inf
    assert not np.all(np.isfinite(gradient))
    value, _, _ = compiled([np.full_like(W, np.nan), leaves[1]])
    assert np.isnan(value)


def test_info_says_what_was_done() -> None:
    program, leaves = program_of(PROGRAMS["net"][0], (W, X))
    for form in FORMS:
        info = Symbolic(form=form).compile(program).info
        assert info.backend == "symbolic"
        assert info.evaluations == 1
        assert {"read", "derive", "count", "print", "compile"} <= set(info.seconds)
        assert info.details["form"] == form
        assert info.operations > info.details["shared_operations"]
        assert info.bytes > 0
        assert info.details["source_bytes"] > 100
        assert info.details["runtime"] == ("numpy" if form == "expanded" else "engine")
        how = "generated source" if form == "expanded" else "row by row"
        assert info.details["evaluation"].startswith(how)
    assert "reverse mode" in Symbolic().compile(program).info.details["method"]
    assert "reverse mode" in (Symbolic.__doc__ or "").replace("\n", " ")
    del leaves


def test_a_term_of_a_sum_and_a_parameters_sum_are_one_instruction_each() -> None:
    """What is evaluated is the scalar form, one pass a term and one a parameter."""
    wide, samples = 7, 5

    def f(w: Any, x: Any) -> Any:
        return np.sum(np.tanh(x @ w) * x[:, 0])

    args = (R.normal(size=wide), R.normal(size=(samples, wide)))
    compiled = assert_agrees(f, args)
    assert isinstance(compiled, EngineCompiled)
    table = compiled.run.program.table  # type: ignore[attr-defined]
    names = list(OPCODES)
    kinds = Counter(names[opcode] for opcode in table[:, OPCODE])
    assert kinds["multiply_add"] == wide - 1  # the first term is a product
    assert kinds["inner_product"] == wide + 1  # one a parameter, and the loss
    assert kinds["copy"] == wide  # columns of the data; no gradient is moved
    assert kinds["sum"] == 0


def test_stock_sympy_gives_the_same_gradient() -> None:
    for form in ("cse", "expanded"):
        assert_agrees(PROGRAMS["net"][0], (W, X), form=form, differ="sympy")


def test_options_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'expanded'"):
        Symbolic(form="expand")
    with pytest.raises(UnknownNameError, match="memoised"):
        Symbolic(form="cse", differ="memoized")
    with pytest.raises(UnknownNameError, match="columns"):
        Symbolic(batch="column")
    with pytest.raises(UserInputError, match="differ="):
        Symbolic(form="shared", differ="sympy")
    with pytest.raises(UnknownNameError, match="engine"):
        Symbolic(runtime="engin")
    with pytest.raises(UserInputError, match="written-out"):
        Symbolic(form="expanded", runtime="engine")
    for option in ("max_operations", "max_seconds", "max_bytes"):
        for value in (0, -1, "many", True):
            wrong: dict[str, Any] = {option: value}
            with pytest.raises(UserInputError, match=option):
                Symbolic(**wrong)


def test_columns_demanded_of_a_program_that_mixes_samples() -> None:
    f, _ = PROGRAMS["max over the batch"]
    program, _ = program_of(f, (W, X))
    with pytest.raises(UserInputError, match="max over the batch"):
        Symbolic(batch="columns").compile(program)


def test_a_thousand_layers_without_recursion() -> None:
    rng = np.random.default_rng(3)
    w = rng.normal(size=(1000, 2, 2))

    def f(w: Any, x: Any) -> Any:
        h = x
        for i in range(1000):
            h = np.tanh(h @ w[i])
        return np.mean(h**2)

    compiled = assert_agrees(f, (w, rng.normal(size=(3, 2))))
    details = compiled.info.details
    assert details["height"] > 3000
    assert details["tree_operations"].bit_length() > 1000
    assert details["sharing_ratio"] == float("inf")


def test_second_derivative_is_the_same_program_again() -> None:
    inner = reverse(trace(lambda w, x: np.sum(np.tanh(x @ w) ** 2), W, X), (0,))

    def norm_of_gradient(w: Any, x: Any) -> Any:
        h = np.tanh(x @ w)
        g = x.T @ (2 * h * (1 - h * h))
        return np.sum(g * g)

    assert inner.outputs
    for form in ("shared", "cse"):
        compiled = assert_agrees(norm_of_gradient, (W, X), form=form)
        assert compiled.info.details["batch"].startswith("columns")


STEPS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - 2.0 * b,
    lambda a, b: a * b,
    lambda a, b: a / (1.5 + b * b),
    lambda a, b: np.tanh(a),
    lambda a, b: np.sin(a + b),
    lambda a, b: np.maximum(a, b),
    lambda a, b: np.where(a > b, a, b * b),
    lambda a, b: np.abs(a - 0.3),
    lambda a, b: np.exp(-a * a),
    lambda a, b: np.log1p(a * a),
    lambda a, b: a - np.mean(a, axis=0),
    lambda a, b: a + np.sum(b, axis=0, keepdims=True),
    lambda a, b: a * np.mean(b, axis=-1, keepdims=True),
    lambda a, b: np.max(a, axis=-1, keepdims=True) - b,
    lambda a, b: a[..., ::-1],
    lambda a, b: np.concatenate([b[..., 1:], a[..., :1]], axis=-1),
    lambda a, b: np.cumsum(a, axis=-1),
    lambda a, b: np.prod(a, axis=-1, keepdims=True) + b,
    lambda a, b: a @ np.ones((3, 3)) * 0.5,
    lambda a, b: np.reshape(np.stack([a, b], axis=-1), (*a.shape[:-1], 6))[..., 1:4],
    lambda a, b: (a**2 + 0.5) ** (0.3 * b),
]


@settings(max_examples=100)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0), st.integers(0)),
        min_size=1,
        max_size=7,
    ),
    form=st.sampled_from(("shared", "cse")),
)
def test_random_programs(steps: list[tuple[int, int, int]], form: str) -> None:
    def f(w: Any, x: Any) -> Any:
        values = [w[:3] * np.ones((4, 1)), x, x * w[3:] + 0.1]
        for which, i, j in steps:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(STEPS[which](a, b) * np.ones((4, 3)))
        return np.sum(np.tanh(values[-1])) + np.mean(values[len(values) // 2])

    rng = np.random.default_rng(1)
    assert_agrees(f, (rng.normal(size=6), rng.normal(size=(4, 3))), form=form)
