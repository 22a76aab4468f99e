"""A naive twin of `Graph.size`: count every scalar's formula, element by element."""

from __future__ import annotations

import numpy as np

from diffkit.graph import Graph
from diffkit.ops import numpy_key


def tree_operations(graph: Graph) -> int:
    """Operations of all outputs written out, by plain loops over full arrays."""
    counts: list[np.ndarray] = []
    for node in graph.nodes:
        inputs = [counts[i] for i in node.inputs]
        counts.append(_count(node, inputs))
    return sum(int(sum(counts[o].flat)) for o in graph.outputs)


def _count(node, inputs) -> np.ndarray:
    out = np.zeros(node.shape, dtype=object)
    words = node.keywords
    name = node.op.name
    if name in ("input", "constant"):
        return out
    if node.op.family == "elementwise":
        spread = [np.broadcast_to(x, node.shape) for x in inputs]
        for place in np.ndindex(node.shape):
            out[place] = 1 + sum(x[place] for x in spread)
        return out
    if name == "matmul":
        a = np.broadcast_to(inputs[0], (*node.shape[:-2], *inputs[0].shape[-2:]))
        b = np.broadcast_to(inputs[1], (*node.shape[:-2], *inputs[1].shape[-2:]))
        for place in np.ndindex(node.shape):
            row = a[(*place[:-1], slice(None))]
            column = b[(*place[:-2], slice(None), place[-1])]
            terms = [p + q + 1 for p, q in zip(row, column, strict=True)]
            out[place] = sum(terms) + max(len(terms) - 1, 0)
        return out
    if name == "cumsum":
        moved_in = np.moveaxis(inputs[0], words["axis"], -1)
        moved_out = np.moveaxis(out, words["axis"], -1)
        for place in np.ndindex(moved_out.shape):
            head = moved_in[place[:-1]][: place[-1] + 1]
            moved_out[place] = sum(head) + len(head) - 1
        return out
    if name == "scatter":
        hits = np.zeros(node.shape, dtype=object)
        for x, key in zip(inputs, words["keys"], strict=True):
            where = np.arange(out.size).reshape(out.shape)[numpy_key(key)]
            for flat, count in zip(np.ravel(where), np.ravel(x), strict=True):
                out.flat[flat] += count
                hits.flat[flat] += 1
        for place in np.ndindex(out.shape):
            out[place] += max(hits[place] - 1, 0)
        return out
    if node.op.family == "shape" or name == "broadcast":
        return np.asarray(node.op.numpy(*inputs, **words), dtype=object)
    # reductions
    axes = words["axes"]
    kept = np.zeros(
        [1 if i in axes else n for i, n in enumerate(inputs[0].shape)], object
    )
    number = np.zeros(kept.shape, object)
    for place in np.ndindex(inputs[0].shape):
        target = tuple(0 if i in axes else p for i, p in enumerate(place))
        kept[target] += inputs[0][place]
        number[target] += 1
    for place in np.ndindex(kept.shape):
        n = number[place]
        own = {"mean": n, "logsumexp": 2 * n}.get(name, max(n - 1, 0))
        kept[place] += own
    return kept.reshape(node.shape)
