"""Training and predicting for the command line: from options to files."""

import lazy_loader as lazy

# Loaded when first used: `diffkit --help` must not wait for NumPy.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
