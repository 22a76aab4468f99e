"""The public functions: a NumPy function in, its derivatives out."""

from diffkit.transform.gradients import grad, prepare, value_and_grad
from diffkit.transform.table import CapabilityRow, CapabilityTable, capabilities
from diffkit.transform.vector import hessian, hvp, jacobian, jvp, linearize, vjp

__all__ = [
    "CapabilityRow",
    "CapabilityTable",
    "capabilities",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "prepare",
    "value_and_grad",
    "vjp",
]
