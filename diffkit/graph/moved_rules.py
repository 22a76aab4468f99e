"""How each operation carries moves: one rule an op, the smallest part recomputed.

Where a move changes one row of a factor, a product changes by a matrix of rank one,
which is added to the product that was kept; where it changes one term of a sum, by the
change of that term. Everything else is the op itself with one axis more.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from diffkit.graph.moved import Moved, Moving, Ties, part_of
from diffkit.graph.node import Node
from diffkit.graph.traced import Traced
from diffkit.ops import TABLE
from diffkit.ops.op import Constant
from diffkit.ops.shape import Key, Span

BROADCAST, MATMUL, RESHAPE, SUBTRACT, SUM, TRANSPOSE = (
    TABLE[name]
    for name in ("broadcast", "matmul", "reshape", "subtract", "sum", "transpose")
)


def carry(moving: Moving, here: int) -> Moved:
    """The moved value of a node from those of its inputs."""
    node = moving.graph.nodes[here]
    if node.op.family == "elementwise":
        return _elementwise(moving, node)
    return _RULES.get(node.op.name, _reduction)(moving, here, node)


def _elementwise(moving: Moving, node: Node) -> Moved:
    ties = moving.common(node.inputs, node.shape)
    values = [moving.operand(i, ties) for i in node.inputs]
    return Moved(node.op(*values, **node.keywords), ties)


def _matmul(moving: Moving, here: int, node: Node) -> Moved:
    rank = len(node.shape)
    i, j = node.inputs
    if i in moving.moved and j in moving.moved:
        free: Ties = (None,) * rank
        return Moved(MATMUL(moving.operand(i, free), moving.operand(j, free)), free)
    left = i in moving.moved
    changed, other = (i, j) if left else (j, i)
    state = moving.moved[changed]
    stack = moving.common((changed,), node.shape)[: rank - 2]
    inner = state.ties[-1] if left else state.ties[-2]
    row, column = (state.ties[-2], None) if left else (None, state.ties[-1])
    ties = (*stack, row, column)
    shape = moving.graph.nodes[other].shape
    own = stack[rank - len(shape) :]
    own = tuple(t if n > 1 else None for t, n in zip(own, shape, strict=False))
    kept = moving.still(
        other, (*own, *((inner, None) if left else (None, inner))), rank
    )
    value = moving.raised(state.value, rank)
    if inner is not None:
        value = SUBTRACT(value, moving.still(changed, state.ties, rank))
    a, b = (value, kept) if left else (kept, value)
    if inner is None:
        return Moved(MATMUL(a, b), ties)
    # Rank one; without a second side the product is elementwise.
    outer = a.shape[-2] > 1 and b.shape[-1] > 1
    change = MATMUL(a, b) if outer else TABLE["multiply"](a, b)
    return Moved(moving.still(here, ties, rank) + change, ties)


def _sum(moving: Moving, here: int, node: Node) -> Moved:
    """Of a sum over a tied axis only the change of its terms is summed."""
    words = node.keywords
    axes = words["axes"]
    state = moving.moved[node.inputs[0]]
    if all(state.ties[a] is None for a in axes):
        return _reduction(moving, here, node)
    ties = _left_of(state.ties, axes, words["keepdims"])
    before = moving.still(node.inputs[0], state.ties, len(state.ties))
    change: Any = SUM(
        SUBTRACT(state.value, before),
        axes=tuple(a + 1 for a in axes),
        keepdims=words["keepdims"],
    )
    if node.op.name == "mean":
        shape = moving.graph.nodes[node.inputs[0]].shape
        change = change / float(prod(shape[a] for a in axes))
    return Moved(moving.still(here, ties, len(ties)) + change, ties)


def _left_of(ties: Ties, axes: tuple[int, ...], keepdims: bool) -> Ties:
    """Ties of a reduction's result."""
    if keepdims:
        return tuple(None if a in axes else t for a, t in enumerate(ties))
    return tuple(t for a, t in enumerate(ties) if a not in axes)


def _reduction(moving: Moving, here: int, node: Node) -> Moved:
    words = node.keywords
    (i,) = node.inputs
    axes = words["axes"]
    free = _left_of(moving.moved[i].ties, axes, keepdims=True)
    value = moving.untied(i, free).value
    words["axes"] = tuple(a + 1 for a in axes)
    return Moved(node.op(value, **words), _left_of(free, axes, words["keepdims"]))


def _cumsum(moving: Moving, here: int, node: Node) -> Moved:
    (i,) = node.inputs
    axis = node.attribute("axis")
    free = _left_of(moving.moved[i].ties, (axis,), keepdims=True)
    return Moved(node.op(moving.untied(i, free).value, axis=axis + 1), free)


def _transpose(moving: Moving, here: int, node: Node) -> Moved:
    state, axes = moving.moved[node.inputs[0]], node.attribute("axes")
    value = TRANSPOSE(state.value, axes=(0, *(a + 1 for a in axes)))
    return Moved(value, tuple(state.ties[a] for a in axes))


def _reshape(moving: Moving, here: int, node: Node) -> Moved:
    """A tied axis stays so where the new shape has it whole at the same place."""
    (i,) = node.inputs
    old = moving.graph.nodes[i].shape
    free: list[int | None] = [None] * len(old)
    ties: list[int | None] = [None] * len(node.shape)
    for axis, tie in enumerate(moving.moved[i].ties):
        for place, n in enumerate(node.shape):
            same = n == old[axis] and prod(old[:axis]) == prod(node.shape[:place])
            if tie is not None and same and 0 not in old:
                free[axis] = ties[place] = tie
    value = moving.untied(i, tuple(free)).value
    part = part_of(node.shape, tuple(ties))
    return Moved(RESHAPE(value, shape=(moving.count, *part)), tuple(ties))


def _broadcast(moving: Moving, here: int, node: Node) -> Moved:
    (i,) = node.inputs
    ties = moving.common((i,), node.shape)
    value = moving.raised(moving.moved[i].value, len(node.shape))
    shape = (moving.count, *part_of(node.shape, ties))
    return Moved(BROADCAST(value, shape=shape), ties)


def _index(moving: Moving, here: int, node: Node) -> Moved:
    (i,) = node.inputs
    key: Key = node.attribute("key")
    shape = moving.graph.nodes[i].shape
    free: list[int | None] = []
    ties: list[int | None] = []
    items: list[Any] = []
    basic = not any(isinstance(item, Constant) for item in key)
    for item in key:
        if item is None:
            ties.append(None)
            items.append(None)
            continue
        axis = len(free)
        tie = moving.moved[i].ties[axis]
        stays = basic and tie is not None and item == Span(0, 1, shape[axis])
        free.append(tie if stays else None)
        if isinstance(item, Span):
            ties.append(tie if stays else None)
        items.append(Span(0, 1, 1) if stays else item)
    value = moving.untied(i, tuple(free)).value
    value = node.op(value, key=(Span(0, 1, moving.count), *items))
    if basic:
        return Moved(value, tuple(ties))
    front = _places_before(key)
    order = (front, *(a for a in range(value.ndim) if a != front))
    return Moved(TRANSPOSE(value, axes=order), (None,) * len(node.shape))


def _places_before(key: Key) -> int:
    """Where NumPy puts a leading sliced axis: after lists that stand apart."""
    lists = [
        a
        for a, item in enumerate(key)
        if item is not None and not isinstance(item, Span)
    ]
    if lists[-1] - lists[0] + 1 == len(lists):
        return 0
    arrays = [item.array.ndim for item in key if isinstance(item, Constant)]
    return max(arrays)


def _scatter(moving: Moving, here: int, node: Node) -> Moved:
    keys, shape = node.attribute("keys"), node.attribute("shape")
    values = []
    for i, key in zip(node.inputs, keys, strict=True):
        value = _spread(moving, i, (None,) * len(moving.graph.nodes[i].shape))
        if any(isinstance(item, Constant) for item in key):
            front = _places_before(key)
            order = (*range(1, front + 1), 0, *range(front + 1, value.ndim))
            value = TRANSPOSE(value, axes=order)
        values.append(value)
    start = Span(0, 1, moving.count)
    value = node.op(
        *values,
        keys=tuple((start, *key) for key in keys),
        shape=(moving.count, *shape),
    )
    return Moved(value, (None,) * len(shape))


def _spread(moving: Moving, i: int, ties: Ties) -> Traced:
    """An operand repeated for every move, if it does not move itself."""
    value = moving.operand(i, ties)
    shape = (moving.count, *part_of(moving.graph.nodes[i].shape, ties))
    return value if value.shape == shape else BROADCAST(value, shape=shape)


def _concatenate(moving: Moving, here: int, node: Node) -> Moved:
    axis = node.attribute("axis")
    ties = moving.common(node.inputs, node.shape)
    ties = (*ties[:axis], None, *ties[axis + 1 :])
    values = [_spread(moving, i, ties) for i in node.inputs]
    return Moved(node.op(*values, axis=axis + 1), ties)


def _stack(moving: Moving, here: int, node: Node) -> Moved:
    axis = node.attribute("axis")
    ties = moving.common(node.inputs, moving.graph.nodes[node.inputs[0]].shape)
    values = [_spread(moving, i, ties) for i in node.inputs]
    value = node.op(*values, axis=axis + 1)
    return Moved(value, (*ties[:axis], None, *ties[axis:]))


_RULES: dict[str, Callable[[Moving, int, Node], Moved]] = {
    "matmul": _matmul,
    "sum": _sum,
    "mean": _sum,
    "prod": _reduction,
    "max": _reduction,
    "min": _reduction,
    "logsumexp": _reduction,
    "cumsum": _cumsum,
    "transpose": _transpose,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "index": _index,
    "scatter": _scatter,
    "concatenate": _concatenate,
    "stack": _stack,
}
