"""Other libraries on the programs of every test: the same value, the same gradient."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends.registry import PEERS, backend_availability
from tests.cases import CASES

pytestmark = [
    pytest.mark.peers,
    # What a peer warns about on its own import or first call is not ours to judge.
    pytest.mark.filterwarnings("default"),
]

TOLERANCES = dict.fromkeys(PEERS, 1e-10) | {"scipy": 1e-5, "numdifftools": 1e-5}
# The first steps of numdifftools are of the size of x: they cross kinks nearby.
CROSSES_KINKS = {("numdifftools", "abs_max"), ("numdifftools", "mlp_relu")}
# Written out for every sample of the batch, these pass the budget of operations.
WRITTEN_OUT_TOO_LONG = {"mlp_3_4_4_4_2", "batch_norm", "attention", "abs_max"}
SINGLE = ["jax", "torch", "autograd", "scipy"]
DOUBLE_ONLY = ["casadi", "numdifftools", "sympy-lambdify"]
REVERSE_MODE = ["jax", "torch", "autograd", "casadi"]


def available(name, **options):
    """A peer; a test of one that is not installed says what to install."""
    entry = backend_availability()[name]
    if not entry.available:
        pytest.skip(entry.reason)
    return dk.get_backend(name, **options)


def read_only(tree):
    def freeze(leaf):
        array = np.array(leaf)
        array.flags.writeable = False
        return array

    return optree.tree_map(freeze, tree)


def close(ours, theirs, tolerance):
    """Largest deviation against the gradient's largest entry."""
    ours, theirs = optree.tree_leaves(ours), optree.tree_leaves(theirs)
    largest = max([1.0, *(np.max(np.abs(x), initial=0.0) for x in ours)])
    for a, b in zip(ours, theirs, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, name):
    backend = available(name)
    args = read_only(case.args)
    expected, gradient = dk.value_and_grad(case.f)(*args)
    if name == "sympy-lambdify" and case.name in WRITTEN_OUT_TOO_LONG:
        with pytest.raises(errors.ExpressionBudgetError) as stopped:
            dk.prepare(case.f, *args, backend=backend)
        assert stopped.value.needed > stopped.value.limit
        return
    prepared = dk.prepare(case.f, *args, backend=backend)
    for _ in range(2):
        value, theirs = prepared(*args)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        if (name, case.name) not in CROSSES_KINKS:
            close(gradient, theirs, TOLERANCES[name])
    np.testing.assert_allclose(prepared.value(*args), expected, rtol=1e-12)
    for leaf in optree.tree_leaves(theirs):
        assert type(leaf) is np.ndarray
        assert leaf.dtype == np.float64
        assert leaf.flags.writeable
    info = prepared.info
    assert info.backend == name
    assert info.operations >= 0
    assert info.evaluations >= 1 or prepared.program.parameters == 0


def small(w, x):
    """A program with an auxiliary output of each kind."""
    y = np.tanh(x @ w)
    return np.mean(y**2), {"y": y, "positive": y > 0}


@pytest.mark.parametrize("name", PEERS)
def test_prepared_here_and_used_elsewhere_with_auxiliary_outputs(name, rng):
    backend = available(name)
    w, x = rng.normal(size=3), rng.normal(size=(4, 3))
    prepared = dk.prepare(
        small,
        rng.normal(size=3),
        rng.normal(size=(4, 3)),
        has_aux=True,
        backend=backend,
    )
    (value, aux), gradient = prepared(w, x)
    (expected, theirs), slopes = dk.value_and_grad(small, has_aux=True)(w, x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    close(slopes, gradient, TOLERANCES[name])
    np.testing.assert_allclose(aux["y"], theirs["y"], rtol=1e-12)
    assert aux["positive"].dtype == bool
    np.testing.assert_array_equal(aux["positive"], theirs["positive"])


@pytest.mark.parametrize("name", PEERS)
def test_two_threads_get_their_own_results(name, rng):
    backend = available(name)
    x = rng.normal(size=(4, 3))
    prepared = dk.prepare(lambda w: np.mean(np.tanh(x @ w)), x[0], backend=backend)
    points = [rng.normal(size=3) for _ in range(8)]
    alone = [prepared(p)[1] for p in points]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda p: prepared(p)[1], points))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", SINGLE)
def test_float32_programs_run_in_float32(name, rng):
    backend = available(name)
    w = rng.normal(size=3).astype(np.float32)
    x = rng.normal(size=(4, 3)).astype(np.float32)

    def f(w, x):
        return np.mean(np.tanh(x @ w) ** 2 + np.where(w[0] > 0.0, 2.0, 0.5))

    prepared = dk.prepare(f, w, x, backend=backend)
    value, gradient = prepared(w, x)
    assert gradient.dtype == np.float32
    assert np.asarray(value).dtype == np.float32
    assert np.asarray(prepared.value(w, x)).dtype == np.float32
    _, expected = dk.value_and_grad(f)(w.astype(float), x.astype(float))
    tolerance = 1e-3 if name == "scipy" else 2e-6
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", DOUBLE_ONLY)
def test_peers_of_doubles_refuse_float32(name):
    backend = available(name)
    with pytest.raises(errors.BackendError, match="float64"):
        dk.prepare(lambda w: np.sum(w), np.ones(2, np.float32), backend=backend)


def test_jax_leaves_the_user_s_precision_alone():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    w = np.array([0.1, 0.2])
    value, gradient = dk.value_and_grad(lambda w: np.sum(np.exp(w)), backend="jax")(w)
    np.testing.assert_allclose(gradient, np.exp(w), rtol=1e-15)
    assert np.asarray(value).dtype == np.float64
    assert jax.config.jax_enable_x64 == before
    wide = jax.numpy.asarray(w).dtype
    assert wide == (np.float64 if before else np.float32)
    single = dk.grad(lambda w: np.sum(np.exp(w)), backend="jax")(w.astype(np.float32))
    assert single.dtype == np.float32


def test_jax_is_64_bit_in_a_process_that_never_asked_for_it():
    available("jax")
    code = (
        "import numpy as np, diffkit as dk, jax; "
        "g = dk.grad(lambda w: np.sum(np.exp(w)), backend='jax')(np.array([0.1])); "
        "print(g.dtype, abs(g[0] - np.exp(0.1)) < 1e-15, jax.numpy.ones(1).dtype)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["float64", "True", "float32"], done.stderr


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", REVERSE_MODE)
def test_a_constant_has_a_gradient_of_zero_and_no_warning(name, rng):
    backend = available(name)
    w = rng.normal(size=3)
    for f in (
        lambda w: np.sum(np.where(w > 0, 2.0, 1.0)),
        lambda w: np.sum(np.sign(w)),
    ):
        value, gradient = dk.value_and_grad(f, backend=backend)(w)
        assert value == f(w)
        np.testing.assert_array_equal(gradient, np.zeros(3))


def test_what_sympy_cannot_run_is_named(rng):
    with pytest.raises(errors.LackingOperationError, match="'max'"):
        dk.prepare(np.max, rng.normal(size=3), backend="sympy-lambdify")


def test_size_measures_of_peers_are_recorded(rng):
    w, x = rng.normal(size=(3, 2)), rng.normal(size=(4, 3))

    def f(w, x):
        return np.mean(np.tanh(x @ w))

    available("jax"), available("casadi")
    details = dk.prepare(f, w, x, backend="jax").info.details
    assert details["xla_flops"] > 0
    assert details["xla_bytes_accessed"] > 0
    for form in ("scalar", "matrix"):
        backend = dk.get_backend("casadi", form=form)
        details = dk.prepare(f, w, x, backend=backend).info.details
        assert details["form"] == form
        assert details["casadi_instructions"] > 0
        assert details["casadi_nodes"] > 0


def test_casadi_s_two_forms_agree():
    available("casadi")
    for case in CASES:
        results = [
            dk.value_and_grad(case.f, backend=dk.get_backend("casadi", form=form))(
                *case.args
            )
            for form in ("scalar", "matrix")
        ]
        close(results[0][1], results[1][1], 1e-12)


def test_casadi_in_c_agrees(rng):
    available("casadi")
    w, x = rng.normal(size=(3, 2)), rng.normal(size=(4, 3))

    def f(w, x):
        hidden = np.tanh(x @ w)
        return np.mean(hidden), hidden

    try:
        prepared = dk.prepare(
            f, w, x, backend=dk.get_backend("casadi", compiled=True), has_aux=True
        )
    except errors.BackendError as problem:  # no C compiler here
        pytest.skip(str(problem))
    (value, hidden), gradient = prepared(w, x)
    (true, true_hidden), true_gradient = dk.value_and_grad(f, has_aux=True)(w, x)
    assert value == pytest.approx(true, rel=1e-14)
    np.testing.assert_allclose(hidden, true_hidden, rtol=1e-14)
    np.testing.assert_allclose(gradient, true_gradient, rtol=1e-13)
    assert prepared.value(w, x) == pytest.approx(true, rel=1e-14)
    assert prepared.info.seconds["compile"] > 0
    assert prepared.info.details["casadi_nodes"] > 0


def test_casadi_in_c_without_a_compiler_or_with_a_broken_one_says_so(
    monkeypatch, tmp_path
):
    available("casadi")
    backend = dk.get_backend("casadi", compiled=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.BackendError, match="needs a compiler"):
        dk.prepare(lambda w: np.sum(w), np.ones(2), backend=backend)
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho planted >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(errors.BackendError, match=r"cannot compile .* planted"):
        dk.prepare(lambda w: np.sum(w), np.ones(2), backend=backend)


def test_torch_keeps_the_user_s_number_of_threads():
    available("torch")
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    backend = dk.get_backend("torch", threads=2)
    dk.grad(lambda w: np.sum(w**2), backend=backend)(np.ones(3))
    assert torch.get_num_threads() == before
    with pytest.raises(errors.UserInputError, match="threads=0"):
        dk.get_backend("torch", threads=0)


@pytest.mark.slow
def test_torch_compiled_agrees(rng):
    backend = available("torch", mode="compile")
    w, x = rng.normal(size=3), rng.normal(size=(4, 3))

    def f(w, x):
        return np.mean(np.tanh(x @ w) ** 2)

    try:
        prepared = dk.prepare(f, w, x, backend=backend)
    except errors.BackendError as problem:  # no C++ compiler here
        pytest.skip(str(problem))
    _, gradient = prepared(w, x)
    np.testing.assert_allclose(gradient, dk.grad(f)(w, x), rtol=1e-12)


def test_torch_compiled_without_a_compiler_says_so(monkeypatch):
    backend = available("torch", mode="compile")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(errors.BackendError, match="needs a C"):
        dk.prepare(lambda w: np.sum(w), np.ones(2), backend=backend)


@pytest.mark.parametrize(
    "name, options",
    [
        ("torch", {"mode": "lazy"}),
        ("casadi", {"form": "vector"}),
        ("scipy", {"method": "5-point"}),
        ("numdifftools", {"method": "sideways"}),
    ],
)
def test_unknown_options_are_refused(name, options):
    available(name)
    with pytest.raises(errors.UnknownNameError):
        dk.get_backend(name, **options)


def test_one_sided_scipy_counts_its_evaluations(rng):
    w = rng.normal(size=4)
    for method, evaluations in (("2-point", 5), ("3-point", 8)):
        prepared = dk.prepare(
            lambda w: np.sum(np.sin(w)),
            w,
            backend=dk.get_backend("scipy", method=method),
        )
        assert prepared.info.evaluations == evaluations
        vector = prepared.compiled.vector
        before = vector.evaluations_run
        prepared(w)
        # The value at the point comes beside the quotients.
        run = vector.evaluations_run - before
        assert run == evaluations + 1


def test_evaluations_of_numdifftools_are_counted(rng):
    available("numdifftools")
    w = rng.normal(size=3)
    prepared = dk.prepare(lambda w: np.sum(np.sin(w)), w, backend="numdifftools")
    vector = prepared.compiled.vector
    prepared(w)
    assert vector.evaluations_run == prepared.info.evaluations + 1


@pytest.mark.parametrize("name", ["jax", "torch", "casadi"])
def test_a_gradient_of_the_librarys_own_arrays_is_the_same(name):
    """What `peers` times: nothing is converted, and the numbers are those checked."""
    x = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
    w = np.linspace(0.2, 0.9, 4).reshape(2, 2)
    prepared = dk.prepare(lambda w, x: np.mean(np.tanh(x @ w)), w, x, backend=name)
    value, gradient = prepared(w, x)
    call = prepared.compiled.resident(prepared.leaves((w, x)))
    for _ in range(2):
        result = call()
        if name == "jax":
            (own, _), (slope,) = result
        elif name == "torch":
            own, (slope,) = result
            own = own.detach()
        else:
            own, slope = result[0][0], result[1].reshape(2, 2)
        assert float(own) == value
        np.testing.assert_array_equal(np.asarray(slope), gradient)
