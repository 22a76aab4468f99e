"""Conformance: the numbers are right, at the edges too."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.backends import Backend
from diffkit.errors import BackendError
from diffkit.graph import trees
from diffkit.testing.cases import (
    CASES,
    ELEMENTWISE,
    LAYER,
    MIXTURE,
    Case,
    W,
    X,
    broken,
    close,
    prepared,
    require_right,
)
from diffkit.transform import prepare


def gradient(backend: Backend) -> None:
    """Value and gradient agree with the exact ones, entry by entry."""
    for case in CASES:
        program = prepared(case, backend)
        require_right(backend, case, case.args, program(*case.args))
        if not close(program.value(*case.args), case.f(*case.args), 1e-12):
            raise broken(backend, f"`value` alone is not the value of {case.name}.")


def nested(backend: Backend) -> None:
    """Gradients come back nested and shaped as the parameters are."""
    value, slope = prepared(MIXTURE, backend)(*MIXTURE.args)
    require_right(backend, MIXTURE, MIXTURE.args, (value, slope))


def some_arguments(backend: Backend) -> None:
    """`wrt` in another order, and only some of the inputs."""
    tolerance = 1e-10 if backend.capabilities.exact else 1e-4
    both = prepare(LAYER.f, W, X, argnums=(1, 0), backend=backend)(W, X)[1]
    exact = prepare(LAYER.f, W, X, argnums=(1, 0))(W, X)[1]
    if [np.shape(g) for g in both] != [X.shape, W.shape]:
        raise broken(backend, "gradients do not follow the order of `wrt`.")
    if not close(both, exact, tolerance):
        raise broken(backend, "gradients by two arguments, the second first, are off.")


def constant(backend: Backend) -> None:
    """A function that does not depend on its parameters has the gradient zero."""
    value, slope = prepare(lambda w: np.float64(2.0), W, backend=backend)(W)
    if float(value) != 2.0:
        raise broken(backend, f"the constant 2 has the value {float(value)!r}.")
    if np.shape(slope) != W.shape or np.any(slope):
        raise broken(backend, "the gradient of a constant is not zeros.")
    value, slope = prepare(
        lambda p: np.sum(p["used"] ** 2), {"used": W, "idle": X}, backend=backend
    )({"used": W, "idle": X})
    if np.shape(slope["idle"]) != X.shape or np.any(slope["idle"]):
        raise broken(backend, "the gradient by an unused parameter is not zeros.")


def zero_size(backend: Backend) -> None:
    """Parameters and data without entries."""
    none = np.zeros((0, 3))

    def f(p: Any, x: Any) -> Any:
        return np.sum(p["w"] ** 2) + np.sum(p["none"]) + np.sum(x)

    params = {"w": np.array([1.0, 2.0]), "none": none}
    value, slope = prepare(f, params, none, backend=backend)(params, none)
    if np.shape(slope["none"]) != (0, 3):
        raise broken(backend, "the gradient by an empty array has another shape.")
    if not close((value, slope["w"]), (5.0, np.array([2.0, 4.0])), 1e-4):
        raise broken(backend, "an empty parameter spoils the others' gradient.")
    value, slope = prepare(lambda w: np.sum(w) + 1.0, none, backend=backend)(none)
    if float(value) != 1.0 or np.shape(slope) != (0, 3):
        raise broken(backend, "a program whose only parameter is empty is wrong.")


def float32(backend: Backend) -> None:
    """Single precision in, single precision out; or a refusal that says so."""
    for case in (LAYER, ELEMENTWISE):
        leaves, tree = trees.flatten(case.args)
        args = trees.unflatten(tree, [leaf.astype(np.float32) for leaf in leaves])
        single = Case(case.name, case.f, args, args)
        if "float32" not in backend.capabilities.dtypes:
            try:
                prepared(single, backend)
            except BackendError:
                continue
            raise broken(backend, "float32 is not among its dtypes, and was taken.")
        value, slope = prepared(single, backend)(*args)
        if np.asarray(value).dtype != np.float32:
            raise broken(backend, f"a float32 value came as {np.asarray(value).dtype}.")
        require_right(backend, single, args, (value, slope))


def nan_and_infinity(backend: Backend) -> None:
    """What is not a number never comes out as one, and leaves nothing behind."""

    def f(w: Any) -> Any:
        return np.sum(np.tanh(w) + w * w)

    point = np.array([0.5, -1.0, 2.0])
    program = prepare(f, point, backend=backend, nonfinite="allow")
    before = program(point)
    for bad in (np.nan, np.inf, -np.inf):
        dirty = point.copy()
        dirty[1] = bad
        try:
            with np.errstate(all="ignore"):
                value, slope = program(dirty)
        except BackendError:
            continue  # a referee may refuse what it cannot prove
        if np.isfinite(value) or np.isfinite(slope[1]):
            raise broken(
                backend,
                f"at w[1] = {bad} the value is {float(value)!r} and its derivative "
                f"{float(slope[1])!r}: neither is a finite number.",
            )
        if not close(program(point), before, 1e-12):
            raise broken(backend, f"after a run with {bad} the next one is spoiled.")


def auxiliary(backend: Backend) -> None:
    """Other outputs come back as they are."""

    def f(w: Any, x: Any) -> Any:
        h = np.tanh(x @ w)
        return np.sum(h), {"hidden": h, "first": (w[0, 0],)}

    (_, aux), slope = prepare(f, W, X, backend=backend, has_aux=True)(W, X)
    if not close(aux, f(W, X)[1], 1e-12):
        raise broken(backend, "auxiliary outputs are not what the function returned.")
    alone = prepare(lambda w, x: np.sum(np.tanh(x @ w)), W, X, backend=backend)
    if not close(slope, alone(W, X)[1], 1e-6):
        raise broken(backend, "auxiliary outputs change the gradient.")
