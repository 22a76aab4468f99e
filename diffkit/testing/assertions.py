"""A gradient check as one line of a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diffkit.backends import Backend
from diffkit.checks import CheckReport, check_grads
from diffkit.errors import UserInputError


def assert_gradients(
    f: Callable[..., Any],
    args: Sequence[Any],
    argnums: int | Sequence[int] = 0,
    backends: Sequence[str | Backend] = ("autodiff",),
    against: str | Backend = "exact",
    tolerance: float | None = None,
    has_aux: bool = False,
) -> tuple[CheckReport, ...]:
    """Fail a test unless every backend's gradient agrees with the reference.

    One report for each backend. GradientMismatchError is an AssertionError, so pytest
    shows its message (worst entry by name, both values, ulps) and not this frame.

    >>> import numpy as np
    >>> (report,) = assert_gradients(lambda w: np.sum(np.exp(w)), (np.zeros(2),))
    >>> report.entries
    2
    """
    __tracebackhide__ = True
    if isinstance(backends, str) or not backends:
        raise UserInputError(
            f"backends={backends!r} has to be a sequence of at least one backend, such "
            "as ['autodiff', 'symbolic']."
        )
    return tuple(
        check_grads(f, args, argnums, backend, against, tolerance, has_aux)
        for backend in backends
    )
