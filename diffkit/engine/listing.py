"""A lowered program line by line, in the words of the function it was traced from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from diffkit.engine.costs import cost_of, group_cost, kernel_of
from diffkit.engine.kernels.fields import COLUMNS, DEPTH, MEMBERS, ROWS, STACK
from diffkit.engine.machine import Machine
from diffkit.engine.peepholes import find_fusions
from diffkit.graph import Graph, Node

#: Operands that are named; of a stack of hundreds, the first ones.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction, or a group that runs block by block: rows `start` to `stop`.

    The ops of a group's members are joined by "+", their nodes by ";".
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
    lines, here = [], 0
    while here < len(program.table):
        head = program.table[here]
        if kernel_of(head) == "blocks":
            start, stop = here + 1, here + 1 + int(head[MEMBERS])
            cost = group_cost(program.table[start:stop], item_bytes)
        else:
            start, stop = here, here + 1
            cost = cost_of(head, program.lists, item_bytes)
        rows = program.table[start:stop]
        places = [int(place) for place in program.nodes[start:stop] if place >= 0]
        lines.append(
            Line(
                start=here,
                stop=stop,
                op=" + ".join(kernel_of(row) for row in rows),
                node="; ".join(words[place] for place in places),
                direction=_direction(graph, places, forward),
                shape=_shape(machine, places[0], rows[0]) if places else "",
                flops=cost.flops,
                bytes=cost.bytes,
            )
        )
        here = stop
    return lines


def _direction(graph: Graph, places: Sequence[int], forward: Sequence[bool]) -> str:
    names = (
        "again" if graph.nodes[i].again else "forward" if forward[i] else "backward"
        for i in places
    )
    return ", ".join(dict.fromkeys(names))


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


def _shape(machine: Machine, place: int, row: np.ndarray) -> str:
    """What an instruction makes; of a group, what its first one makes."""
    kernel, node = kernel_of(row), machine.graph.nodes[place]
    if kernel.startswith("product"):
        m, n, k = (int(row[field]) for field in (ROWS, COLUMNS, DEPTH))
        stack = int(row[STACK])
        return f"{'' if stack == 1 else f'{stack} of '}{m}×{k} @ {k}×{n}"
    program = machine.program
    written = cost_of(row, program.lists, program.dtype.itemsize).written
    if prod(node.shape) != written:
        return str(written)  # a copy of an operand, or what repeats computed once
    if node.op.family == "reduce" and kernel != "copy":
        given = machine.graph.nodes[node.inputs[0]].shape
        return f"{_sizes(given)} → {_sizes(node.shape)}"
    return _sizes(node.shape)


def _sizes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "1"
