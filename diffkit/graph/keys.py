"""Python's many ways to index an array, resolved into the keys of the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.ops.op import Constant, Shape
from diffkit.ops.shape import Key, KeyItem, Span


def resolve_key(items: tuple[Any, ...], shape: Shape) -> Key | None:
    """The key for `x[items]`, with bounds checked and every axis covered.

    Returns None where the index selects the whole array unchanged. Raises ShapeError
    for an index out of bounds, of the wrong type, or with too many axes.
    """
    wide = [_mask_or_item(item) for item in items]
    flat = [part for parts in wide for part in parts]
    used = sum(item is not None and item is not Ellipsis for item in flat)
    if used > len(shape):
        raise ShapeError(
            f"{used} indices were given for an array of shape {shape}, which has "
            f"{len(shape)} axes."
        )
    if sum(item is Ellipsis for item in flat) > 1:
        raise ShapeError("an index can hold one ellipsis (...) at most")
    if not any(item is Ellipsis for item in flat):
        flat.append(Ellipsis)
    key: list[KeyItem] = []
    axis = 0
    for item in flat:
        if item is Ellipsis:
            key += [Span(0, 1, n) for n in shape[axis : axis + len(shape) - used]]
            axis += len(shape) - used
        elif item is None:
            key.append(None)
        else:
            key.append(_resolve(item, shape[axis], axis, shape))
            axis += 1
    whole = tuple(Span(0, 1, n) for n in shape)
    return None if tuple(key) == whole else tuple(key)


def _mask_or_item(item: Any) -> list[Any]:
    """A boolean mask becomes the integer arrays it selects; the rest stays."""
    if isinstance(item, list | np.ndarray) and np.asarray(item).dtype == bool:
        return list(np.nonzero(np.asarray(item)))
    return [item]


def _resolve(item: Any, n: int, axis: int, shape: Shape) -> KeyItem:
    if isinstance(item, slice):
        chosen = range(*item.indices(n))
        return Span(chosen.start if chosen else 0, chosen.step, len(chosen))
    if isinstance(item, bool | np.bool_):
        raise ShapeError("a single True or False cannot index a traced array")
    if isinstance(item, int | np.integer):
        _check_bounds(int(item), n, axis, shape)
        return int(item) % n
    indices = np.asarray(item)
    if indices.size == 0:
        indices = indices.astype(np.intp)
    if indices.dtype.kind not in "iu":
        raise ShapeError(
            f"An index must be an integer, a slice, None, ... or an array of integers "
            f"or booleans, and axis {axis} was given {type(item).__name__} "
            f"(dtype {indices.dtype})."
        )
    if indices.size:
        _check_bounds(int(indices.min()), n, axis, shape)
        _check_bounds(int(indices.max()), n, axis, shape)
    return Constant.of((indices % max(n, 1)).astype(np.intp))


def _check_bounds(index: int, n: int, axis: int, shape: Shape) -> None:
    if not -n <= index < n:
        raise ShapeError(
            f"Index {index} is out of bounds for axis {axis} of shape {shape}."
        )
