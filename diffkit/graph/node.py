"""One operation in a program: a row, where its inputs are, its shape and kind."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from math import prod
from typing import Any

from diffkit.ops import Op
from diffkit.ops.op import Kind, Shape


@dataclass(frozen=True, slots=True)
class Node:
    """A primitive applied to earlier nodes, named by their place in the graph.

    Nodes are values: equal nodes compute the same thing, which is what hash-consing
    rests on. They hold indices, not each other, so no pass over them recurses.
    `again` is not zero in a node that computes a value a second time on purpose
    (`checkpoint.py`): it keeps the two apart.
    """

    op: Op
    inputs: tuple[int, ...]
    attributes: tuple[tuple[str, Hashable], ...]
    shape: Shape
    kind: Kind
    again: int = 0

    @property
    def keywords(self) -> dict[str, Any]:
        """The static attributes as keyword arguments."""
        return dict(self.attributes)

    def attribute(self, name: str) -> Any:
        """One static attribute by name."""
        for key, value in self.attributes:
            if key == name:
                return value
        raise KeyError(name)

    @property
    def elements(self) -> int:
        """Number of scalars in the output."""
        return prod(self.shape)
