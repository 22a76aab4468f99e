"""Patterns of nodes that one kernel computes, found in one pass over the graph."""

from __future__ import annotations

from diffkit.graph import Graph

# node -> (kernel, operand nodes); and the nodes that are then not needed themselves.
Fused = dict[int, tuple[str, tuple[int, ...]]]


def find_pullbacks(graph: Graph) -> tuple[Fused, set[int]]:
    """g·(1 − y²), tanh's pullback: three instructions and two temporaries become one.

    The inner nodes must serve nothing else.
    """
    nodes = graph.nodes
    uses = [0] * len(nodes)
    alive = graph.live()
    for here, node in enumerate(nodes):
        if alive[here]:
            for i in node.inputs:
                uses[i] += 1
    for i in graph.outputs:
        uses[i] += 1
    fused: Fused = {}
    skipped: set[int] = set()
    for here, node in enumerate(nodes):
        if node.op.name != "multiply" or not alive[here]:
            continue
        for g, factor in (node.inputs, node.inputs[::-1]):
            if uses[factor] != 1:
                continue
            y = _one_minus_square(graph, factor, uses)
            if y is not None:
                fused[here] = ("tanh_pullback", (g, y))
                skipped |= {factor, nodes[factor].inputs[1]}
                break
    return fused, skipped


def _one_minus_square(graph: Graph, place: int, uses: list[int]) -> int | None:
    """y, if the node is 1 − y·y and its square serves it alone."""
    node = graph.nodes[place]
    if node.op.name != "subtract":
        return None
    one, inner = node.inputs
    if uses[inner] != 1 or graph.nodes[one].op.name != "constant":
        return None
    value = graph.nodes[one].attribute("value").array
    if value.shape != () or value != 1.0:
        return None
    product = graph.nodes[inner]
    if product.op.name == "square":
        return product.inputs[0]
    if product.op.name == "multiply" and product.inputs[0] == product.inputs[1]:
        return product.inputs[0]
    return None
