"""Where programs begin: inputs and constants."""

from __future__ import annotations

from typing import Any

from diffkit.ops.op import Op


def _no_operations(*_: Any, **__: Any) -> int:
    return 0


def _not_applied(*_: Any, **__: Any) -> Any:
    raise TypeError("inputs and constants are given their values, not computed")


input_ = Op(
    name="input",
    family="leaf",
    arity=0,
    infer=lambda *, position, name: (),
    numpy=_not_applied,
    operations=_no_operations,
    flops=0,
    keeps_boolean=True,
)
constant = Op(
    name="constant",
    family="leaf",
    arity=0,
    infer=lambda *, value: value.array.shape,
    numpy=lambda *, value: value.array,
    operations=_no_operations,
    flops=0,
    keeps_boolean=True,
)

ROWS: tuple[Op, ...] = (input_, constant)
