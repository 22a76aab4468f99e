"""Ways of obtaining a gradient, under the names that rows, figures and tables use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffkit.backends import Backend, get_backend
from diffkit.errors import unknown_name
from diffkit.measure.gradient import runtime_of
from diffkit.prepared import Prepared
from diffkit.transform import prepare


@dataclass(frozen=True, slots=True)
class Way:
    """A backend with its options."""

    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Backend:
        """The backend itself."""
        return get_backend(self.backend, **self.options)

    @property
    def runtime(self) -> str:
        """What runs its arithmetic."""
        return runtime_of(self.backend, self.options)


#: The ways that experiments set side by side.
WAYS: Mapping[str, Way] = {
    "autodiff": Way("autodiff"),
    "forward": Way("forward"),
    "symbolic_shared": Way("symbolic", {"form": "shared"}),
    "symbolic_expanded": Way("symbolic", {"form": "expanded"}),
    "finite_differences_central": Way("finite_differences", {"method": "central"}),
}


def prepare_by(way: str, function: Callable[..., Any], *args: Any) -> Prepared:
    """The function prepared by a way of `WAYS`; `UnknownNameError` for another.

    >>> value, gradient = prepare_by("forward", lambda w: w * w, 3.0)(3.0)
    >>> float(value), float(gradient)
    (9.0, 6.0)
    """
    if way not in WAYS:
        raise unknown_name("way of differentiating", way, WAYS)
    return prepare(function, *args, backend=WAYS[way].make())


def relative_error(given: Any, true: Any) -> float:
    """Largest deviation over the largest entry: what a vector's error means here.

    >>> relative_error([1.0, 2.5], [1.0, 2.0])
    0.25
    """
    given, true = np.asarray(given, float), np.asarray(true, float)
    scale = float(np.max(np.abs(true), initial=0.0))
    apart = float(np.max(np.abs(given - true), initial=0.0))
    return apart / scale if scale > 0 else apart
