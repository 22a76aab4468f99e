"""Every built-in backend, with its options, keeps the interface's promises."""

from __future__ import annotations

import pytest

import diffkit as dk
from diffkit.testing import conformance

BACKENDS = {
    "autodiff": dk.get_backend("autodiff"),
    "autodiff-numpy": dk.get_backend("autodiff", runtime="numpy"),
    "forward": dk.get_backend("forward"),
    "exact": dk.get_backend("exact"),
    "symbolic-shared": dk.get_backend("symbolic", form="shared"),
    "symbolic-expanded": dk.get_backend("symbolic", form="expanded"),
    "symbolic-cse": dk.get_backend("symbolic", form="cse"),
    "central": dk.get_backend("finite_differences"),
    "order-4": dk.get_backend("finite_differences", order=4),
    "one-sided": dk.get_backend("finite_differences", method="forward"),
    "backward": dk.get_backend("finite_differences", method="backward"),
    "complex-step": dk.get_backend("finite_differences", method="complex"),
    "ridders": dk.get_backend("finite_differences", method="ridders"),
    "relative": dk.get_backend("finite_differences", step="relative"),
    "adaptive": dk.get_backend("finite_differences", step="adaptive"),
}
CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name, backend in BACKENDS.items()
    for check in conformance(backend)
]


@pytest.mark.parametrize("check", CHECKS)
def test_built_in(check):
    check()
