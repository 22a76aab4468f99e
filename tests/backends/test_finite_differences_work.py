"""Doing less for the same differences: recompute, batch and threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import diffkit as dk
from diffkit import errors
from diffkit.backends import Program
from diffkit.backends.finite_differences import FiniteDifferences
from diffkit.graph import reverse
from diffkit.interpret.numpy import evaluate
from tests.cases import CASES, mlp
from tests.programs import programs

FAST = [
    {"batch": 3},
    {"batch": "auto"},
    {"recompute": "downstream"},
    {"recompute": "downstream", "batch": "auto"},
    {"recompute": "changed"},
    {"recompute": "changed", "batch": 4},
]
METHODS = [
    {},
    {"order": 4},
    {"method": "forward"},
    {"method": "backward", "order": 2},
    {"step": "balanced"},
    {"step": "adaptive"},
    {"method": "ridders"},
    {"bounds": (-50.0, 50.0)},
]


def largest(arrays):
    return max((float(np.max(np.abs(a), initial=0.0)) for a in arrays), default=0.0)


def compiled_of(f, *args, **options):
    prepared = dk.prepare(f, *args, backend=FiniteDifferences(**options))
    return prepared.compiled, prepared.leaves(args)


@pytest.mark.parametrize("runtime", ["engine", "numpy"])
@pytest.mark.parametrize("options", FAST, ids=str)
def test_the_same_gradients_as_the_textbook_on_random_programs(options, runtime):
    """Both judged by the exact gradient and by what they claim."""
    within, worst = [], 0.0

    @settings(max_examples=25, derandomize=True, database=None)
    @given(programs())
    def collect(program):
        nonlocal worst
        names = tuple(program.graph.input_names)
        given_ = Program(program.graph, program.wrt, names, np.dtype(float))
        exact = evaluate(reverse(program.graph, program.wrt), program.leaves)[1:]
        plain = FiniteDifferences(runtime=runtime).compile(given_)
        fast = FiniteDifferences(runtime=runtime, **options).compile(given_)
        wanted, _ = plain.gradient_with_errors(program.leaves)
        found, claims = fast.gradient_with_errors(program.leaves)
        for a, b, c, true in zip(wanted, found, claims, exact, strict=True):
            within.extend((np.abs(b - true) <= 3 * c + 1e-15 * np.abs(true)).flat)
            # Rounding of an evaluation over a step of 6e-6.
            scale = 1.0 + largest(exact) + abs(float(plain.value(program.leaves)))
            worst = max(worst, float(np.max(np.abs(a - b), initial=0.0)) / scale)

    collect()
    assert np.mean(within) >= 0.99
    assert worst <= 1e-8


@pytest.mark.parametrize("options", FAST, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_gradients_on_the_list_of_programs(case, options):
    plain, leaves = compiled_of(case.f, *case.args)
    fast, _ = compiled_of(case.f, *case.args, **options)
    value, wanted, _ = plain(leaves)
    again, found, _ = fast(leaves)
    assert again == value
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-9 * (largest(wanted) or 1.0))


@pytest.mark.parametrize("work", FAST[2:5], ids=str)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_and_rule(method, work):
    f, args = mlp([3, 4, 2], batch=5)
    plain, leaves = compiled_of(f, *args, **method)
    fast, _ = compiled_of(f, *args, **method, **work)
    true = dk.grad(f)(*args)
    exact = [np.asarray(layer[k]) for layer in true for k in sorted(layer)]
    (wanted, _), (found, claims) = (
        c.gradient_with_errors(leaves) for c in (plain, fast)
    )
    within = []
    for a, b, c, e in zip(found, wanted, claims, exact, strict=True):
        error = np.maximum(np.abs(b - e), 1e-10 * largest(exact))
        assert (np.abs(a - e) <= 10.0 * error.max()).all()
        within.extend((np.abs(a - e) <= 3.0 * c + 1e-14).flat)
    assert np.mean(within) >= 0.95


@pytest.mark.parametrize("work", [{}, *FAST], ids=str)
@pytest.mark.parametrize("method", METHODS[:-1], ids=str)
def test_evaluations_and_operations_are_counted_exactly(method, work):
    """What `info` says before is what is counted while it runs."""
    f, args = mlp([3, 4, 1], batch=2)
    backend = FiniteDifferences(**method, **work)
    compiled, leaves = compiled_of(f, *args, **method, **work)
    count = 21
    promised = dk.backends.formula.count(backend.capabilities.evaluations, P=count)
    assert compiled.info.evaluations == promised
    compiled.gradient(leaves)
    assert compiled.evaluations_run == promised
    before = compiled.operations_run
    compiled(leaves)
    together = compiled.evaluations_run - promised
    assert together == compiled.info.details["evaluations_with_value"]
    assert compiled.info.operations == compiled.operations_run - before + 2 * count


def test_keeping_what_does_not_change_costs_one_evaluation():
    for work in FAST:
        formula = FiniteDifferences(**work).capabilities.evaluations
        assert formula == ("2P+1" if "recompute" in work else "2P")
    forward = FiniteDifferences(method="forward", recompute="changed")
    assert forward.capabilities.evaluations == "P+1"


def test_what_is_left_of_the_work():
    """10-64-32-1 at batch 32, by count: the figures behind the benchmark."""
    f, args = mlp([10, 64, 32, 1], batch=32)
    plain, _ = compiled_of(f, *args)
    whole = plain.info.operations
    assert whole == 5635 * plain.info.details["primal_operations"] + 2 * 2817
    down, _ = compiled_of(f, *args, recompute="downstream")
    changed, _ = compiled_of(f, *args, recompute="changed")
    assert 0.7 < down.info.operations / whole < 0.85
    assert changed.info.operations < whole / 80
    assert changed.info.evaluations == 5635


@pytest.mark.parametrize("work", [{}, *FAST], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_threads_change_no_bit(work, dtype):
    f, args = mlp([3, 6, 4, 1], batch=3)
    args = (
        [{k: v.astype(dtype) for k, v in layer.items()} for layer in args[0]],
        *(a.astype(dtype) for a in args[1:]),
    )
    results = []
    for threads in (1, 2, 3, 50):
        compiled, leaves = compiled_of(f, *args, threads=threads, **work)
        before = [leaf.copy() for leaf in leaves]
        results.append(compiled.gradient_with_errors(leaves))
        for was, now in zip(before, leaves, strict=True):
            np.testing.assert_array_equal(was, now)
    for result in results[1:]:
        for part, wanted in zip(result, results[0], strict=True):
            for mine, first in zip(part, wanted, strict=True):
                np.testing.assert_array_equal(mine, first)


def test_an_infinity_beside_the_point_is_evaluated_whole():
    """At 0 the logarithm is −∞ and e^−∞ is 0: no update can leave that."""

    def f(x):
        return np.exp(np.sum(np.log(x * x)))

    x = np.array([0.0, 2.0, 3.0])
    for work in FAST[4:]:
        compiled, leaves = compiled_of(f, x, **work)
        _, (found,), _ = compiled(leaves)
        np.testing.assert_allclose(found, 0.0, atol=1e-9)
        primal = compiled.info.details["primal_operations"]
        assert compiled.operations_run == 7 * primal


def test_inputs_without_entries_and_without_influence():
    def f(p):
        return np.sum(p["a"] ** 2) + np.sum(p["none"])

    p = {"a": np.ones(3), "idle": np.ones(2), "none": np.zeros((0, 4))}
    for work in FAST:
        compiled, leaves = compiled_of(f, p, **work)
        _, (a, idle, none), _ = compiled(leaves)
        np.testing.assert_allclose(a, 2.0, rtol=1e-9)
        np.testing.assert_array_equal(idle, 0.0)
        assert none.shape == (0, 4)
        assert compiled.evaluations_run == 11


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_thread_counts_that_make_no_sense(threads):
    with pytest.raises(errors.UserInputError, match="threads was"):
        FiniteDifferences(threads=threads)


@pytest.mark.parametrize("batch", [0, -4, False, 2.0, "large"])
def test_batches_that_make_no_sense(batch):
    with pytest.raises(errors.UserInputError, match="batch was"):
        FiniteDifferences(batch=batch)


def test_other_words_are_refused_and_the_complex_step_works_whole():
    with pytest.raises(errors.UnknownNameError, match="downstream"):
        FiniteDifferences(recompute="down")  # type: ignore[arg-type]
    for work in ({"recompute": "changed"}, {"batch": 2}, {"threads": 2}):
        with pytest.raises(errors.UserInputError, match="complex step"):
            FiniteDifferences(method="complex", **work)
