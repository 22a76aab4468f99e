"""The table of primitives: one frozen row each, by family.

>>> TABLE["tanh"].partials[0](1.0, 0.5, None)
0.75
"""

from diffkit.ops import elementwise, leaf, linear, reduce, shape
from diffkit.ops.op import Constant, Interval, Irrational, Op
from diffkit.ops.shape import Span, is_basic, numpy_key

TABLE: dict[str, Op] = {
    row.name: row
    for family in (leaf, elementwise, linear, shape, reduce)
    for row in family.ROWS
}

__all__ = [
    "TABLE",
    "Constant",
    "Interval",
    "Irrational",
    "Op",
    "Span",
    "is_basic",
    "numpy_key",
]
