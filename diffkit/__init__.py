"""diffkit: trace a program once, differentiate it three ways, measure what each costs.

Everything is loaded when it is first used: `import diffkit` costs almost nothing.
"""

import lazy_loader

__version__ = "0.1.0"

_NAMES = {
    "transform": [
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
    ],
    "prepared": ["Prepared"],
    "checks": ["CheckReport", "check_grads"],
    "backends": ["Backend", "backend_names", "get_backend"],
    "graph": ["Graph", "trace"],
}
_ROOMS = [
    "backends",
    "checks",
    "engine",
    "errors",
    "functions",
    "graph",
    "interpret",
    "losses",
    "measure",
    "nn",
    "ops",
    "optim",
    "prepared",
    "report",
    "testing",
    "train",
    "transform",
]

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=_ROOMS, submod_attrs=_NAMES
)
