"""Lowering: a graph becomes a table of instructions over one arena.

Nodes become views (`views.py`); only what computes or really moves elements becomes an
instruction. One pass, linear in the graph, no recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from diffkit.engine.arena import Demand, Plan, plan_arena
from diffkit.engine.fusion import Item, fuse
from diffkit.engine.instructions import NONE, Assembly
from diffkit.engine.kernels import OPCODES
from diffkit.engine.kernels.fields import OPCODE, OUT, WIDTH, A, B, C
from diffkit.engine.lower_elementwise import lower_elementwise
from diffkit.engine.lower_linear import lower_matmul
from diffkit.engine.lower_reduce import (
    lower_cumsum,
    lower_inner_product,
    lower_reduction,
)
from diffkit.engine.lower_shape import (
    lower_broadcast,
    lower_concatenate,
    lower_index,
    lower_reshape,
    lower_scatter,
    lower_stack,
    lower_transpose,
)
from diffkit.engine.peepholes import find_fusions
from diffkit.engine.prefetch import with_prefetches
from diffkit.engine.threads import divide
from diffkit.engine.views import View
from diffkit.graph import Graph, Node

# Inputs and outputs of so many bytes are used in the caller's arrays; smaller
# ones are copied, to lie on a border of cache lines.
LARGE_BYTES = 64 * 1024

Lower = Callable[[Assembly, Node, list[View]], View]

# What is not elementwise; every elementwise op has a kernel of its own name.
LOWER: dict[str, Lower] = {
    "matmul": lower_matmul,
    "transpose": lower_transpose,
    "reshape": lower_reshape,
    "broadcast": lower_broadcast,
    "index": lower_index,
    "scatter": lower_scatter,
    "concatenate": lower_concatenate,
    "stack": lower_stack,
    "sum": lower_reduction,
    "mean": lower_reduction,
    "prod": lower_reduction,
    "max": lower_reduction,
    "min": lower_reduction,
    "logsumexp": lower_reduction,
    "cumsum": lower_cumsum,
}


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an input or output lies in the arena, in elements, and what it is."""

    start: int
    shape: tuple[int, ...]
    elements: int
    boolean: bool


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A lowered graph: data for the machine, the same for any number of runs."""

    table: np.ndarray  # int64 (instructions, fields.WIDTH): for one thread
    tables: tuple[np.ndarray, ...]  # the same, one for each thread that runs it
    lists: np.ndarray  # int64: dimensions, strides and index lists
    nodes: np.ndarray  # int64: the graph's node an instruction computes, −1 for none
    constants: tuple[tuple[int, np.ndarray], ...]  # (start, flat values)
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    plan: Plan
    dtype: np.dtype
    seconds: dict[str, float]

    def is_large(self, slot: Slot) -> bool:
        """Whether an input or output is worth leaving where the caller has it."""
        return not slot.boolean and slot.elements * self.dtype.itemsize >= LARGE_BYTES


def lower(graph: Graph, dtype: np.dtype, threads: int = 1) -> Program:
    """The instructions that compute a graph's outputs, and the plan of their arena.

    For several threads each has a table of its own, where that is worth it.
    """
    began = perf_counter()
    assembly = Assembly(dtype, threads)
    views = _lower_nodes(graph, assembly)
    inputs = [views[place] for place in graph.inputs]
    outputs = [_own_output(assembly, views[place], place) for place in graph.outputs]
    lowered = perf_counter()
    items = fuse(assembly, threads)
    divided = None
    if threads > 1:
        cell = assembly.cell().buffer
        divided = divide(items, threads, dtype.itemsize, cell)
    uses = [item.uses() for item in items]
    plan = plan_arena(
        Demand(
            sizes=assembly.sizes,
            uses=uses,
            in_place=[item.in_place for item in items],
            inputs=[view.buffer for view in inputs],
            constants=[buffer for buffer, _ in assembly.constants],
            outputs=[view.buffer for view in outputs],
            inside=assembly.inside,
        ),
        dtype.itemsize,
    )
    table = _table(
        [row for item in items for row in item.table_rows()],
        [used for item in items for used in item.table_buffers()],
        plan,
    )
    table = with_prefetches(
        table,
        uses,
        [len(item.table_rows()) for item in items],
        assembly.sizes,
        plan.offsets,
        plan.elements * dtype.itemsize,
        dtype.itemsize,
    )
    tables = (table,)
    if divided is not None:
        tables = tuple(
            _table([row for row, _ in part], [used for _, used in part], plan)
            for part in divided
        )
    planned = perf_counter()

    def slot(view: View, place: int) -> Slot:
        start = int(plan.offsets[view.buffer])
        boolean = graph.nodes[place].kind == "boolean"
        return Slot(start, view.shape, view.elements, boolean)

    return Program(
        table=table,
        tables=tables,
        lists=assembly.list_array(),
        nodes=_nodes_of(table, items),
        constants=tuple((int(plan.offsets[b]), v) for b, v in assembly.constants),
        inputs=tuple(map(slot, inputs, graph.inputs)),
        outputs=tuple(map(slot, outputs, graph.outputs)),
        plan=plan,
        dtype=dtype,
        seconds={"lower": lowered - began, "plan": planned - lowered},
    )


def _table(
    rows: Sequence[list[int]],
    buffers: Sequence[tuple[int, int, int, int]],
    plan: Plan,
) -> np.ndarray:
    """The instructions as int64 (count, WIDTH), with places in the arena."""
    table = np.array(rows, dtype=np.int64).reshape(-1, WIDTH)
    if rows:
        bases = np.append(plan.offsets, 0)  # buffer −1 is "none": offset 0
        table[:, [OUT, A, B, C]] += bases[np.array(buffers)]
    return table


def _nodes_of(table: np.ndarray, items: Sequence[Item]) -> np.ndarray:
    """The node of each row of the table; heads and fetches ahead have none."""
    found = np.full(len(table), NONE, np.int64)
    nodes = [node for item in items for node in item.table_nodes()]
    found[table[:, OPCODE] != OPCODES.get("prefetch")] = nodes
    return found


def _lower_nodes(graph: Graph, assembly: Assembly) -> list[View]:
    nothing = View(-1, 0, (), ())
    views = [nothing] * len(graph.nodes)
    alive = graph.live()
    for place in graph.inputs:
        views[place] = assembly.input(graph.nodes[place].shape)
    fused, skipped = find_fusions(graph)
    for here, node in enumerate(graph.nodes):
        name = node.op.name
        if name == "input" or not alive[here] or here in skipped:
            continue
        assembly.node = here
        if name == "constant":
            views[here] = assembly.constant(node.attribute("value").array)
        elif here in fused:
            kernel, places = fused[here]
            operands = [views[i] for i in places]
            if kernel == "inner_product":
                views[here] = lower_inner_product(assembly, node.shape, operands)
            else:
                views[here] = lower_elementwise(assembly, kernel, node.shape, operands)
        else:
            operands = [views[i] for i in node.inputs]
            rule = LOWER.get(name)
            if rule is None:
                views[here] = lower_elementwise(assembly, name, node.shape, operands)
            else:
                views[here] = rule(assembly, node, operands)
    return views


def _own_output(assembly: Assembly, view: View, place: int) -> View:
    """The view in a whole buffer of its own, which can lie in the output region."""
    assembly.node = place
    buffer = view.buffer
    whole = view.offset == 0 and view.is_contiguous
    if (
        whole
        and buffer not in assembly.inside
        and buffer not in assembly.pinned
        and assembly.sizes[buffer] == view.elements
    ):
        assembly.pinned.add(buffer)
        return view
    copy = assembly.copied(view)
    assembly.pinned.add(copy.buffer)
    return copy
