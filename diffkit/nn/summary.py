"""What a network costs, layer by layer, counted in its traced program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lazy_loader
import numpy as np

from diffkit.errors import UserInputError
from diffkit.graph import Graph, reverse, trace, trees
from diffkit.graph.size import VIEWS, operations_of
from diffkit.nn.layer import check_float, leading_axes

Shape = tuple[int, ...]
# (path, layer, output, its parameters): called once a layer has been applied.
Visit = Callable[[str, str, Any, int], None]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer: `shape` of its output, and what one forward pass in training costs.

    `operations` counts scalar operations, `flops` weights each by the cost in its row
    of the table of primitives (an addition 1, a tanh 22). `activation_bytes` is what
    the layer computes and the reverse pass reads again.
    """

    path: str
    layer: str
    shape: Shape
    parameters: int
    operations: int
    flops: int
    activation_bytes: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A network's layers in order, the input first; `str` is a table, rich draws one.

    `records()` is the plain form, a dict for each row.
    """

    batch: Shape
    dtype: str
    rows: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """Parameters of the whole network."""
        return sum(row.parameters for row in self.rows)

    @property
    def operations(self) -> int:
        """Scalar operations of one forward pass in training."""
        return sum(row.operations for row in self.rows)

    @property
    def flops(self) -> int:
        """Weighted operations of one forward pass in training."""
        return sum(row.flops for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """What the reverse pass reads again: the input, and all layers' values."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        """What the parameters weigh."""
        return self.parameters * np.dtype(self.dtype).itemsize

    def records(self) -> list[dict[str, Any]]:
        """A dict for each row, for JSON or a DataFrame."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        lines = [_HEADINGS, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = []
        for line in lines:
            cells = [
                cell.ljust(width) if i < _LEFT else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        return "\n".join([*text, self._caption()])

    def __rich__(self) -> Any:
        """A rich table: `rich.print(net.summary(batch=32))`."""
        return _when_needed("summary_table").rich_table(
            _HEADINGS, self._cells(), self._caption(), _LEFT
        )

    def _cells(self) -> list[tuple[str, ...]]:
        lines = [
            (
                row.path,
                row.layer,
                str(row.shape),
                f"{row.parameters:,}",
                f"{row.flops:,}",
                f"{row.activation_bytes:,}",
            )
            for row in self.rows
        ]
        total = f"{self.parameters:,}", f"{self.flops:,}", f"{self.activation_bytes:,}"
        return [*lines, ("total", "", "", *total)]

    def _caption(self) -> str:
        return (
            f"batch {'×'.join(map(str, self.batch))}, {self.dtype}; flops of one "
            "forward pass in training; activations are what the reverse pass reads"
        )


_HEADINGS = ("", "layer", "output", "parameters", "flops", "activation bytes")
_LEFT = 3

# rich is loaded when a table is drawn: building networks must not cost its import.
_when_needed, _, _ = lazy_loader.attach("diffkit.nn", submodules=["summary_table"])


def walk(
    layer: Any, params: Any, x: Any, state: Any, masks: Any, path: str, visit: Visit
) -> Any:
    """Apply a layer in training and report it; what is made of layers reports those."""
    if hasattr(layer, "walk"):
        return layer.walk(params, x, state, masks, path, visit)
    y, _ = layer.apply_training(params, x, state, masks)
    visit(path, str(layer), y, layer.parameter_count)
    return y


def summarise(net: Any, x_shape: Shape, dtype: Any) -> Summary:
    """Trace `net` on an input of this shape and count what each layer adds."""
    dtype = check_float(dtype)
    rng = np.random.default_rng(0)
    params, state = net.init(rng, dtype), net.init_state(dtype)
    masks = net.masks(rng, x_shape[:-1], dtype, features=x_shape[-1])
    seen: list[tuple[str, str, Shape, int, int]] = []

    def total(params: Any, x: Any, state: Any, masks: Any) -> Any:
        def visit(path: str, layer: str, y: Any, parameters: int) -> None:
            seen.append((path, layer, y.shape, parameters, len(y.builder.nodes)))

        # Any loss would do: only the layers before it are counted.
        return np.sum(walk(net, params, x, state, masks, "", visit))

    x = np.zeros(x_shape, dtype)
    graph = trace(total, params, x, state, masks)
    leaves = len(trees.leaves(params))
    kept = _kept(graph, tuple(range(leaves)) or (leaves,))
    place = graph.inputs[leaves]
    alive = graph.live()
    start, taken = len(graph.inputs), {place, *graph.inputs[:leaves]}
    rows = [
        LayerRow("", "input", x_shape, 0, 0, 0, _bytes(graph, kept, {place}, dtype))
    ]
    for path, layer, shape, parameters, end in seen:
        own = [i for i in range(start, end) if alive[i]]
        counts = [operations_of(graph.nodes, graph.nodes[i]) for i in own]
        weights = [graph.nodes[i].op.flops for i in own]
        flops = sum(n * w for n, w in zip(counts, weights, strict=True))
        # A mask is an input of the program; it is the layer's that reads it.
        held = {*own, *(i for n in own for i in graph.nodes[n].inputs)}
        held = {i for i in held - taken if i >= start or i in graph.inputs}
        taken |= held
        weight = _bytes(graph, kept, held, dtype)
        rows.append(
            LayerRow(path, layer, shape, parameters, sum(counts), flops, weight)
        )
        start = end
    return Summary(x_shape[:-1], dtype.name, tuple(rows))


def _kept(graph: Graph, wrt: tuple[int, ...]) -> set[int]:
    """Nodes whose values the reverse pass reads; a view stands for what it views."""
    gradient = reverse(graph, wrt)
    forward, alive = len(graph.nodes), gradient.live()
    read = {
        i
        for node, needed in zip(gradient.nodes[forward:], alive[forward:], strict=True)
        for i in node.inputs
        if needed and i < forward
    }
    kept = set()
    for i in read:
        while graph.nodes[i].inputs and graph.nodes[i].op.name in VIEWS:
            i = graph.nodes[i].inputs[0]
        if graph.nodes[i].op.name != "constant":
            kept.add(i)
    return kept


def _bytes(graph: Graph, kept: set[int], own: set[int], dtype: np.dtype) -> int:
    return sum(
        graph.nodes[i].elements
        * (1 if graph.nodes[i].kind == "boolean" else dtype.itemsize)
        for i in own & kept
    )


def features_taken(layer: Any) -> int | None:
    """How many features a layer takes, where it was made for a number of them."""
    for name in ("n_in", "n"):
        n = getattr(layer, name, None)
        if n is not None:
            return int(n)
    for part in getattr(layer, "layers", (getattr(layer, "inner", None),)):
        n = None if part is None else features_taken(part)
        if n is not None or part is None or part.features(None) is not None:
            return n
    return None


def input_shape(net: Any, batch: int | Sequence[int], features: int | None) -> Shape:
    """The shape of the input, its features asked of the network unless given.

    Raises UserInputError for a batch that is no positive integers, or features that
    nothing tells.
    """
    n = features_taken(net) if features is None else features
    if n is None:
        raise UserInputError(
            "The network does not say how many features it takes, as a Linear first "
            "would. Say features=n."
        )
    return (*leading_axes(batch), int(n))
