"""Timers, limits, rows, experiments and sweeps: how anything here is measured."""

import lazy_loader as lazy

# Loaded when first used: `diffkit --help` needs none of it.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
