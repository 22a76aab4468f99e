"""The program of many moves of one input, graph to graph."""

from __future__ import annotations

from dataclasses import dataclass

from diffkit.graph.graph import Graph
from diffkit.graph.moved import Feed, Kept, Moving
from diffkit.graph.moved_rules import carry
from diffkit.ops import TABLE


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A program's first output for `count` moves of single entries of one input.

    `graph` takes what `feeds` say and gives one output with a leading axis of moves;
    None where the output does not depend on the input at all.
    """

    graph: Graph | None
    feeds: tuple[Feed, ...]
    count: int

    @property
    def operations(self) -> int:
        """Scalar operations of one run: of all the moves together."""
        return 0 if self.graph is None else self.graph.size().operations

    @property
    def widest(self) -> int:
        """Elements of the largest array that has the axis of moves."""
        nodes = () if self.graph is None else self.graph.nodes
        return max(
            (n.elements for n in nodes if n.shape[:1] == (self.count,)), default=1
        )

    @property
    def kept(self) -> frozenset[int]:
        """The nodes whose values have to be at hand."""
        return frozenset(f.node for f in self.feeds if isinstance(f, Kept))


def perturb(
    graph: Graph, leaf: int, count: int, *, keep: bool = True, tied: bool = True
) -> Perturbed:
    """The first output for `count` moves of one entry each of the input at `leaf`.

    `keep`: values that the input does not reach come in as they were; otherwise they
    are computed once for all moves. `tied`: of what it does reach only the rows and
    columns that a move changes are computed, by updates of rank one of the products
    and sums kept from before; otherwise all of it, once for each move.
    """
    assert keep or not tied, "what is tied needs values from before"
    moving = Moving(graph, leaf, count, keep, tied)
    root = graph.outputs[0]
    needed = Graph(graph.nodes, graph.inputs, (root,)).live()
    reached = graph.depends_on((leaf,))
    if not (needed[root] and reached[root]):
        return Perturbed(None, (), count)
    for here in range(len(graph.nodes)):
        if not needed[here] or here == moving.leaf:
            continue
        if reached[here]:
            moving.moved[here] = carry(moving, here)
        elif not keep:
            moving.copy(here)
    value = moving.whole(root)
    if graph.nodes[root].kind == "boolean":
        value = TABLE["where"](value, 1.0, 0.0)
    finished = moving.builder.graph([value.index])
    return Perturbed(finished, tuple(moving.feeds), count)
