"""A program obtained from another, on its runtime: what autodiff's two modes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from diffkit.backends.base import Program
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import Runner, RuntimeName, make_runner
from diffkit.graph import Graph, simplify


@dataclass(frozen=True)
class Derived:
    """A derivative's graph beside the primal's, both ready to run.

    `seconds` has the phases derive, simplify and lower; the primal alone is lowered
    when it is first asked for.
    """

    program: Program
    graph: Graph
    run: Runner
    runtime: RuntimeName
    dtype: np.dtype
    seconds: dict[str, float]
    threads: int = 1

    @staticmethod
    def by(
        transform: Callable[[Graph, tuple[int, ...]], Graph],
        program: Program,
        runtime: RuntimeName,
        dtype: np.dtype,
        threads: int = 1,
    ) -> Derived:
        """Apply a graph transform to a program, simplify the result and lower it."""
        phases = Phases()
        with phases("derive"):
            graph = transform(program.graph, program.wrt)
        with phases("simplify"):
            graph = simplify(graph)
        with phases("lower"):
            run = make_runner(graph, runtime, dtype, threads)
        return Derived(program, graph, run, runtime, dtype, phases.seconds, threads)

    @cached_property
    def primal(self) -> Runner:
        """The program itself, by the same runtime."""
        graph = simplify(self.program.graph)
        return make_runner(graph, self.runtime, self.dtype, self.threads)

    def value(self, leaves: Any) -> Any:
        """The primal's value alone."""
        return self.primal(leaves)[0][()]
