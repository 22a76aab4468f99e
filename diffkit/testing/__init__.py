"""For tests of gradients and of backends: yours, ours, a plugin's."""

from diffkit.testing.assertions import assert_gradients
from diffkit.testing.conformance import ConformanceCheck, conformance

__all__ = ["ConformanceCheck", "assert_gradients", "conformance"]
