"""What finite differences of other libraries share: the program as f of one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from diffkit.backends.base import Info, Program
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import Runner, RuntimeName, make_runner
from diffkit.graph import simplify


class VectorProgram:
    """A program with all that is differentiated in one vector; counts evaluations."""

    def __init__(self, program: Program, runtime: RuntimeName) -> None:
        phases = Phases()
        self.program, self.runtime = program, runtime
        self.dtype = np.dtype(program.dtype)
        with phases("simplify"):
            graph = simplify(program.graph)
        with phases("lower"):
            self.run: Runner = make_runner(graph, runtime, self.dtype)
        self.seconds = phases.seconds
        nodes, inputs = graph.nodes, graph.inputs
        self._shapes = [nodes[inputs[p]].shape for p in program.wrt]
        self.evaluations_run = 0

    def point(self, leaves: Sequence[np.ndarray]) -> np.ndarray:
        """The arguments to differentiate by, end to end."""
        parts = [
            np.asarray(leaves[p], self.dtype).reshape(-1) for p in self.program.wrt
        ]
        return np.concatenate([np.zeros(0, self.dtype), *parts])

    def outputs(
        self, leaves: Sequence[np.ndarray], at: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Value and auxiliary outputs, at another vector if one is given."""
        self.evaluations_run += 1
        arrays = list(leaves)
        if at is not None:
            vector = np.asarray(at, self.dtype)
            for position, part in zip(
                self.program.wrt, self.split(vector), strict=True
            ):
                arrays[position] = part
        return self.run(arrays)

    def split(self, vector: np.ndarray) -> list[np.ndarray]:
        """A vector taken apart into fresh arrays of the arguments' shapes."""
        parts, start = [], 0
        for shape in self._shapes:
            size = prod(shape)
            part = np.array(vector[start : start + size], self.dtype)
            parts.append(part.reshape(shape))
            start += size
        return parts

    def info(self, name: str, evaluations: int, details: Mapping[str, Any]) -> Info:
        """Costs: the primal's operations, as often as it is run, and once more."""
        primal = self.program.graph.size().operations
        return Info(
            backend=name,
            seconds=self.seconds,
            operations=primal * (evaluations + 1),
            bytes=self.run.arena_bytes,
            evaluations=evaluations,
            details={
                "runtime": self.runtime,
                "operations_counted_by": "diffkit",
                "primal_operations": primal,
                **details,
            },
        )
