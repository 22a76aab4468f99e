"""Forward mode, graph to graph: the directional derivative beside the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffkit.graph.graph import Builder, Graph
from diffkit.graph.node import Node
from diffkit.graph.traced import Traced, lift
from diffkit.ops import TABLE

BROADCAST, SUM = TABLE["broadcast"], TABLE["sum"]


def forward(graph: Graph, wrt: Sequence[int] = (0,), output: int = 0) -> Graph:
    """The graph of an output and its tangent, ẏ = Σₚ ∂y/∂xₚ · ẋₚ.

    Takes the program's inputs followed by one tangent for each position in `wrt`,
    shaped like that input; gives (y, ẏ, *the other outputs). One pass costs a small
    multiple of the primal's, for one direction. Griewank and Walther (2008), chapter 3.
    """
    builder = Builder(graph)
    tangents: dict[int, Traced] = {}
    for p in wrt:
        node = graph.nodes[graph.inputs[p]]
        name = f"tangent of {node.attribute('name')}"
        tangents[graph.inputs[p]] = Traced(
            builder, builder.input(node.shape, name=name)
        )
    root = graph.outputs[output]
    for here, node in enumerate(graph.nodes[: root + 1]):
        if node.op.differentiable and any(i in tangents for i in node.inputs):
            tangent = _push_forward(builder, node, here, tangents)
            if tangent is not None:
                tangents[here] = tangent
    tangent = tangents.get(root)
    if tangent is None:
        tangent = BROADCAST(lift(builder, 0.0), shape=graph.nodes[root].shape)
    others = [o for i, o in enumerate(graph.outputs) if i != output]
    return builder.graph([root, tangent.index, *others])


def _push_forward(
    builder: Builder, node: Node, here: int, tangents: dict[int, Traced]
) -> Traced | None:
    """The tangent of one node from those of its inputs; None where it is zero."""
    op, words = node.op, node.keywords
    y = Traced(builder, here)
    x = [Traced(builder, i) for i in node.inputs]
    moving = [position for position, i in enumerate(node.inputs) if i in tangents]
    terms: list[Any] = []
    if op.weights is not None:
        product = tangents[node.inputs[0]] * op.weights(y, *x, **words)
        terms.append(SUM(product, axes=words["axes"], keepdims=words["keepdims"]))
    elif op.joint:
        parts = [
            tangents[i]
            if i in tangents
            else BROADCAST(lift(builder, 0.0), shape=part.shape)
            for i, part in zip(node.inputs, x, strict=True)
        ]
        terms.append(op(*parts, **words))
    else:
        for position in moving:
            t = tangents[node.inputs[position]]
            if op.family == "elementwise":
                rule = op.partials[position]
                if rule is not None:
                    terms.append(lift(builder, rule(t, y, *x)))
            else:
                terms.append(op(*x[:position], t, *x[position + 1 :], **words))
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    # A rule may give a smaller shape (add of a scalar tangent to an array).
    return total if total.shape == node.shape else BROADCAST(total, shape=node.shape)
