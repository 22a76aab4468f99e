"""Backends by name; each is loaded when it is asked for, and not before."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from diffkit.backends.base import Backend
from diffkit.errors import BackendError, UserInputError, unknown_name

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


def backend_names() -> list[str]:
    """Names of all backends: diffkit's own and those of installed packages."""
    outside = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    return sorted({*BUILT_IN, *outside})


def get_backend(backend: str | Backend, **options: Any) -> Backend:
    """A backend by its name, with its options; a backend value is returned as it is.

    Raises UnknownNameError, with the nearest known name, for an unknown backend or
    option, and UserInputError for options beside a backend value.

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
    return make(**options)


def _load(name: str) -> Any:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            try:
                return point.load()
            except Exception as problem:
                raise BackendError(
                    f"The backend {name!r} of {point.value} cannot be loaded: "
                    f"{problem}. Repair or uninstall the package that brings it."
                ) from problem
    raise unknown_name("backend", name, backend_names())
