"""autograd (HIPS): NumPy with a tape, the ancestor of JAX's interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.library import load, require
from diffkit.backends.peers.measures import fresh, leaf_dtypes, reverse_mode_info
from diffkit.backends.peers.numpy_like import numpy_like_rows
from diffkit.backends.peers.reading import Apply, ArrayFunctions, read
from diffkit.backends.phases import Phases
from diffkit.graph import Node
from diffkit.ops.op import Shape


@dataclass(frozen=True, slots=True)
class Autograd:
    """`autograd.make_vjp` of the program read into `autograd.numpy`.

    A tape is written anew at every call (Maclaurin, Duvenaud and Adams, 2015). Its
    product divides by its factors, so a factor of 0 gives NaN.

    Raises MissingDependencyError without autograd.
    """

    name: ClassVar[str] = "autograd"
    runs_on: ClassVar[str] = "numpy"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def __post_init__(self) -> None:
        require("autograd", "autograd")

    def compile(self, program: Program) -> AutogradCompiled:
        """Read the program into autograd's functions; there is nothing to compile."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        return AutogradCompiled(program)


class AutogradCompiled:
    """A program in autograd's functions."""

    def __init__(self, program: Program) -> None:
        phases = Phases()
        with phases("load"):
            self._trace = load("autograd.tracer", "autograd")
            self._core = load("autograd.core", "autograd")
            functions = autograd_functions(np.dtype(program.dtype))
        self._program = program
        self._dtype = np.dtype(program.dtype)
        self._leaf_dtypes = leaf_dtypes(program)
        with phases("read"):
            self._run = read(program.graph, functions, self._dtype)
        self._flows = _derivative_flows(program)
        self._seconds = phases.seconds

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient graph; autograd itself counts nothing."""
        details = {"runtime": Autograd.runs_on}
        return reverse_mode_info(
            Autograd.name, self._program, self._seconds, 0, details
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        arrays = self._enter(leaves)
        kept: list[Any] = []

        def primal(wanted: Any) -> Any:
            everything = list(arrays)
            for place, position in enumerate(self._program.wrt):
                everything[position] = wanted[place]
            value, *auxiliary = self._run(everything)
            kept.extend(self._trace.getval(a) for a in auxiliary)
            return value

        wanted = tuple(arrays[position] for position in self._program.wrt)
        if not self._flows:
            value = primal(wanted)
            zeros = [np.zeros(w.shape, self._dtype) for w in wanted]
            return fresh(value, self._dtype)[()], zeros, self._leave(kept)
        with np.errstate(all="ignore"):
            pull, value = self._core.make_vjp(primal, wanted)
            gradients = pull(self._dtype.type(1.0))
        return (
            fresh(value, self._dtype)[()],
            [fresh(g, self._dtype) for g in gradients],
            self._leave(kept),
        )

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone, without a tape."""
        with np.errstate(all="ignore"):
            return fresh(self._run(self._enter(leaves))[0], self._dtype)[()]

    def _leave(self, auxiliary: list[Any]) -> list[np.ndarray]:
        return [fresh(a, self._dtype) for a in auxiliary]

    def _enter(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            np.asarray(leaf, dtype)
            for leaf, dtype in zip(leaves, self._leaf_dtypes, strict=True)
        ]


def _derivative_flows(program: Program) -> bool:
    """Whether a derivative reaches the value: autograd warns where none does."""
    graph = program.graph
    reached = [False] * len(graph.nodes)
    for position in program.wrt:
        reached[graph.inputs[position]] = True
    for here, node in enumerate(graph.nodes):
        if node.inputs and node.kind == "real" and node.op.name != "sign":
            chosen = node.inputs[1:] if node.op.name == "where" else node.inputs
            reached[here] = any(reached[i] for i in chosen)
    return reached[graph.outputs[0]]


def autograd_functions(dtype: np.dtype) -> ArrayFunctions:
    """Autograd's functions by row, for programs of one precision."""
    n = load("autograd.numpy", "autograd")
    load("autograd.builtins", "autograd")  # teaches it tuples
    special = load("autograd.scipy.special", "autograd")
    rows = numpy_like_rows(
        n,
        special.logsumexp,
        {
            "sigmoid": special.expit,
            "softplus": lambda x: n.logaddexp(x, dtype.type(0.0)),
            # NaN is not below 0 and passes; at 0 the slope is that of the constant.
            "relu": lambda x: n.where(x <= 0, dtype.type(0.0), x),
            "erf": special.erf,
        },
    )

    def spread(shape: Shape, wide: Shape) -> Apply:
        """Broadcasting; autograd's own cannot add axes."""
        if shape == wide:
            return lambda x: x
        padded = (1,) * (len(wide) - len(shape)) + tuple(shape)
        return lambda x: n.broadcast_to(n.reshape(x, padded), wide)

    def where(node: Node, shapes: Sequence[Shape]) -> Apply:
        """A choice; autograd's own does not undo broadcasting."""
        first, second = (spread(shape, node.shape) for shape in shapes[1:])
        return lambda c, a, b: n.where(c, first(a), second(b))

    rows["broadcast"] = lambda node, shapes: spread(shapes[0], node.shape)
    rows["where"] = where
    return ArrayFunctions(
        peer=Autograd.name,
        rows=rows,
        constant=lambda array: array,
        as_real=lambda x: np.asarray(x).astype(dtype),
        as_boolean=lambda x: x != 0,
    )
