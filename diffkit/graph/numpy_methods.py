"""The operators of a traced value, and its methods that are NumPy functions of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.graph.traced import UFUNCS, Traced, unsupported


def _binary(ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any]]:
    # Straight to the table: NumPy's own dispatch would cost as much again.
    def rule() -> Callable[..., Any]:
        if ufunc not in UFUNCS:
            raise unsupported(ufunc.__name__, [u.__name__ for u in UFUNCS])
        return UFUNCS[ufunc]

    def forward(self: Traced, other: Any) -> Any:
        return rule()(self, other)

    def reflected(self: Traced, other: Any) -> Any:
        return rule()(other, self)

    return forward, reflected


_OPERATORS: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
}
_COMPARISONS: dict[str, np.ufunc] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
# Methods that are a NumPy function of the array and the same arguments.
_METHODS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in [
        "sum",
        "mean",
        "prod",
        "max",
        "min",
        "var",
        "std",
        "cumsum",
        "ravel",
        "squeeze",
        "swapaxes",
        "dot",
        "clip",
        "trace",
        "diagonal",
        "repeat",
        "take",
        "any",
        "all",
        "copy",
    ]
}
for _name, _ufunc in _OPERATORS.items():
    _forward, _reflected = _binary(_ufunc)
    setattr(Traced, f"__{_name}__", _forward)
    setattr(Traced, f"__r{_name}__", _reflected)
for _name, _ufunc in _COMPARISONS.items():
    setattr(Traced, f"__{_name}__", _binary(_ufunc)[0])
for _name, _function in _METHODS.items():
    setattr(Traced, _name, lambda self, *a, _f=_function, **k: _f(self, *a, **k))
Traced.flatten = Traced.ravel  # type: ignore[attr-defined]
