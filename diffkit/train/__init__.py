"""Training: data, batches, the loop, and what it leaves behind.

The trainer knows values only: `net.apply`, `loss(prediction, target)`, an optimizer's
`init` and `update`, and a backend.
"""

import lazy_loader as lazy

# Loaded when first used: pandas and scikit-learn are not light.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
