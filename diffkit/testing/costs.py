"""Conformance: the capability table says what is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.backends import Backend
from diffkit.backends.base import DERIVATIVES
from diffkit.backends.formula import count
from diffkit.errors import BackendError
from diffkit.testing.cases import broken, close
from diffkit.transform import hessian, hvp, jacobian, jvp, prepare, vjp

A = np.array([[0.3, -0.7, 0.5], [1.1, 0.2, -0.9]])
POINT = np.array([0.4, -0.2, 0.7])
DIRECTION = np.array([1.0, 0.5, -2.0])
WEIGHTS = np.array([0.6, -1.5])


def vector(x: Any) -> Any:
    """Three numbers in, two out."""
    return np.sin(A @ x)


def scalar(x: Any) -> Any:
    """A scalar with a full Hessian."""
    return np.sum(np.sin(A @ x))


def table_is_true(backend: Backend) -> None:
    """`evaluations` is what a gradient is billed, for several P, counted where it can.

    A compiled program that counts its own evaluations (`evaluations_run`) is held to
    that count; it may spend one more on the value.
    """
    formula = backend.capabilities.evaluations
    for size in (1, 3, 8):
        point = np.linspace(0.1, 1.0, size)
        program = prepare(lambda w: np.sum(np.sin(w)), point, backend=backend)
        promised = count(formula, P=size)
        billed = program.info.evaluations
        if billed != promised:
            raise broken(
                backend,
                f"its table says {formula} evaluations, {promised} for P = {size}, and "
                f"`info.evaluations` is {billed}.",
            )
        start = getattr(program.compiled, "evaluations_run", None)
        program(point)
        if start is None:
            continue
        ran = program.compiled.evaluations_run - start  # type: ignore[attr-defined]
        if ran not in (promised, promised + 1):
            raise broken(
                backend, f"it ran {ran} evaluations where the table says {promised}."
            )
    unknown = set(backend.capabilities.derivatives) - set(DERIVATIVES)
    if unknown or "gradient" not in backend.capabilities.derivatives:
        raise broken(
            backend,
            f"its derivatives are {backend.capabilities.derivatives}; they are chosen "
            f"from {DERIVATIVES}, and 'gradient' is one of them.",
        )


def derivatives_are_right(backend: Backend) -> None:
    """Each derivative in the table is given, and right; each that is not is refused."""
    slope = np.cos(A @ POINT)
    jac = slope[:, None] * A
    hess = A.T @ (-np.sin(A @ POINT)[:, None] * A)
    asked: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
        "jvp": (
            lambda: jvp(vector, (POINT,), (DIRECTION,), backend=backend)[1],
            jac @ DIRECTION,
        ),
        "vjp": (
            lambda: vjp(vector, POINT, backend=backend)[1](WEIGHTS)[0],
            WEIGHTS @ jac,
        ),
        "jacobian": (lambda: jacobian(vector, backend=backend)(POINT), jac),
        "hvp": (
            lambda: hvp(scalar, (POINT,), (DIRECTION,), backend=backend)[0],
            hess @ DIRECTION,
        ),
        "hessian": (lambda: hessian(scalar, backend=backend)(POINT), hess),
    }
    tolerance = 1e-10 if backend.capabilities.exact else 1e-4
    for name, (ask, expected) in asked.items():
        if name in backend.capabilities.derivatives:
            if not close(ask(), expected, tolerance):
                raise broken(backend, f"its {name} is not right to {tolerance:.0e}.")
            continue
        try:
            ask()
        except BackendError:
            continue
        raise broken(backend, f"{name} is not in its table, and was not refused.")
