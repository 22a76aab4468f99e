"""Reverse mode, graph to graph: symbolic differentiation that keeps the sharing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from diffkit.errors import ShapeError
from diffkit.graph.checkpoint import Checkpoint, run_again, segments
from diffkit.graph.graph import Builder, Graph
from diffkit.graph.node import Node
from diffkit.graph.traced import Traced, lift
from diffkit.ops import TABLE
from diffkit.ops.reduce import kept_shape, sum_to
from diffkit.ops.shape import Key

SCATTER, BROADCAST, RESHAPE = TABLE["scatter"], TABLE["broadcast"], TABLE["reshape"]


@dataclass(slots=True)
class _Cotangent:
    """What has come back to a node so far.

    Cotangents that are scatters (they came through indexing) are kept as pieces and
    placed together by one scatter, so that a loop over the elements of an array costs
    its length, and not its length squared.
    """

    total: Any = None
    keys: list[Key] = field(default_factory=list)
    pieces: list[Traced] = field(default_factory=list)

    def add(self, value: Traced) -> None:
        if value.node.op is SCATTER:
            self.keys += value.node.attribute("keys")
            self.pieces += [Traced(value.builder, i) for i in value.node.inputs]
        else:
            self.total = value if self.total is None else self.total + value

    def value(self, shape: tuple[int, ...]) -> Any:
        if not self.pieces:
            return self.total
        placed: Any = SCATTER(*self.pieces, keys=tuple(self.keys), shape=shape)
        return placed if self.total is None else self.total + placed


def reverse(
    graph: Graph,
    wrt: Sequence[int] = (0,),
    output: int = 0,
    checkpoint: Checkpoint = None,
) -> Graph:
    """The graph of a scalar output and its gradient, by reverse accumulation.

    For y = outputs[output] and each position p in `wrt`, the cotangent of input p is
    ∂y/∂xₚ. Every node is pulled back once, whatever the number of inputs: the cost is
    a small multiple of the primal's. Griewank and Walther (2008), chapter 3.

    The result's outputs are (y, *gradients, *the other outputs); an input that y does
    not depend on gets zeros. It is a graph like any other: apply `reverse` or `forward`
    again for second order.

    `checkpoint` keeps every k-th value only (or every √n-th) and computes those between
    a second time, just before they are pulled back: the same numbers from less memory.

    Raises ShapeError when the output is not a scalar, UserInputError for a checkpoint
    interval that does not fit the program.
    """
    root = graph.outputs[output]
    if graph.nodes[root].shape != ():
        raise ShapeError(
            f"A gradient needs a scalar output, and this one has shape "
            f"{graph.nodes[root].shape}. Reduce it with np.sum or np.mean, or ask for "
            "the Jacobian."
        )
    builder = Builder(graph)
    reached = graph.depends_on(wrt)
    wanted = {graph.inputs[p] for p in wrt}
    cotangents: dict[int, _Cotangent] = {root: _Cotangent(lift(builder, 1.0))}
    gradients: dict[int, Traced] = {}
    ahead = segments(graph, wrt, root, checkpoint)
    again: dict[int, int] = {}
    for here in range(root, -1, -1):
        if ahead and here <= ahead[-1].stop:
            again = run_again(builder, graph, ahead.pop(), reached)
        if here not in cotangents or not reached[here]:
            continue
        node = graph.nodes[here]
        cotangent = cotangents.pop(here).value(node.shape)
        if cotangent is None:
            continue
        if here in wanted:
            gradients[here] = cotangent
        elif node.op.differentiable:
            _pull_back(builder, node, here, cotangent, reached, cotangents, again)
    outputs = [root]
    for p in wrt:
        place = graph.inputs[p]
        shape = graph.nodes[place].shape
        gradient = gradients.get(place)
        if gradient is None:
            gradient = BROADCAST(lift(builder, 0.0), shape=shape)
        outputs.append(gradient.index)
    others = [o for i, o in enumerate(graph.outputs) if i != output]
    return builder.graph([*outputs, *others])


def _pull_back(
    builder: Builder,
    node: Node,
    here: int,
    g: Traced,
    reached: list[bool],
    cotangents: dict[int, _Cotangent],
    again: dict[int, int],
) -> None:
    """Send the cotangent of one node to those of its inputs that matter.

    The rule reads the values of `again` where there are any: those that were computed
    a second time.
    """
    op, words = node.op, node.keywords
    y = Traced(builder, again.get(here, here))
    x = [Traced(builder, again.get(i, i)) for i in node.inputs]
    for position, source in enumerate(node.inputs):
        if not reached[source]:
            continue
        slot = cotangents.setdefault(source, _Cotangent())
        if op.family == "elementwise":
            rule = op.partials[position]
            if rule is None:
                continue
            value = rule(g, y, *x)
        elif op.weights is not None:
            spread = RESHAPE(g, shape=kept_shape(x[0].shape, words["axes"]))
            value = spread * op.weights(y, *x, **words)
        elif op.arity is None:
            value = op.transposes[0](g, y, *x, position=position, **words)
        else:
            value = op.transposes[position](g, y, *x, **words)
        # Broadcasting is undone here, once, and in no rule.
        slot.add(sum_to(lift(builder, value), x[position].shape))
