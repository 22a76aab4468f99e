"""Symbolic differentiation as a backend: written out, shared afterwards, or shared."""

import lazy_loader as lazy

# Loaded when first used: what only names cases needs no SymPy.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
