"""Ways to obtain a derivative, interchangeable behind one interface."""

from diffkit.backends.base import (
    Backend,
    Capabilities,
    Compiled,
    Direct,
    Form,
    Info,
    OffersDirect,
    Program,
)
from diffkit.backends.registry import (
    PEERS,
    Availability,
    backend_availability,
    backend_names,
    get_backend,
)

__all__ = [
    "PEERS",
    "Availability",
    "Backend",
    "Capabilities",
    "Compiled",
    "Direct",
    "Form",
    "Info",
    "OffersDirect",
    "Program",
    "backend_availability",
    "backend_names",
    "get_backend",
]
