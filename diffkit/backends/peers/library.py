"""Libraries that are loaded when a peer is used, and not before.

Every adapter can be imported without its library, so that what a peer could do is
known where it is not installed.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from diffkit.errors import BackendError, MissingDependencyError


def require(package: str, extra: str | None = None) -> None:
    """Raise MissingDependencyError, with the command, unless a package is installed.

    Looks for it without loading it.
    """
    if not installed(package):
        raise MissingDependencyError(package, f"The backend {package!r}", extra)


def installed(package: str) -> bool:
    """Whether a package can be found.

    >>> installed("numpy"), installed("no_such_package")
    (True, False)
    """
    try:
        return find_spec(package) is not None
    except ValueError:  # a name set to None, or a module without a spec
        return False


def load(module: str, extra: str | None = None) -> Any:
    """A module of an optional package.

    Raises MissingDependencyError where it is not installed, and BackendError where it
    is installed and broken.
    """
    package = module.partition(".")[0]
    require(package, extra)
    try:
        return import_module(module)
    except Exception as problem:
        raise BackendError(
            f"{module!r} is installed and cannot be loaded: {type(problem).__name__}: "
            f"{problem}. Repair it with: pip install --force-reinstall {package}"
        ) from problem
