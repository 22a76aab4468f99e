"""Forward-mode automatic differentiation: one pass for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import Runner, RuntimeName, make_runner
from diffkit.graph import Graph, forward, simplify


@dataclass(frozen=True, slots=True)
class Forward:
    """Tangents carried along with values: the gradient takes P passes.

    Each pass evaluates the value and its derivative in the direction of one parameter,
    exactly up to rounding (Wengert, 1964). What reverse mode is compared with.
    """

    dtype: str | None = None
    runtime: RuntimeName = "engine"

    name: ClassVar[str] = "forward"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="P")

    def compile(self, program: Program) -> ForwardCompiled:
        """Derive the tangent graph, simplify it, and lower it."""
        dtype = np.dtype(self.dtype or program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        phases = Phases()
        with phases("derive"):
            tangent = forward(program.graph, program.wrt)
        with phases("simplify"):
            tangent = simplify(tangent)
        with phases("lower"):
            run = make_runner(tangent, self.runtime, dtype)
        return ForwardCompiled(program, tangent, run, self, dtype, phases.seconds)


class ForwardCompiled:
    """A tangent graph, run once for each parameter."""

    def __init__(
        self,
        program: Program,
        tangent: Graph,
        run: Runner,
        backend: Forward,
        dtype: np.dtype,
        seconds: dict[str, float],
    ) -> None:
        self._program = program
        self._tangent = tangent
        self._run = run
        self._backend = backend
        self._dtype = dtype
        self._seconds = seconds
        graph = program.graph
        self._shapes = [graph.nodes[graph.inputs[p]].shape for p in program.wrt]
        self._still = [np.zeros(shape, dtype) for shape in self._shapes]

    @cached_property
    def info(self) -> Info:
        """Counts: the tangent program's operations, P times."""
        size = self._tangent.size()
        count = self._program.parameters
        return Info(
            backend="forward",
            seconds=self._seconds,
            operations=size.operations * max(count, 1),
            bytes=self._run.arena_bytes,
            evaluations=count,
            details={
                "runtime": self._backend.runtime,
                "operations_per_pass": size.operations,
                "primal_operations": self._program.graph.size().operations,
            },
        )

    @cached_property
    def _primal(self) -> Runner:
        graph = simplify(self._program.graph)
        return make_runner(graph, self._backend.runtime, self._dtype)

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        primal = self._primal(leaves)
        arguments = [*leaves, *self._still]
        gradients = []
        for which, shape in enumerate(self._shapes):
            count = int(np.prod(shape))
            slopes = self._run.perturbed(
                arguments,
                len(leaves) + which,
                np.arange(count),
                np.ones(count),
                outputs=1,
            )
            gradients.append(slopes.astype(self._dtype, copy=False).reshape(shape))
        return primal[0][()], gradients, primal[1:]

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        return self._primal(leaves)[0][()]
