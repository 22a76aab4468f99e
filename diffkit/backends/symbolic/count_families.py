"""Tree sizes of families of scalars (`families`), one step for a whole layer."""

from __future__ import annotations

from collections.abc import Sequence

from diffkit.backends.symbolic.differentiate import slope_template
from diffkit.backends.symbolic.families import Families
from diffkit.backends.symbolic.size import own_operations
from diffkit.backends.symbolic.templates import Template
from diffkit.backends.symbolic.uniform import NotUniformError


class Table:
    """Tree sizes of families as they are appended."""

    def __init__(self, families: Families) -> None:
        self.families = families
        self.operations: list[int] = []
        self.nodes: list[int] = []
        self.heights: list[int] = []
        self._slopes: dict[object, Template] = {}

    def measure(self) -> None:
        """Count the rows that were appended since."""
        families = self.families
        for row in range(len(self.nodes), len(families.heads)):
            operations, nodes, height = self.own(row), 1, 0
            for i, many in families.arguments[row]:
                operations += many * self.operations[i]
                nodes += many * self.nodes[i]
                height = max(height, self.heights[i] + 1)
            self.operations.append(operations)
            self.nodes.append(nodes)
            self.heights.append(height)

    def own(self, row: int) -> int:
        """Operations of one member, not counting those of its arguments."""
        arity = sum(many for _, many in self.families.arguments[row])
        return own_operations(self.families.heads[row], arity)

    def slope(self, row: int, position: int) -> int:
        """The row of ∂row/∂(argument number `position`)."""
        families = self.families
        head, arguments = families.heads[row], families.arguments[row]
        if any(many > 1 for _, many in arguments):
            raise NotUniformError(f"{head} of several members of a family")
        exponent = families.payloads[arguments[1][0]] if head == "power" else None
        key = (head, len(arguments), position, exponent)
        template = self._slopes.get(key)
        if template is None:
            template = slope_template(head, len(arguments), position, exponent)
            self._slopes[key] = template
        return families.replay(template, [i for i, _ in arguments])

    def shared(self, outputs: Sequence[int]) -> tuple[int, int]:
        """Operations and nodes of the rows that the outputs need, all members."""
        families = self.families
        needed = bytearray(max(outputs) + 1)
        for row in outputs:
            needed[row] = 1
        operations = nodes = 0
        for row in range(max(outputs), -1, -1):
            if needed[row]:
                members = families.count(families.labels[row])
                operations += members * self.own(row)
                nodes += members
                for i, _ in families.arguments[row]:
                    needed[i] = 1
        return operations, nodes


def reaches(families: Families, leaves: set[int]) -> list[bool]:
    """Whether each row depends on one of the leaves."""
    found = [False] * len(families.heads)
    for row, arguments in enumerate(families.arguments):
        found[row] = row in leaves or any(found[i] for i, _ in arguments)
    return found
