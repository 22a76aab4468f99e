"""Finite differences: evaluate the program beside the point, and subtract."""

from diffkit.backends.finite_differences.backend import FiniteDifferences
from diffkit.backends.finite_differences.directional import (
    Directional,
    Projections,
    directional,
    random_projections,
)
from diffkit.backends.finite_differences.steps import (
    Adaptive,
    Automatic,
    Balanced,
    Fixed,
    Relative,
    Scaled,
)

__all__ = [
    "Adaptive",
    "Automatic",
    "Balanced",
    "Directional",
    "FiniteDifferences",
    "Fixed",
    "Projections",
    "Relative",
    "Scaled",
    "directional",
    "random_projections",
]
