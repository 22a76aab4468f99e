"""Running a derived formula: as generated source, or as a graph on the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from diffkit.backends.base import Direct, Form, Info, Program
from diffkit.backends.direct import direct_call
from diffkit.backends.runtime import Runner, make_runner
from diffkit.backends.symbolic.scalars import Leaf, Output, Scalars
from diffkit.graph import Graph

Evaluate = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class SourceCompiled:
    """A compiled formula for a value and its gradient. `source` is its Python text."""

    info: Info
    source: str
    dtype: np.dtype
    leaves: tuple[Leaf, ...]
    kinds: tuple[Any, ...]  # dtype of each leaf
    constants: tuple[np.ndarray, ...]
    batch: int | None
    wrt: tuple[int, ...]
    others: tuple[Output, ...]
    evaluate: Evaluate
    evaluate_value: Evaluate

    @staticmethod
    def of(
        info: Info,
        program: Program,
        scalars: Scalars,
        evaluate: Evaluate,
        evaluate_value: Evaluate,
        source: str,
    ) -> SourceCompiled:
        """Put together what one program needs at run time."""
        graph, dtype = program.graph, np.dtype(program.dtype)
        kinds = tuple(
            np.dtype(bool) if graph.nodes[i].kind == "boolean" else dtype
            for i in graph.inputs
        )
        constants = tuple(c.astype(dtype) for c in scalars.columns.values())
        return SourceCompiled(
            info=info,
            source=source,
            dtype=dtype,
            leaves=scalars.leaves,
            kinds=kinds,
            constants=constants,
            batch=scalars.batch,
            wrt=tuple(program.wrt),
            others=scalars.outputs[1:],
            evaluate=evaluate,
            evaluate_value=evaluate_value,
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[np.floating, list[np.ndarray], list[np.ndarray]]:
        """Value, gradients by position in `wrt`, and the other outputs, all fresh."""
        with np.errstate(all="ignore"):
            results = self.evaluate(self._scalars(leaves))
        place = 1
        gradients = []
        for position in self.wrt:
            shape = self.leaves[position].shape
            count = prod(shape)
            entries = np.array(results[place : place + count], self.dtype)
            gradients.append(entries.reshape(shape))
            place += count
        others = []
        for output in self.others:
            count = len(output.elements)
            others.append(self._array(output, results[place : place + count]))
            place += count
        return self.dtype.type(results[0]), gradients, others

    def value(self, leaves: Sequence[np.ndarray]) -> np.floating:
        """The value alone, by the same kind of code."""
        with np.errstate(all="ignore"):
            return self.dtype.type(self.evaluate_value(self._scalars(leaves))[0])

    def _scalars(self, leaves: Sequence[np.ndarray]) -> list[Any]:
        """Every leaf as scalars, or as columns: one contiguous vector an element."""
        scalars: list[Any] = []
        for leaf in self.leaves:
            array = np.asarray(leaves[leaf.position], self.kinds[leaf.position])
            if leaf.batched:
                columns = array.reshape(leaf.shape[0], len(leaf.names)).T
                scalars.extend(np.ascontiguousarray(columns))
            else:
                scalars.extend(array.ravel())
        scalars.extend(self.constants)
        return scalars

    def _array(self, output: Output, entries: list[Any]) -> np.ndarray:
        dtype = np.dtype(bool) if output.kind == "boolean" else self.dtype
        if output.axis is None:
            return np.array(entries, dtype).reshape(output.shape)
        axis = output.axis
        rest = output.shape[:axis] + output.shape[axis + 1 :]
        columns = np.empty((len(entries), output.shape[axis]), dtype)
        for column, entry in zip(columns, entries, strict=True):
            column[:] = entry
        columns = columns.reshape((*rest, output.shape[axis]))
        return np.ascontiguousarray(np.moveaxis(columns, -1, axis))


@dataclass(frozen=True)
class EngineCompiled:
    """A compiled formula on the engine: its rows as scalars and columns of a graph."""

    info: Info
    source: str
    wrt: tuple[int, ...]  # the inputs that are differentiated by
    graph: Graph  # the primal
    run: Runner
    dtype: np.dtype

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        """Value, gradients by position in `wrt`, and the other outputs, all fresh."""
        outputs = self.run(leaves)
        end = 1 + len(self.wrt)
        return outputs[0][()], outputs[1:end], outputs[end:]

    def direct(self, dtypes: Sequence[np.dtype], form: Form) -> Direct | None:
        """Calls that read and write the caller's arrays."""
        return direct_call(self.run, self.wrt, dtypes, form)

    @cached_property
    def _primal(self) -> Runner:
        return make_runner(self.graph, "engine", self.dtype)

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The value alone, as traced, on the engine."""
        return self._primal(leaves)[0][()]
