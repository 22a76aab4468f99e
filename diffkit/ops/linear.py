"""Primitives that are linear in each input: the product of matrices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from diffkit.ops.op import Op, Shape
from diffkit.ops.shape import transpose


def _infer(a: Shape, b: Shape) -> Shape:
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError(f"matmul of shapes {a} and {b}: the inner sizes do not agree")
    return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])


def _operations(shape: Shape, a: Shape, b: Shape) -> int:
    """K multiplications and k−1 additions for each element of the product."""
    return prod(shape) * max(2 * a[-1] - 1, 0)


def _swap(x: Any) -> Any:
    """The stack of transposed matrices."""
    n = x.ndim
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


# Stacks of matrices broadcast; `reverse` sums a cotangent back to its input's shape.
matmul = Op(
    name="matmul",
    family="linear",
    arity=2,
    infer=_infer,
    numpy=np.matmul,
    operations=_operations,
    transposes=(
        lambda g, y, a, b: matmul(g, _swap(b)),
        lambda g, y, a, b: matmul(_swap(a), g),
    ),
)

ROWS: tuple[Op, ...] = (matmul,)
