"""Symbolic differentiation as a backend: written out, shared afterwards, or shared."""

from diffkit.backends.symbolic.backend import Symbolic
from diffkit.backends.symbolic.evaluate import EngineCompiled, SourceCompiled

__all__ = ["EngineCompiled", "SourceCompiled", "Symbolic"]
