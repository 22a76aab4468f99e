"""Lowering of what only moves elements: most of it changes a view and nothing else."""

from __future__ import annotations

import numpy as np

from diffkit.engine.instructions import Assembly
from diffkit.engine.views import (
    View,
    broadcast,
    contiguous,
    reshaped_strides,
    sliced,
    transposed,
)
from diffkit.graph import Node
from diffkit.ops.shape import Key, Span, is_basic, numpy_key


def lower_transpose(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Axes in another order: a view."""
    return transposed(operands[0], node.attribute("axes"))


def lower_reshape(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Another shape: a view, unless the elements do not lie in order."""
    (view,) = operands
    strides = reshaped_strides(view.shape, view.strides, node.shape)
    if strides is None:
        view = assembly.copied(view)
        strides = contiguous(node.shape)
    return View(view.buffer, view.offset, node.shape, strides)


def lower_broadcast(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Repetition: a view with strides of 0."""
    return broadcast(operands[0], node.shape)


def lower_index(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """A slice is a view; lists of integers are gathered."""
    (view,) = operands
    key = node.attribute("key")
    if is_basic(key):
        return sliced(view, key)
    out = assembly.new(node.shape)
    if out.elements:
        places = _places(view, key)
        start = assembly.add_list(places)
        assembly.emit("gather", (places.size, start), out, view)
    return out


def lower_scatter(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Zeros, and every piece added at its key."""
    keys: tuple[Key, ...] = node.attribute("keys")
    out = assembly.new(node.shape)
    if len(keys) == 1 and is_basic(keys[0]) and operands[0].elements == out.elements:
        # One slice that names every element: nothing is left to be zero.
        assembly.move("copy", operands[0], sliced(out, keys[0]))
        return out
    assembly.fill_zero(out)
    for key, piece in zip(keys, operands, strict=True):
        if piece.elements == 0:
            continue
        if is_basic(key):
            assembly.move("accumulate", piece, sliced(out, key))
        else:
            places = _places(out, key)
            start = assembly.add_list(places)
            source = assembly.dense(piece)
            assembly.emit("scatter", (places.size, start), out, source)
    if node.kind == "boolean":
        # Pieces that overlap are joined by "or": any sum but 0 is true.
        zero = broadcast(assembly.constant(np.zeros(())), node.shape)
        truth = assembly.new(node.shape)
        if out.elements:
            fields = (1, out.elements, 0, 0, 0, 1, 0, 0)
            assembly.emit("not_equal", fields, truth, out, zero)
        return truth
    return out


def lower_concatenate(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Every part brought to its place."""
    axis = node.attribute("axis")
    out = assembly.new(node.shape)
    start = 0
    for part in operands:
        key = tuple(
            Span(start, 1, part.shape[axis]) if i == axis else Span(0, 1, n)
            for i, n in enumerate(node.shape)
        )
        assembly.put(part, sliced(out, key))
        start += part.shape[axis]
    return out


def lower_stack(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Every part brought to its place along a new axis."""
    axis = node.attribute("axis")
    out = assembly.new(node.shape)
    for position, part in enumerate(operands):
        key = tuple(
            position if i == axis else Span(0, 1, n) for i, n in enumerate(node.shape)
        )
        assembly.put(part, sliced(out, key))
    return out


def _places(view: View, key: Key) -> np.ndarray:
    """Offsets from the view's start of the elements a key selects, in order."""
    offsets = np.zeros((1,) * len(view.shape), dtype=np.int64)
    for axis, (n, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        shape = [1] * len(view.shape)
        shape[axis] = n
        offsets = offsets + (np.arange(n, dtype=np.int64) * stride).reshape(shape)
    return np.ascontiguousarray(offsets[numpy_key(key)]).ravel()
