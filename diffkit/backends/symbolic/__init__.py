"""Symbolic differentiation as a backend: written out, shared afterwards, or shared."""

from diffkit.backends.symbolic.backend import Symbolic
from diffkit.backends.symbolic.count import count_forms
from diffkit.backends.symbolic.evaluate import EngineCompiled, SourceCompiled
from diffkit.backends.symbolic.size import Count
from diffkit.backends.symbolic.write import LANGUAGES, formula

__all__ = [
    "LANGUAGES",
    "Count",
    "EngineCompiled",
    "SourceCompiled",
    "Symbolic",
    "count_forms",
    "formula",
]
