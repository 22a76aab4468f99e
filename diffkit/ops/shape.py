"""Primitives that move elements and compute nothing: all linear, all exact."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from diffkit.ops.op import Constant, Op, Rule, Shape


@dataclass(frozen=True, slots=True)
class Span:
    """A slice with its bounds resolved: `length` elements from `start` by `step`."""

    start: int
    step: int
    length: int

    def slice(self) -> slice:
        """The Python slice that selects the same elements.

        >>> Span(3, -1, 4).slice(), Span(0, 2, 3).slice()
        (slice(3, None, -1), slice(0, 6, 2))
        """
        stop = self.start + self.step * self.length
        return slice(self.start, None if stop < 0 else stop, self.step)


# One item an axis of the input: an integer, a Span, or integers chosen one by one
# (a Constant array); None makes a new axis.
KeyItem = int | Span | Constant | None
Key = tuple[KeyItem, ...]


def numpy_key(key: Key) -> tuple[Any, ...]:
    """The NumPy index that a key stands for.

    >>> np.arange(5)[numpy_key((Span(1, 2, 2),))]
    array([1, 3])
    """
    return tuple(_numpy_item(item) for item in key)


def _numpy_item(item: KeyItem) -> Any:
    if isinstance(item, Span):
        return item.slice()
    if isinstance(item, Constant):
        return item.array
    return item


def is_basic(key: Key) -> bool:
    """Whether a key selects a strided view (no lists of integers)."""
    return not any(isinstance(item, Constant) for item in key)


def _index_shape(x: Shape, *, key: Key) -> Shape:
    # A zero-strided dummy: the shape rule is NumPy's own, at no cost in memory.
    return np.broadcast_to(np.empty(()), x)[numpy_key(key)].shape


def _scatter(*values: np.ndarray, keys: tuple[Key, ...], shape: Shape) -> np.ndarray:
    out = np.zeros(shape, dtype=np.result_type(*values))
    for key, value in zip(keys, values, strict=True):
        if is_basic(key):
            out[numpy_key(key)] += value
        else:
            np.add.at(out, numpy_key(key), value)
    return out


def _concatenate_shape(*shapes: Shape, axis: int) -> Shape:
    first = shapes[0]
    for shape in shapes[1:]:
        if shape[:axis] != first[:axis] or shape[axis + 1 :] != first[axis + 1 :]:
            raise ValueError(
                f"concatenate along axis {axis}: shapes {first} and {shape} differ "
                "elsewhere"
            )
    return (*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :])


def _stack_shape(*shapes: Shape, axis: int) -> Shape:
    if len(set(shapes)) > 1:
        raise ValueError(f"stack needs equal shapes, and was given {shapes}")
    return (*shapes[0][:axis], len(shapes), *shapes[0][axis:])


def _reshape_shape(x: Shape, *, shape: Shape) -> Shape:
    if prod(x) != prod(shape):
        raise ValueError(f"reshape of {x} to {shape}: the number of elements differs")
    return shape


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort(axes))


def _part(index: int, sizes: list[int], axis: int, g: Any) -> Any:
    """The piece of `g` that came from input `index` of a concatenation."""
    start = sum(sizes[:index])
    key: Key = tuple(
        Span(start, 1, sizes[index]) if i == axis else Span(0, 1, n)
        for i, n in enumerate(g.shape)
    )
    return index_(g, key=key)


def _no_operations(_: Shape, /, *__: Shape, **___: Any) -> int:
    return 0


def shape_row(name: str, arity: int | None, infer: Any, numpy: Any, rule: Rule) -> Op:
    """A row that moves elements: no operations, linear in all inputs at once."""
    return Op(
        name=name,
        family="shape",
        arity=arity,
        infer=infer,
        numpy=numpy,
        operations=_no_operations,
        flops=0,
        transposes=(rule,),
        joint=True,
        keeps_boolean=True,
    )


transpose = shape_row(
    "transpose",
    1,
    lambda x, *, axes: tuple(x[i] for i in axes),
    lambda x, *, axes: np.transpose(x, axes),
    lambda g, y, x, *, axes: transpose(g, axes=_inverse(axes)),
)
reshape = shape_row(
    "reshape",
    1,
    _reshape_shape,
    lambda x, *, shape: np.reshape(x, shape),
    lambda g, y, x, *, shape: reshape(g, shape=x.shape),
)
index_ = shape_row(
    "index",
    1,
    _index_shape,
    lambda x, *, key: x[numpy_key(key)],
    lambda g, y, x, *, key: scatter(g, keys=(key,), shape=x.shape),
)
# Variadic rows have one rule, told which input it serves by `position`.
scatter = shape_row(
    "scatter",
    None,
    lambda *_, keys, shape: shape,
    _scatter,
    lambda g, y, *x, position, keys, shape: index_(g, key=keys[position]),
)
concatenate = shape_row(
    "concatenate",
    None,
    _concatenate_shape,
    lambda *x, axis: np.concatenate(x, axis),
    lambda g, y, *x, position, axis: _part(
        position, [part.shape[axis] for part in x], axis, g
    ),
)
stack = shape_row(
    "stack",
    None,
    _stack_shape,
    lambda *x, axis: np.stack(x, axis),
    lambda g, y, *x, position, axis: index_(
        g,
        key=tuple(
            position if i == axis else Span(0, 1, n) for i, n in enumerate(g.shape)
        ),
    ),
)

ROWS: tuple[Op, ...] = (
    transpose,
    reshape,
    index_,
    scatter,
    concatenate,
    stack,
)
