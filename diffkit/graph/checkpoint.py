"""Checkpointing: which values of a program to keep, and which to compute again.

Reverse mode needs the primal's values in the opposite order, and so holds all of them
at once. Keeping every k-th only and computing the others again, segment by segment,
trades operations for memory: with k = √n about 2√n values are alive instead of n, for
less than one forward pass more (Griewank and Walther, 2008, chapter 12; Chen, Xu, Zhang
and Guestrin, 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

from diffkit.errors import UserInputError
from diffkit.graph.graph import Builder, Graph
from diffkit.graph.size import operations_of

Checkpoint = int | Literal["sqrt"] | None


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes of the primal from `start` to `stop` (not included), run again together."""

    number: int
    start: int
    stop: int


def require_checkpoint(interval: Checkpoint) -> None:
    """Raise `UserInputError` for an interval that makes no sense for any program."""
    if interval is None or interval == "sqrt":
        return
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
        raise UserInputError(
            f"checkpoint was {interval!r}; it is 'sqrt', None (keep everything), or k: "
            "keep every k-th of the values that everything later passes through, k ≥ 1."
        )


def steps(graph: Graph, wrt: Sequence[int], root: int) -> list[int]:
    """Nodes that everything later passes through, in order.

    Node i is one when, of all values that depend on the inputs at `wrt`, the nodes
    after i read i and no earlier one (the inputs themselves aside): a cut of the
    program of width one. Every operation of a plain layer is one; inside a residual
    block, where the skip runs past, there are none.
    """
    reached = graph.depends_on(wrt)
    inputs = set(graph.inputs)
    needed = Graph(graph.nodes, graph.inputs, (root,)).live()
    last_use: dict[int, int] = {}
    for here in range(root + 1):
        if needed[here]:
            for i in graph.nodes[here].inputs:
                last_use[i] = here
    found, reach = [], -1  # reach: how far values before this one are read
    for here in range(root):
        if not needed[here] or not reached[here] or here in inputs:
            continue
        if reach <= here:
            found.append(here)
        reach = max(reach, last_use[here])
    return found


def segments(
    graph: Graph, wrt: Sequence[int], root: int, interval: Checkpoint
) -> list[Segment]:
    """The stretches between the values that are kept, but for the last one.

    The last stretch is not run again: its pullbacks come at once.

    Raises `UserInputError` when the program has too few steps for the interval.
    """
    require_checkpoint(interval)
    if interval is None:
        return []
    found = steps(graph, wrt, root)
    every = ceil(sqrt(len(found))) if interval == "sqrt" else interval
    if every >= len(found):
        raise UserInputError(
            f"checkpoint={interval!r} keeps nothing of this program, which has "
            f"{len(found)} values that everything later passes through (a skip or a "
            "reused intermediate that runs past a layer leaves none there). Use a "
            "smaller interval, or checkpoint=None."
        )
    kept = found[every - 1 :: every]
    starts = [0, *(here + 1 for here in kept)]
    return [
        Segment(number, start, stop)
        for number, (start, stop) in enumerate(zip(starts, kept, strict=False), start=1)
    ]


def run_again(
    builder: Builder, graph: Graph, segment: Segment, reached: Sequence[bool]
) -> dict[int, int]:
    """Compute a segment's values a second time: old place → new place.

    The new nodes carry the segment's number, so that nothing merges them with the
    first ones.
    """
    inputs = set(graph.inputs)
    again: dict[int, int] = {}
    for here in range(segment.start, segment.stop):
        node = graph.nodes[here]
        if reached[here] and here not in inputs:
            places = [again.get(i, i) for i in node.inputs]
            again[here] = builder.copy_of(node, places, again=segment.number)
    return again


def recomputed_operations(graph: Graph) -> int:
    """Scalar operations that a gradient's graph does a second time, counted exactly."""
    return sum(
        operations_of(graph.nodes, node)
        for node, needed in zip(graph.nodes, graph.live(), strict=True)
        if needed and node.again
    )
