"""The lesson: one offline page that shows why backprop wins, from measured rows."""

import lazy_loader as lazy

# Loaded when first used: `diffkit --help` needs none of it.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
