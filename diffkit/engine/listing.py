"""A lowered program line by line, in the words of the function it was traced from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from diffkit.engine.costs import cost_of, kernel_of
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
    for here, row in enumerate(program.table):
        cost = cost_of(row, program.lists, item_bytes)
        place = int(program.nodes[here])
        node, direction = "", ""
        shape = ""
        if place >= 0:
            node = words[place]
            direction = (
                "again"
                if graph.nodes[place].again
                else "forward"
                if forward[place]
                else "backward"
            )
            shape = _shape(graph, graph.nodes[place], row, cost.written)
        lines.append(
            Line(
                start=here,
                stop=here + 1,
                op=kernel_of(row),
                node=node,
                direction=direction,
                shape=shape,
                flops=cost.flops,
                bytes=cost.bytes,
            )
        )
    return lines


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
