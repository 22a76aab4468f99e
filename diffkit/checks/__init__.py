"""Checking gradients: a reference with its error bar, a verdict, a report."""

from diffkit.checks.check import TOLERANCES, check_grads, same_method
from diffkit.checks.compare import CheckReport, compare
from diffkit.checks.reference import (
    Reference,
    backend_reference,
    exact_reference,
    swept_reference,
)

__all__ = [
    "TOLERANCES",
    "CheckReport",
    "Reference",
    "backend_reference",
    "check_grads",
    "compare",
    "exact_reference",
    "same_method",
    "swept_reference",
]
