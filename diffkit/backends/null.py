"""A backend that answers zero: what is left when it runs is the harness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program


@dataclass(frozen=True, slots=True)
class Null:
    """Value 0 and gradients of zeros, computed from nothing.

    Its time is the overhead of the interface, to be taken off other backends' times or
    shown beside them.
    """

    name: ClassVar[str] = "null"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=False, evaluations="0", derivatives=("gradient",)
    )

    def compile(self, program: Program) -> NullCompiled:
        """Remember the shapes."""
        return NullCompiled(program)


class NullCompiled:
    """Zeros of the right shapes."""

    def __init__(self, program: Program) -> None:
        graph = program.graph
        self._dtype = program.dtype
        self._shapes = [graph.nodes[graph.inputs[p]].shape for p in program.wrt]
        self._aux = [graph.nodes[o].shape for o in graph.outputs[1:]]
        self.info = Info("null", {}, operations=0, bytes=0, evaluations=0)

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        gradients = [np.zeros(shape, self._dtype) for shape in self._shapes]
        return self.value(leaves), gradients, [np.zeros(s) for s in self._aux]

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """Zero."""
        return self._dtype.type(0.0)
