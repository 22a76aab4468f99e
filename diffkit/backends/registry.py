"""Backends by name; each is loaded when it is asked for, and not before."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from diffkit.backends.base import Backend
from diffkit.errors import (
    BackendError,
    BackendWarning,
    DiffkitError,
    UserInputError,
    unknown_name,
)

ENTRY_POINT_GROUP = "diffkit.backends"

# name -> where it lives. Loading is the one place where diffkit imports on demand, so
# that `import diffkit` does not pay for Numba and SymPy.
BUILT_IN: dict[str, str] = {
    "autodiff": "diffkit.backends.autodiff:Autodiff",
    "exact": "diffkit.backends.exact:Exact",
    "finite_differences": "diffkit.backends.finite_differences:FiniteDifferences",
    "forward": "diffkit.backends.forward:Forward",
    "null": "diffkit.backends.null:Null",
    "symbolic": "diffkit.backends.symbolic:Symbolic",
}
# Other libraries behind the same interface; most need an extra (`diffkit[peers]`).
PEERS: dict[str, str] = {
    "autograd": "diffkit.backends.peers.autograd:Autograd",
    "casadi": "diffkit.backends.peers.casadi:Casadi",
    "jax": "diffkit.backends.peers.jax:Jax",
    "numdifftools": "diffkit.backends.peers.numdifftools:Numdifftools",
    "scipy": "diffkit.backends.peers.scipy:Scipy",
    "sympy-lambdify": "diffkit.backends.peers.sympy_lambdify:SympyLambdify",
    "torch": "diffkit.backends.peers.torch:Torch",
}


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend can be used here, and where it comes from.

    `origin` is "built-in", "peer" or "plugin"; `reason` says why it is unavailable and
    what to do, and is empty where it is available.
    """

    name: str
    origin: str
    available: bool
    reason: str = ""

    def __str__(self) -> str:
        state = "available" if self.available else f"unavailable: {self.reason}"
        return f"{self.name} ({self.origin}): {state}"


def backend_names() -> list[str]:
    """Names of all backends: diffkit's own, its peers, and installed packages'.

    A name says that a backend is known, not that it can be used: see
    `backend_availability`.
    """
    return sorted({*BUILT_IN, *PEERS, *_outside()})


def backend_availability() -> dict[str, Availability]:
    """For each backend by name, whether it can be used and, if not, why.

    Missing packages are looked for without being loaded; plugins are loaded. A plugin
    that is broken is reported with a BackendWarning and does not disturb the others.

    >>> backend_availability()["autodiff"].available
    True
    """
    found: dict[str, Availability] = {}
    outside = _outside()
    for name in backend_names():
        origin = "plugin"
        if name in BUILT_IN or name in PEERS:
            origin = "built-in" if name in BUILT_IN else "peer"
        reason = ""
        try:
            get_backend(name)
        except ImportError as problem:  # MissingDependencyError among them
            reason = str(problem)
        except Exception as problem:
            reason = str(problem)
            if name in outside and origin == "plugin":
                warnings.warn(reason, BackendWarning, stacklevel=2)
        found[name] = Availability(name, origin, not reason, reason)
    return found


def get_backend(backend: str | Backend, **options: Any) -> Backend:
    """A backend by its name, with its options; a backend value is returned as it is.

    Raises UnknownNameError, with the nearest known name, for an unknown backend or
    option, MissingDependencyError where it needs a package that is not installed,
    BackendError where the package that brings it is broken, and UserInputError for
    options beside a backend value.

    >>> get_backend("finite_differences", method="forward").method
    'forward'
    """
    if not isinstance(backend, str):
        if options:
            raise UserInputError(
                f"Options {sorted(options)} were given beside a backend value. Set "
                "them in the value itself, or give the backend by name."
            )
        if isinstance(backend, type) or not isinstance(backend, Backend):
            raise UserInputError(
                f"{backend!r} is not a backend: it needs `name`, `capabilities` and "
                f"`compile(program)`. Known by name: {', '.join(backend_names())}."
            )
        return backend
    make = _load(backend)
    declared = hasattr(make, "__dataclass_fields__")
    known = [f.name for f in fields(make)] if declared else list(options)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of the backend {backend!r}", option, known)
    made = make(**options)
    if not isinstance(made, Backend):
        raise BackendError(
            f"{make!r}, which is registered as the backend {backend!r}, does not give "
            "a backend: it needs `name`, `capabilities` and `compile(program)`. Repair "
            "or uninstall the package that brings it."
        )
    return made


def _outside() -> Mapping[str, EntryPoint]:
    """Plugins by name; diffkit's own names cannot be taken, the first of two wins."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in BUILT_IN or point.name in PEERS:
            warnings.warn(
                f"{point.value} wants to be the backend {point.name!r}, which is one "
                "of diffkit's own: it is ignored. Its package should rename it.",
                BackendWarning,
                stacklevel=3,
            )
            continue
        found.setdefault(point.name, point)
    return found


def _load(name: str) -> Any:
    place = BUILT_IN.get(name) or PEERS.get(name)
    if place is not None:
        module, _, attribute = place.partition(":")
        return getattr(import_module(module), attribute)
    point = _outside().get(name)
    if point is None:
        raise unknown_name("backend", name, backend_names())
    try:
        return point.load()
    except DiffkitError:
        raise
    except Exception as problem:
        raise BackendError(
            f"The backend {name!r} of {point.value} cannot be loaded: "
            f"{problem}. Repair or uninstall the package that brings it."
        ) from problem
