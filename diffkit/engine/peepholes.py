"""Patterns of nodes that one kernel computes, found in one pass over the graph.

Each gives what the nodes give one by one, rounded alike but for the pullback: fewer
instructions and fewer temporaries, the same arithmetic.
"""

from __future__ import annotations

from diffkit.graph import Graph, Node

# node -> (kernel, operand nodes); and the nodes that are then not needed themselves.
Fused = dict[int, tuple[str, tuple[int, ...]]]


def find_fusions(graph: Graph) -> tuple[Fused, set[int]]:
    """Nodes that take the place of inner ones, which must serve nothing else.

    * g·(1 − y²), tanh's pullback: three instructions and two temporaries become one;
    * a·b + c: a term of a sum of products;
    * Σ a·b over everything: an inner product.
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
        if not alive[here]:
            continue
        if node.op.name == "multiply":
            for g, factor in (node.inputs, node.inputs[::-1]):
                if uses[factor] != 1:
                    continue
                y = _one_minus_square(graph, factor, uses)
                if y is not None:
                    fused[here] = ("tanh_pullback", (g, y))
                    skipped |= {factor, nodes[factor].inputs[1]}
                    break
        elif node.op.name == "add":
            # The later one first: in a chain of terms, that is the one at hand.
            for term in sorted(node.inputs, reverse=True):
                if term not in fused and _serves(nodes[term], node, uses[term]):
                    first, second = node.inputs
                    other = second if term == first else first
                    fused[here] = ("multiply_add", (*nodes[term].inputs, other))
                    skipped.add(term)
                    break
        elif node.op.name == "sum":
            (term,) = node.inputs
            everything = len(node.attribute("axes")) == len(nodes[term].shape)
            if (
                everything
                and term not in fused
                and _is_product(nodes[term], uses[term])
            ):
                fused[here] = ("inner_product", nodes[term].inputs)
                skipped.add(term)
    return fused, skipped


def _is_product(node: Node, uses: int) -> bool:
    return node.op.name == "multiply" and uses == 1 and node.kind == "real"


def _serves(term: Node, total: Node, uses: int) -> bool:
    return _is_product(term, uses) and term.shape == total.shape


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
