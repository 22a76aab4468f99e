"""What runs the arithmetic: the engine or NumPy, by one interface.

Kept apart from how a derivative is obtained, so that a comparison of methods is never
a comparison of NumPy with Numba.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from diffkit.engine import compile_graph
from diffkit.errors import UserInputError, unknown_name
from diffkit.graph import Graph
from diffkit.interpret.numpy import evaluate

RuntimeName = Literal["engine", "numpy"]


class Runner(Protocol):
    """A graph ready to run."""

    @property
    def arena_bytes(self) -> int:
        """Memory planned for one run; 0 where there is no plan."""
        ...

    @property
    def workspace_bytes(self) -> int:
        """The part of it that holds intermediates alone."""
        ...

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by phase of getting ready."""
        ...

    def __call__(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, as fresh arrays."""
        ...

    def perturbed(
        self,
        leaves: Sequence[np.ndarray],
        leaf: int,
        positions: np.ndarray,
        values: np.ndarray,
        outputs: int = 0,
    ) -> np.ndarray:
        """One output for each replacement of one element of one input.

        Run e sets element positions[e] of input `leaf` to values[e], and only that.
        Returns float64 (E, *shape of the output).
        """
        ...


class NumpyRunner:
    """A graph run by the NumPy reading: slow, plain, no plan."""

    arena_bytes = 0
    workspace_bytes = 0
    seconds: Mapping[str, float] = {}

    def __init__(self, graph: Graph, dtype: np.dtype) -> None:
        self._graph = graph
        self._dtype = dtype

    def __call__(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        return evaluate(self._graph, leaves, self._dtype)

    def perturbed(
        self,
        leaves: Sequence[np.ndarray],
        leaf: int,
        positions: np.ndarray,
        values: np.ndarray,
        outputs: int = 0,
    ) -> np.ndarray:
        arrays: list[Any] = list(leaves)
        changed = np.array(leaves[leaf], dtype=self._dtype)
        arrays[leaf] = changed
        shape = self._graph.nodes[self._graph.outputs[outputs]].shape
        results = np.empty((len(positions), *shape), dtype=np.float64)
        for e, (position, value) in enumerate(zip(positions, values, strict=True)):
            kept = changed.flat[position]
            changed.flat[position] = value
            results[e] = self(arrays)[outputs]
            changed.flat[position] = kept
        return results


_RUNTIMES: dict[str, Callable[[Graph, np.dtype, int], Runner]] = {
    "engine": lambda graph, dtype, threads: compile_graph(graph, dtype.name, threads),
    "numpy": lambda graph, dtype, threads: NumpyRunner(graph, dtype),
}


def make_runner(
    graph: Graph, runtime: RuntimeName, dtype: np.dtype, threads: int = 1
) -> Runner:
    """Get a graph ready to run by the named runtime.

    Raises UnknownNameError for a runtime that does not exist.
    """
    if runtime not in _RUNTIMES:
        raise unknown_name("runtime", runtime, _RUNTIMES)
    return _RUNTIMES[runtime](graph, np.dtype(dtype), threads)


def require_threads(threads: Any, runtime: RuntimeName) -> None:
    """Raise UserInputError for a number of threads that a runtime cannot have."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UserInputError(
            f"threads={threads!r} is no number of threads: give a whole number from 1, "
            "at best the number of cores."
        )
    if threads > 1 and runtime != "engine":
        raise UserInputError(
            f"threads={threads} needs the engine: the runtime {runtime!r} has one. "
            "Leave out threads=, or say runtime='engine'."
        )
