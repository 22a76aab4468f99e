"""Rows become tables, figures and pages; no number is typed by hand."""

import lazy_loader as lazy

# Loaded when first used: measuring needs neither Matplotlib nor pages.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
