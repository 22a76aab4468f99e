"""A lowered program line by line, in the words of the function it was traced from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from diffkit.engine.costs import cost_of, group_of, kernel_of
from diffkit.engine.kernels.fields import COLUMNS, DEPTH, ROWS, STACK
from diffkit.engine.machine import Machine
from diffkit.engine.peepholes import find_fusions
from diffkit.graph import Graph, Node

#: Operands that are named; of a stack of hundreds, the first ones.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction (or a group that runs as one): `start` to `stop` of the table.

    `node` is what the graph computes there, with its operands: arguments by their
    names, results by their ops. `direction` is forward for what the value needs,
    "again" for what a checkpoint computes a second time, backward for the rest.
    """

    start: int
    stop: int
    op: str
    node: str
    direction: str
    shape: str
    flops: int
    bytes: int


def lines_of(machine: Machine, primal: Sequence[int]) -> list[Line]:
    """Every line of a program; `primal` are the outputs that are not gradients."""
    program, graph = machine.program, machine.graph
    words = _words(graph)
    wanted = tuple(graph.outputs[p] for p in primal)
    forward = Graph(graph.nodes, graph.inputs, wanted).live()
    item_bytes = program.dtype.itemsize
    lines = []
    here = 0
    while here < len(program.table):
        members = group_of(program.table[here])
        first = here + (1 if members else 0)
        stop = first + max(members, 1)
        costs, nodes, shapes, directions = [], [], [], []
        for place in range(first, stop):
            row = program.table[place]
            costs.append(cost_of(row, program.lists, item_bytes))
            node = int(program.nodes[place])
            if node < 0:
                continue
            nodes.append(words[node])
            shapes.append(_shape(graph, graph.nodes[node], row, costs[-1].written))
            again, needed = graph.nodes[node].again, forward[node]
            directions.append("again" if again else "forward" if needed else "backward")
        lines.append(
            Line(
                start=here,
                stop=stop,
                op=" + ".join(map(kernel_of, program.table[first:stop])),
                node=_once(nodes),
                direction=_once(directions),
                shape=_once(shapes),
                flops=sum(cost.flops for cost in costs),
                bytes=sum(cost.bytes for cost in costs),
            )
        )
        here = stop
    return lines


def _once(words: Sequence[str]) -> str:
    """What the members of a group have, each of it once."""
    return ", ".join(dict.fromkeys(words))


def _words(graph: Graph) -> list[str]:
    """What each node computes: its op, or the kernel that joins it with others."""
    fused, _ = find_fusions(graph)
    names = graph.input_names
    inputs = {place: names[p] for p, place in enumerate(graph.inputs)}
    short: list[str] = []  # as an operand
    full: list[str] = []
    for here, node in enumerate(graph.nodes):
        kernel, places = fused.get(here, (node.op.name, node.inputs))
        operands = ", ".join(short[i] for i in places[:_NAMED])
        more = ", …" if len(places) > _NAMED else ""
        full.append(f"{kernel}({operands}{more})")
        short.append(inputs.get(here) or _operand(node, kernel, short))
    return full


def _operand(node: Node, kernel: str, short: list[str]) -> str:
    """A result as an operand: the op's name; what is only seen otherwise, by its own.

    A constant of one number is its digits.
    """
    if kernel == "constant":
        array = node.attribute("value").array
        uniform = array.size > 0 and bool((array == array.flat[0]).all())
        return f"{float(array.flat[0]):g}" if uniform else "constant"
    if kernel in ("reshape", "broadcast"):
        return short[node.inputs[0]]
    if kernel == "transpose":
        return f"{short[node.inputs[0]]}.T"
    if kernel == "index":
        return f"{short[node.inputs[0]]}[…]"
    return kernel


def _shape(graph: Graph, node: Node, row: np.ndarray, written: int) -> str:
    if kernel_of(row).startswith("product"):
        m, n, k = (int(row[field]) for field in (ROWS, COLUMNS, DEPTH))
        stack = int(row[STACK])
        return f"{'' if stack == 1 else f'{stack} of '}{m}×{k} @ {k}×{n}"
    if prod(node.shape) != written:
        return str(written)  # a copy of an operand, or what repeats computed once
    if node.op.family == "reduce" and kernel_of(row) != "copy":
        return f"{_sizes(graph.nodes[node.inputs[0]].shape)} → {_sizes(node.shape)}"
    return _sizes(node.shape)


def _sizes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "1"
