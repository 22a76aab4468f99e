"""Reverse-mode automatic differentiation: the gradient is a program of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import Runner, RuntimeName, make_runner
from diffkit.graph import Graph, reverse, simplify


@dataclass(frozen=True, slots=True)
class Autodiff:
    """Reverse accumulation on the engine: one pass forward, one back, any P.

    The gradient graph costs a small multiple of the primal's operations, whatever the
    number of parameters (Baur and Strassen, 1983; Griewank and Walther, 2008).
    `dtype` overrides the precision of the arguments; `runtime` is what runs the
    arithmetic.
    """

    dtype: str | None = None
    runtime: RuntimeName = "engine"

    name: ClassVar[str] = "autodiff"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def compile(self, program: Program) -> AutodiffCompiled:
        """Derive the gradient graph, simplify it, and lower it."""
        dtype = np.dtype(self.dtype or program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        phases = Phases()
        with phases("derive"):
            gradient = reverse(program.graph, program.wrt)
        with phases("simplify"):
            gradient = simplify(gradient)
        with phases("lower"):
            run = make_runner(gradient, self.runtime, dtype)
        return AutodiffCompiled(program, gradient, run, self, dtype, phases.seconds)


class AutodiffCompiled:
    """A gradient graph on its runtime."""

    def __init__(
        self,
        program: Program,
        gradient: Graph,
        run: Runner,
        backend: Autodiff,
        dtype: np.dtype,
        seconds: dict[str, float],
    ) -> None:
        self.gradient = gradient
        self._program = program
        self._run = run
        self._backend = backend
        self._dtype = dtype
        self._seconds = seconds
        self._end = 1 + len(program.wrt)

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient program and of its primal."""
        size = self.gradient.size()
        primal = self._program.graph.size()
        return Info(
            backend="autodiff",
            seconds=self._seconds,
            operations=size.operations,
            bytes=self._run.arena_bytes,
            evaluations=1,
            details={
                "runtime": self._backend.runtime,
                "primal_operations": primal.operations,
                "tree_operations": size.tree_operations,
                "shared_operations": size.shared_operations,
                "nodes": size.nodes,
                "flops": size.flops,
            },
        )

    @cached_property
    def _primal(self) -> Runner:
        graph = simplify(self._program.graph)
        return make_runner(graph, self._backend.runtime, self._dtype)

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        outputs = self._run(leaves)
        return outputs[0][()], outputs[1 : self._end], outputs[self._end :]

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        return self._primal(leaves)[0][()]
