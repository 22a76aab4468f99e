"""Forward-mode automatic differentiation: one pass for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.derived import Derived
from diffkit.backends.runtime import RuntimeName
from diffkit.graph import forward


@dataclass(frozen=True, slots=True)
class Forward:
    """Tangents carried along with values: the gradient takes P passes.

    Each pass evaluates the value and its derivative in the direction of one parameter,
    exactly up to rounding (Wengert, 1964). What reverse mode is compared with.
    """

    dtype: str | None = None
    runtime: RuntimeName = "engine"

    name: ClassVar[str] = "forward"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=True, evaluations="P", forward_mode=True
    )

    def compile(self, program: Program) -> ForwardCompiled:
        """Derive the tangent graph, simplify it, and lower it."""
        dtype = np.dtype(self.dtype or program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        return ForwardCompiled(Derived.by(forward, program, self.runtime, dtype))


class ForwardCompiled:
    """A tangent graph, run once for each parameter."""

    def __init__(self, derived: Derived) -> None:
        self.derived = derived
        self.value = derived.value
        nodes, inputs = derived.program.graph.nodes, derived.program.graph.inputs
        self._shapes = [nodes[inputs[p]].shape for p in derived.program.wrt]
        self._still = [np.zeros(shape, derived.dtype) for shape in self._shapes]

    @cached_property
    def info(self) -> Info:
        """Counts: the tangent program's operations, P times."""
        size = self.derived.graph.size()
        primal = self.derived.program.graph.size()
        count = self.derived.program.parameters
        return Info(
            backend=Forward.name,
            seconds=self.derived.seconds,
            operations=size.operations * max(count, 1),
            bytes=self.derived.run.arena_bytes,
            evaluations=count,
            details={
                "runtime": self.derived.runtime,
                "operations_per_pass": size.operations,
                "primal_operations": primal.operations,
            },
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        primal = self.derived.primal(leaves)
        arguments = [*leaves, *self._still]
        gradients = []
        for which, shape in enumerate(self._shapes):
            count = prod(shape)
            slopes = self.derived.run.perturbed(
                arguments,
                len(leaves) + which,
                np.arange(count),
                np.ones(count),
                outputs=1,
            )
            typed = slopes.astype(self.derived.dtype, copy=False)
            gradients.append(typed.reshape(shape))
        return primal[0][()], gradients, primal[1:]
