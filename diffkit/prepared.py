"""A function traced, differentiated and compiled once, ready to be called often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import Any, Literal

import numpy as np

from diffkit.backends import Backend, Compiled, Info, Program
from diffkit.errors import (
    DtypeError,
    PreparationMismatchError,
    ShapeError,
    UserInputError,
)
from diffkit.graph import trees
from diffkit.graph.trace import (
    Structure,
    Tracing,
    as_array,
    require_finite,
    trace_arguments,
)

NonFinite = Literal["raise", "allow"]


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """What one array argument was prepared as."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class TracedProgram:
    """A user's function as a program, with the structures around it.

    `gradient_tree` nests the gradients as the differentiated arguments are nested.
    """

    program: Program
    specs: tuple[LeafSpec, ...]
    arguments: Structure
    gradient_tree: Any
    aux_tree: Any | None
    seconds: float


def normalise_argnums(argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Positions of the differentiated arguments, negative ones counted from the end.

    Raises UserInputError when one is out of range or named twice.
    """
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in wanted:
        if isinstance(n, bool) or not isinstance(n, int) or not -count <= n < count:
            raise UserInputError(
                f"argnums={argnums!r} does not fit a call with {count} arguments; use "
                f"integers from 0 to {count - 1}."
            )
    positions = tuple(n % count for n in wanted)
    if len(set(positions)) < len(positions) or not positions:
        raise UserInputError(f"argnums={argnums!r} must name each argument once.")
    return positions


@dataclass(frozen=True, slots=True)
class TracedInputs:
    """The arguments of a traced function: which leaves to differentiate, and in what.

    `tree` nests the differentiated leaves as their arguments are nested.
    """

    wrt: tuple[int, ...]
    specs: tuple[LeafSpec, ...]
    dtype: np.dtype
    tree: Any


def trace_inputs(
    f: Callable[..., Any],
    args: Sequence[Any],
    argnums: int | Sequence[int],
    nonfinite: NonFinite = "raise",
) -> tuple[Tracing, TracedInputs]:
    """Trace a function of any outputs, and check what it is differentiated by.

    Raises DtypeError for differentiated arguments that are not floating point,
    NonFiniteError for NaN and infinity in the examples.
    """
    if nonfinite not in ("raise", "allow"):
        raise UserInputError(f"nonfinite is 'raise' or 'allow', not {nonfinite!r}.")
    positions = normalise_argnums(argnums, len(args))
    tracing = trace_arguments(f, args)
    names = tracing.arguments.names
    leaves = trees.leaves(tuple(args))
    arrays = [as_array(leaf, name) for leaf, name in zip(leaves, names, strict=True)]
    counts = [len(trees.leaves(arg)) for arg in args]
    starts = np.concatenate([[0], np.cumsum(counts)])
    wrt = tuple(
        int(leaf) for n in positions for leaf in range(starts[n], starts[n + 1])
    )
    for p in wrt:
        if arrays[p].dtype.kind != "f":
            raise DtypeError(
                f"Argument {names[p]} is to be differentiated and has dtype "
                f"{arrays[p].dtype}; derivatives need floating point. Convert it with "
                f"np.asarray({names[p]}, dtype=float), or leave it out of argnums."
            )
    if nonfinite == "raise":
        for array, name in zip(arrays, names, strict=True):
            require_finite(array, name)
    floats = [a.dtype for a in arrays if a.dtype.kind == "f"]
    single = bool(floats) and all(d == np.float32 for d in floats)
    specs = tuple(
        LeafSpec(name, a.shape, a.dtype) for name, a in zip(names, arrays, strict=True)
    )
    wanted = tuple(args[n] for n in positions)
    tree = trees.structure(wanted[0] if isinstance(argnums, int) else wanted)
    dtype = np.dtype(np.float32 if single else np.float64)
    return tracing, TracedInputs(wrt, specs, dtype, tree)


def trace_program(
    f: Callable[..., Any],
    args: Sequence[Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    nonfinite: NonFinite = "raise",
) -> TracedProgram:
    """Trace a scalar function for differentiation by some of its arguments.

    Raises DtypeError for differentiated arguments that are not floating point,
    NonFiniteError for NaN and infinity in the examples, ShapeError for a result that is
    not a scalar.
    """
    start = perf_counter()
    tracing, inputs = trace_inputs(f, args, argnums, nonfinite)
    graph = tracing.graph
    value = graph.nodes[graph.outputs[0]]
    outputs = tracing.result.num_leaves
    aux_tree = None
    if has_aux:
        if tracing.result.type is not tuple or tracing.result.num_children != 2:
            raise ShapeError(
                "has_aux=True needs a function that returns (value, auxiliary)."
            )
        if tracing.result.child(0).num_leaves != 1:
            raise ShapeError("the value beside the auxiliary output must be one scalar")
        aux_tree = tracing.result.child(1)
    elif outputs != 1:
        raise ShapeError(
            f"The function returned {outputs} arrays; a gradient needs one scalar. "
            "Return (value, auxiliary) and say has_aux=True to keep the others, or "
            "differentiate all of them with dk.jacobian or dk.vjp."
        )
    if value.shape != ():
        raise ShapeError(
            f"The function returned an array of shape {value.shape}; a gradient needs "
            "a scalar. Reduce it with np.mean or np.sum, or differentiate every entry "
            "with dk.jacobian or dk.vjp."
        )
    program = Program(graph, inputs.wrt, tracing.arguments.names, inputs.dtype)
    seconds = perf_counter() - start
    return TracedProgram(
        program, inputs.specs, tracing.arguments, inputs.tree, aux_tree, seconds
    )


class Prepared:
    """The value and gradient of a function, compiled for one set of shapes.

    Calling it with arguments of other shapes, dtypes or nesting raises
    PreparationMismatchError, listing each difference. Inputs are not modified; results
    are fresh arrays in the program's precision, nested as the differentiated argument
    (a tuple of them where `argnums` was a tuple).
    """

    def __init__(
        self,
        traced: TracedProgram,
        backend: Backend,
        compiled: Compiled,
        nonfinite: NonFinite,
    ) -> None:
        self.backend = backend
        self.compiled = compiled
        self.program = traced.program
        self._traced = traced
        self._specs = traced.specs
        self._expected = [(spec.shape, spec.dtype) for spec in traced.specs]
        self._tree = traced.arguments.tree
        self._collect = trees.collector(self._tree)
        self._gradient_tree = traced.gradient_tree
        self._aux_tree = traced.aux_tree
        self._check = nonfinite == "raise"

    def __repr__(self) -> str:
        return f"Prepared({self.backend!r}, P={self.program.parameters})"

    @property
    def info(self) -> Info:
        """What preparing cost by phase, and what one call costs."""
        info = self.compiled.info
        seconds = {"trace": self._traced.seconds, **info.seconds}
        return Info(
            info.backend,
            seconds,
            info.operations,
            info.bytes,
            info.evaluations,
            info.details,
        )

    def __call__(self, *args: Any) -> tuple[Any, Any]:
        leaves = self.leaves(args)
        value, gradients, aux = self.compiled(leaves)
        if self._check and not isfinite(value):
            self._blame_inputs(leaves)
        gradient = trees.unflatten(self._gradient_tree, gradients)
        if self._aux_tree is None:
            return value, gradient
        return (value, trees.unflatten(self._aux_tree, aux)), gradient

    def value(self, *args: Any) -> Any:
        """The primal alone, by the same runtime."""
        leaves = self.leaves(args)
        value = self.compiled.value(leaves)
        if self._check and not isfinite(value):
            self._blame_inputs(leaves)
        return value

    def leaves(self, args: tuple[Any, ...]) -> list[Any]:
        """The arguments' arrays in order, checked against what was prepared."""
        leaves: list[Any] = []
        try:
            self._collect(args, leaves)
        except trees.StructureMismatch:
            return self._slowly_checked(args)
        for leaf, (shape, dtype) in zip(leaves, self._expected, strict=True):
            # Built-in dtypes are single objects, so `is` settles the common case.
            if (
                type(leaf) is not np.ndarray
                or leaf.dtype is not dtype
                or leaf.shape != shape
            ):
                return self._slowly_checked(args)
        return leaves

    def _slowly_checked(self, args: tuple[Any, ...]) -> list[Any]:
        """The same for other containers, scalars and array-likes, and for errors."""
        leaves, tree = trees.flatten(args)
        if tree != self._tree:
            raise self._mismatch(args)
        arrays = []
        for leaf, spec in zip(leaves, self._specs, strict=True):
            array = as_array(leaf, spec.name)
            if array.shape != spec.shape or array.dtype != spec.dtype:
                raise self._mismatch(args)
            arrays.append(array)
        return arrays

    def _blame_inputs(self, leaves: Sequence[np.ndarray]) -> None:
        """The value is not finite: say so if an input is the reason."""
        for leaf, spec in zip(leaves, self._specs, strict=True):
            require_finite(leaf, spec.name)

    def _mismatch(self, args: tuple[Any, ...]) -> PreparationMismatchError:
        prepared = {spec.name: str(spec) for spec in self._specs}
        given: dict[str, str] = {}
        by_position = self._names_of(args)
        for name, leaf in zip(by_position, trees.leaves(args), strict=True):
            array = as_array(leaf, name)
            given[name] = str(LeafSpec(name, array.shape, array.dtype))
        lines = []
        for name in [*prepared, *(n for n in given if n not in prepared)]:
            was, now = prepared.get(name, "absent"), given.get(name, "absent")
            if was != now:
                lines.append(f"  {name}: prepared as {was}, given {now}")
        if not lines:
            lines = [
                f"  structure: prepared as {self._tree}, given {trees.structure(args)}"
            ]
        return PreparationMismatchError(
            "The arguments differ from what was prepared:\n"
            + "\n".join(lines)
            + "\nPrepare again for these arguments, or use dk.value_and_grad, which "
            "prepares once for every set of shapes."
        )

    def _names_of(self, args: tuple[Any, ...]) -> list[str]:
        names: list[str] = []
        roots = self._traced.arguments.roots
        for place, arg in enumerate(args):
            root = roots[place] if place < len(roots) else f"argument {place}"
            names += [a.codify(root) for a in trees.accessors(arg)]
        return names


def compile_traced(
    traced: TracedProgram, backend: Backend, nonfinite: NonFinite = "raise"
) -> Prepared:
    """Hand a traced program to a backend."""
    return Prepared(traced, backend, backend.compile(traced.program), nonfinite)
