"""Every backend on every case, and on random programs: one value, one gradient.

The oracle is ball arithmetic (proved digits) on the cases, and the NumPy reading of the
gradient graph on random programs; what runs them (engine, NumPy, generated source)
shares no code with it.
"""

from __future__ import annotations

import numpy as np
import optree
import pytest
from hypothesis import given, settings

import diffkit as dk
from diffkit.backends import Program
from diffkit.checks import compare, exact_reference
from diffkit.graph import reverse
from diffkit.interpret.numpy import evaluate
from diffkit.prepared import trace_program
from tests.cases import CASES
from tests.programs import programs

BACKENDS = [
    pytest.param(("autodiff", {}), 1e-12, id="autodiff"),
    pytest.param(("autodiff", {"runtime": "numpy"}), 1e-12, id="autodiff-numpy"),
    pytest.param(("forward", {}), 1e-12, id="forward"),
    pytest.param(("forward", {"runtime": "numpy"}), 1e-12, id="forward-numpy"),
    pytest.param(("symbolic", {"form": "shared"}), 1e-12, id="shared"),
    pytest.param(("symbolic", {"form": "cse"}), 1e-12, id="cse"),
    pytest.param(("symbolic", {"form": "expanded"}), 1e-12, id="expanded"),
    pytest.param(("finite_differences", {}), 1e-6, id="central"),
    pytest.param(("finite_differences", {"method": "forward"}), 1e-4, id="one-sided"),
    pytest.param(
        ("finite_differences", {"runtime": "numpy"}), 1e-6, id="central-numpy"
    ),
]
EXACT = [(name, options) for name, options in (p.values[0] for p in BACKENDS[:7])]


def read_only(tree):
    def freeze(leaf):
        array = np.array(leaf)
        array.flags.writeable = False
        return array

    return optree.tree_map(freeze, tree)


@pytest.mark.parametrize("backend, tolerance", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, backend, tolerance):
    name, options = backend
    args = read_only(case.args)
    chosen = dk.get_backend(name, **options)
    prepared = dk.prepare(case.f, *args, backend=chosen)
    traced = trace_program(case.f, args, 0, has_aux=False)
    leaves = prepared.leaves(args)
    reference = exact_reference(traced, leaves)
    names = [traced.program.names[p] for p in traced.program.wrt]
    for _ in range(2):  # a second call finds no leftovers of the first
        value, gradient = prepared(*args)
        assert optree.tree_structure(gradient) == optree.tree_structure(args[0])
        report = compare(
            name,
            "exact",
            value,
            optree.tree_leaves(gradient),
            reference,
            names,
            tolerance,
        )
        assert report.passed, str(report)
        assert report.value_error < 1e-12
    np.testing.assert_allclose(prepared.value(*args), reference.value, rtol=1e-12)


def run(program, backend):
    names = tuple(program.graph.input_names)
    compiled = backend.compile(
        Program(program.graph, program.wrt, names, np.dtype(np.float64))
    )
    value, gradients, _ = compiled(program.leaves)
    return value, gradients


@given(programs())
def test_engine_agrees_with_the_numpy_reading_on_random_programs(program):
    expected = evaluate(reverse(program.graph, program.wrt), program.leaves)
    for name in ("autodiff", "forward"):
        value, gradients = run(program, dk.get_backend(name))
        np.testing.assert_allclose(value, expected[0], rtol=1e-12, atol=1e-13)
        for ours, theirs in zip(gradients, expected[1:], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)


@settings(max_examples=40)
@given(programs(most_steps=4))
def test_all_forms_of_symbolic_agree_on_random_programs(program):
    expected = evaluate(reverse(program.graph, program.wrt), program.leaves)
    for form in ("shared", "cse", "expanded"):
        backend = dk.get_backend("symbolic", form=form, max_operations=20_000)
        try:
            value, gradients = run(program, backend)
        except dk.errors.ExpressionBudgetError as stopped:
            if form == "shared" or (stopped.needed or np.inf) <= stopped.limit:
                raise
            continue
        np.testing.assert_allclose(value, expected[0], rtol=1e-12, atol=1e-13)
        for ours, theirs in zip(gradients, expected[1:], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "name, options", [b for b in EXACT if b[1].get("form") != "cse"]
)
def test_float32_programs_run_in_float32(name, options):
    w = np.array([0.3, -0.7, 1.1], np.float32)
    x = np.arange(6, dtype=np.float32).reshape(2, 3) / 6

    def f(w, x):
        return np.mean(np.tanh(x @ w) ** 2)

    value, gradient = dk.value_and_grad(f, backend=dk.get_backend(name, **options))(
        w, x
    )
    assert gradient.dtype == np.float32
    assert np.asarray(value).dtype == np.float32
    _, expected = dk.value_and_grad(f)(w.astype(float), x.astype(float))
    np.testing.assert_allclose(gradient, expected, rtol=2e-6)


def test_c13_the_quadratic_of_the_exercise():
    """C13: L=(wx+b−y)² at (x,y)=(2,5), (w,b)=(1,1) has gradient (−8, −4)."""

    def loss(p, x, y):
        return (p["w"] * x + p["b"] - y) ** 2

    for name in ("autodiff", "forward", "symbolic", "finite_differences"):
        value, gradient = dk.value_and_grad(loss, backend=name)(
            {"w": 1.0, "b": 1.0}, 2.0, 5.0
        )
        assert value == 4.0
        np.testing.assert_allclose([gradient["w"], gradient["b"]], [-8, -4], rtol=1e-9)


def test_null_answers_zero_at_no_cost():
    prepared = dk.prepare(lambda w: np.sum(w**2), np.ones(3), backend="null")
    value, gradient = prepared(np.ones(3))
    assert value == 0.0
    assert gradient.tolist() == [0.0] * 3
    assert prepared.info.operations == 0
