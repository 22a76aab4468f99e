"""Values of a program while one entry of an input moves, many moves at once.

Everything that depends on the moved input gets a leading axis, one place for each move.
Of an array of which a move changes one row only (or one column, or one element) that
row alone is carried: the axis is *tied* to an axis of the input, has length one, and
which row it is differs from move to move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diffkit.graph.graph import CONSTANT, INPUT, Builder, Graph
from diffkit.graph.traced import Traced, lift
from diffkit.ops import TABLE
from diffkit.ops.op import Shape

RESHAPE, WHERE, DIFFERS = TABLE["reshape"], TABLE["where"], TABLE["not_equal"]

# For each axis of a node the axis of the moved input that it is tied to, or None.
Ties = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """What is fed in: the moved entries, or the whole input once for each move."""

    whole: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What is fed in: a value that was kept, or its part that belongs to each move."""

    node: int
    ties: Ties

    @property
    def tied(self) -> bool:
        """Whether moves take different parts of it."""
        return any(t is not None for t in self.ties)


@dataclass(frozen=True, slots=True)
class Mask:
    """What is fed in: for each move, True at the moved place along an axis."""

    axis: int


Feed = Points | Kept | Mask


@dataclass(frozen=True, slots=True)
class Moved:
    """A value with a leading axis of moves; tied axes have length one."""

    value: Traced
    ties: Ties


def part_of(shape: Shape, ties: Ties) -> Shape:
    """The shape of what a move changes: one place along tied axes."""
    return tuple(n if t is None else 1 for n, t in zip(shape, ties, strict=True))


class Moving:
    """The program of the moves while it is written, node after node.

    `moved` holds the nodes that the input reaches. The others come in as kept values,
    or are computed again where `keep` is False.
    """

    def __init__(
        self, graph: Graph, leaf: int, count: int, keep: bool, tied: bool
    ) -> None:
        self.graph, self.count, self.keep = graph, count, keep
        self.builder = Builder()
        self.feeds: list[Feed] = []
        self.moved: dict[int, Moved] = {}
        self._fed: dict[Feed, Traced] = {}
        self._copied: dict[int, Traced] = {}
        self._dense: dict[tuple[int, Ties], Moved] = {}
        self.leaf = graph.inputs[leaf]
        shape = graph.nodes[self.leaf].shape
        self.leaf_shape = shape
        ones = (1,) * len(shape)
        value = self.feed(Points(not tied), (count, *(ones if tied else shape)))
        ties = tuple(a if tied and n > 1 else None for a, n in enumerate(shape))
        self.moved[self.leaf] = Moved(value, ties)

    # ---- what comes in -----------------------------------------------------------

    def feed(self, feed: Feed, shape: Shape, kind: Any = "real") -> Traced:
        """An input of the program of the moves, the same feed once."""
        found = self._fed.get(feed)
        if found is None:
            place = self.builder.input(shape, kind, f"feed {len(self.feeds)}")
            found = self._fed[feed] = Traced(self.builder, place)
            self.feeds.append(feed)
        return found

    def copy(self, here: int) -> None:
        """Compute a node that does not move again."""
        node = self.graph.nodes[here]
        if node.op is INPUT:
            value = self.feed(Kept(here, (None,) * len(node.shape)), node.shape)
        else:
            places = [self._copied[i].index for i in node.inputs]
            value = Traced(self.builder, self.builder.copy_of(node, places))
        self._copied[here] = value

    def still(self, here: int, ties: Ties, rank: int) -> Traced:
        """A node's value before the move, or its part at each move's place."""
        node = self.graph.nodes[here]
        if here in self._copied:
            return self._copied[here]
        kept = Kept(here, ties)
        if not kept.tied:
            if node.op is CONSTANT:
                return Traced(self.builder, self.builder.copy_of(node, ()))
            return self.feed(kept, node.shape, node.kind)
        shape = (self.count, *part_of(node.shape, ties))
        return self.raised(self.feed(kept, shape, node.kind), rank)

    # ---- bringing operands together -------------------------------------------------

    def raised(self, value: Traced, rank: int) -> Traced:
        """New axes of length one after the first, so that trailing axes line up."""
        missing = rank + 1 - value.ndim
        if not missing:
            return value
        shape = (self.count, *(1,) * missing, *value.shape[1:])
        return RESHAPE(value, shape=shape)

    def common(self, operands: Sequence[int], shape: Shape) -> Ties:
        """The ties of an elementwise result: those that its moved operands share."""
        ties: list[int | None] = []
        for axis, n in enumerate(shape):
            found = set()
            for i in operands:
                if i in self.moved:
                    at = axis - len(shape) + len(self.graph.nodes[i].shape)
                    found.add(self.moved[i].ties[at] if at >= 0 else None)
            ties.append(found.pop() if len(found) == 1 and n > 1 else None)
        return tuple(ties)

    def operand(self, i: int, ties: Ties) -> Traced:
        """An operand of a result with these ties, moved or not, its axes lined up."""
        shape = self.graph.nodes[i].shape
        own = ties[len(ties) - len(shape) :]
        own = tuple(t if n > 1 else None for t, n in zip(own, shape, strict=True))
        if i not in self.moved:
            return self.still(i, own, len(ties))
        return self.raised(self.untied(i, own).value, len(ties))

    def untied(self, i: int, ties: Ties) -> Moved:
        """A moved value with no more ties than these: the rest of it filled in."""
        state = self.moved[i]
        if state.ties == ties:
            return state
        known = self._dense.get((i, ties))
        if known is not None:
            return known
        node = self.graph.nodes[i]
        before = self.still(i, ties, len(node.shape))
        mask: Any = None
        for axis, (was, now) in enumerate(zip(state.ties, ties, strict=True)):
            if was is None or now is not None:
                continue
            n = node.shape[axis]
            row = self.feed(Mask(was), (self.count, n), "boolean")
            sides = (1,) * axis, (1,) * (len(node.shape) - axis - 1)
            row = RESHAPE(row, shape=(self.count, *sides[0], n, *sides[1]))
            mask = row if mask is None else TABLE["logical_and"](mask, row)
        after = state.value
        if node.kind == "boolean":
            after, before = WHERE(after, 1.0, 0.0), WHERE(before, 1.0, 0.0)
        value = WHERE(mask, after, before)
        if node.kind == "boolean":
            value = DIFFERS(value, lift(self.builder, 0.0))
        found = self._dense[i, ties] = Moved(value, ties)
        return found

    def whole(self, i: int) -> Traced:
        """A moved value with no ties at all."""
        return self.untied(i, (None,) * len(self.graph.nodes[i].shape)).value
