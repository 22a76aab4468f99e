"""A lowered program and the native loop that runs it: what backends call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from diffkit.engine import loop
from diffkit.engine.available import require_memory
from diffkit.engine.cache import direct, native
from diffkit.engine.program import Program, Slot, lower
from diffkit.engine.transfer import Part, Settings, Transfer, can_transfer
from diffkit.engine.workspace import Workspace, Workspaces
from diffkit.errors import DtypeError, ShapeError
from diffkit.graph import Graph


class Machine:
    """A graph made ready to run natively, any number of times, from any thread.

    Calls copy the leaves into an arena, run every instruction, and copy all outputs
    out at once. Inputs are never modified; concurrent calls each have an arena.
    """

    def __init__(
        self, graph: Graph, program: Program, seconds: dict[str, float]
    ) -> None:
        self.graph = graph
        self.program = program
        self.seconds = seconds
        self._workspaces = Workspaces(program)
        self._borrow, self._free = self._workspaces.borrow, self._workspaces.free
        self._shapes = [slot.shape for slot in program.inputs]
        self._booleans = [p for p, s in enumerate(program.outputs) if s.boolean]
        self._out_shapes = [slot.shape for slot in program.outputs]
        self._out_dtypes = [
            np.dtype(np.bool_) if slot.boolean else program.dtype
            for slot in program.outputs
        ]
        self._names = graph.input_names
        # One native call for each set of dtypes that leaves had, and the latest used.
        self._transfers: dict[tuple[np.dtype, ...], Transfer | None] = {}
        self._latest: Transfer | None = None

    @property
    def dtype(self) -> np.dtype:
        """float64 or float32: of the arena and of every real output."""
        return self.program.dtype

    @property
    def arena_bytes(self) -> int:
        """Bytes of one arena, known before anything runs."""
        return self.program.plan.elements * self.program.dtype.itemsize

    @property
    def workspace_bytes(self) -> int:
        """The part of the arena for intermediates: not inputs, constants, outputs."""
        plan = self.program.plan
        elements = plan.output_start - plan.workspace_start
        return elements * self.program.dtype.itemsize

    def __call__(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """The outputs at the given inputs: fresh arrays, in the graph's order.

        `leaves` are arrays (or scalars) of the traced shapes, of any real or boolean
        dtype and layout.

        Raises ShapeError when a leaf has another shape than was traced.
        """
        outputs = list(map(np.empty, self._out_shapes, self._out_dtypes))
        arrays = [*leaves, *outputs]
        latest = self._latest
        if latest is not None and latest(arrays):
            return outputs
        fitting = self._fitting(leaves)
        if fitting is not None and fitting is not latest:
            self._latest = fitting
            if fitting(arrays):
                return outputs
        workspace = self._borrow()
        try:
            self._fill(workspace, leaves)
            workspace.run()
            outputs = [view.copy() for view in workspace.outputs]
        finally:
            self._free.append(workspace)
        for position in self._booleans:
            outputs[position] = outputs[position] != 0
        return outputs

    def transfer(
        self,
        read: Sequence[Part],
        written: Sequence[Part],
        *,
        apart: bool = False,
        finite: bool = False,
    ) -> Transfer | None:
        """Native calls on lists of these arrays; None where only Python can make them.

        With `apart`, arrays that are written are refused where they share memory with
        any other of the list. With `finite`, nothing is written where the first output
        is not finite.
        """
        if not can_transfer(self.program, read, written):
            return None
        settings = Settings(apart=apart, finite=finite)
        return Transfer(self.program, read, written, settings, self._workspaces)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], None]:
        """The native run alone, of inputs laid in an arena now.

        What a call takes more than this is what its checks and copies cost.
        """
        workspace = Workspace(self.program)
        self._fill(workspace, leaves)
        if len(workspace.addresses) > 1:
            return workspace.run
        run = direct(self.program.dtype.name)

        def call(kept: Workspace = workspace) -> None:
            run(kept.address)

        return call

    def perturbed(
        self,
        leaves: Sequence[Any],
        leaf: int,
        positions: Any,
        values: Any,
        outputs: int = 0,
    ) -> np.ndarray:
        """One output for many replacements of one element of one input.

        Run e has the element `positions[e]` (flat, row-major) of input `leaf` replaced
        by `values[e]`; every run is a whole run of the program. Used by finite
        differences and, with one-hot tangents, by forward mode. Returns
        float64 (E, *shape of the output).

        Raises ShapeError for a position outside the leaf, or positions and values that
        differ in number.
        """
        places = np.ascontiguousarray(positions, dtype=np.int64).ravel()
        numbers = np.ascontiguousarray(values, dtype=np.float64).ravel()
        slot = self.program.inputs[leaf]
        self._check_perturbation(slot, leaf, places, numbers)
        out = self.program.outputs[outputs]
        results = np.empty((places.size, *out.shape), np.float64)
        workspace = self._borrow()
        try:
            self._fill(workspace, leaves)
            control = workspace.controlled(self.program, self.program.table)
            control[loop.REPEATS] = places.size
            control[loop.LEAF] = slot.start
            control[loop.POSITIONS] = places.ctypes.data
            control[loop.VALUES] = numbers.ctypes.data
            control[loop.OUTPUT] = out.start
            control[loop.OUTPUT_SIZE] = out.elements
            control[loop.RESULTS] = results.ctypes.data
            direct(self.program.dtype.name)(int(control.ctypes.data))
        finally:
            self._free.append(workspace)
        return results

    def _fitting(self, leaves: Sequence[Any]) -> Transfer | None:
        """The native call for leaves of these dtypes, made when they are first seen."""
        if len(leaves) != len(self._shapes) or {*map(type, leaves)} - {np.ndarray}:
            return None
        dtypes = tuple(leaf.dtype for leaf in leaves)
        if dtypes not in self._transfers:
            read = [Part(dtype, (p,)) for p, dtype in enumerate(dtypes)]
            written = [Part(dtype, (p,)) for p, dtype in enumerate(self._out_dtypes)]
            self._transfers[dtypes] = self.transfer(read, written)
        return self._transfers[dtypes]

    def _fill(self, workspace: Workspace, leaves: Sequence[Any]) -> None:
        try:
            matching = [leaf.shape for leaf in leaves] == self._shapes
        except AttributeError:  # Python numbers have a shape only after `np.shape`.
            matching = [np.shape(leaf) for leaf in leaves] == self._shapes
        if not matching:
            raise self._wrong_shape(leaves)
        workspace.own_inputs()
        for view, leaf in zip(workspace.leaves, leaves):  # noqa: B905 (checked above)
            view[...] = leaf

    def _wrong_shape(self, leaves: Sequence[Any]) -> ShapeError:
        if len(leaves) != len(self._shapes):
            return ShapeError(
                f"The program takes {len(self._shapes)} inputs and was given "
                f"{len(leaves)}. Pass one for each argument it was traced with."
            )
        position = next(
            p for p, shape in enumerate(self._shapes) if np.shape(leaves[p]) != shape
        )
        return ShapeError(
            f"{self._names[position]} was prepared with shape {self._shapes[position]} "
            f"and was given shape {np.shape(leaves[position])}. Prepare the function "
            "again for new shapes."
        )

    def _check_perturbation(
        self,
        slot: Slot,
        leaf: int,
        places: np.ndarray,
        numbers: np.ndarray,
    ) -> None:
        if places.size != numbers.size:
            raise ShapeError(
                f"perturbed was given {places.size} positions and {numbers.size} "
                "values; give one value for each position."
            )
        if places.size and not (places.min() >= 0 and places.max() < slot.elements):
            raise ShapeError(
                f"A position lies outside {self._names[leaf]}, which has "
                f"{slot.elements} elements; positions are flat and start at 0."
            )


def compile_graph(graph: Graph, dtype: Any = "float64", threads: int = 1) -> Machine:
    """Make a graph ready to run natively, in float64 or float32, by some threads.

    Nothing is compiled for the graph: it becomes a table that one native function,
    compiled once for this computer, interprets. `seconds` of the result has the phases
    `lower`, `plan` and `load` (compiling, when this is its first use).

    Raises DtypeError for another dtype, ArenaTooLargeError where the memory that was
    planned is more than there is.
    """
    chosen = np.dtype(dtype)
    if chosen not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise DtypeError(
            f"The engine computes in float64 or float32, and was asked for {chosen}. "
            "Choose one of those; the NumPy interpreter runs complex128."
        )
    began = perf_counter()
    native(chosen)
    loaded = perf_counter()
    program = lower(graph, chosen, threads)
    machine = Machine(graph, program, {**program.seconds, "load": loaded - began})
    require_memory(machine.arena_bytes)
    return machine


def planned_bytes(graph: Graph, dtype: np.dtype) -> int:
    """Bytes of the arena that a graph would have; nothing is allocated."""
    return lower(graph, dtype).plan.elements * dtype.itemsize
