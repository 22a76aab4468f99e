"""How sharply a program can bend along one input, read off its products."""

from __future__ import annotations

from math import hypot
from typing import Any

from diffkit.graph.graph import CONSTANT, Graph
from diffkit.graph.node import Node


def bends(graph: Graph, leaf: int) -> float:
    """How sharply: the first output varies on the scale x/b of the input, roughly.

    This gives b. A power of degree b is of that kind: x·f′/f = b. So a square counts
    twice, a power by its exponent, and a product of two different values that both
    depend on the input as √(b₁² + b₂²), their bends being as likely to cancel as to add
    up; sums, linear maps and smooth functions of one value bend as it does. Nothing is
    evaluated: a scale hidden in a number, as in sin(1000 x), is not seen. The curvature
    scale is that of Press, Teukolsky, Vetterling and Flannery (2007), section 5.7.

    >>> from diffkit.graph import trace
    >>> bends(trace(lambda x: (x * (1 - x)) ** 2, 0.5), 0)
    2.8284271247461903
    """
    found: list[float] = [0.0] * len(graph.nodes)
    found[graph.inputs[leaf]] = 1.0
    for here, node in enumerate(graph.nodes):
        if any(found[i] for i in node.inputs):
            found[here] = _bend(graph, node, [found[i] for i in node.inputs])
    return max(found[graph.outputs[0]], 1.0)


def _bend(graph: Graph, node: Node, inputs: list[float]) -> float:
    name = node.op.name
    if name == "square" or (name == "multiply" and node.inputs[0] == node.inputs[1]):
        return 2.0 * inputs[0]
    if name in ("multiply", "divide", "matmul"):
        return hypot(*inputs)
    if name == "power":
        exponent: Any = graph.nodes[node.inputs[1]]
        if exponent.op is CONSTANT and exponent.shape == ():
            size = abs(float(exponent.attribute("value").array))
            return inputs[0] * max(size, 1.0)
    return max(inputs)
