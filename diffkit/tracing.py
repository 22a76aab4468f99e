"""A user's function as a program: what to differentiate, and how it was nested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np

from diffkit.backends import Program
from diffkit.errors import DtypeError, ShapeError, UserInputError
from diffkit.graph import trees
from diffkit.graph.arguments import Arguments, LeafSpec
from diffkit.graph.packing import common_dtype
from diffkit.graph.trace import (
    Structure,
    Tracing,
    as_array,
    require_finite,
    trace_arguments,
)

NonFinite = Literal["raise", "allow"]


@dataclass(frozen=True, slots=True)
class TracedProgram:
    """A user's function as a program, with the structures around it.

    `argnums` are the differentiated arguments, one or several; `gradient_tree` nests
    the gradients as they are nested.
    """

    program: Program
    specs: tuple[LeafSpec, ...]
    arguments: Structure
    argnums: int | tuple[int, ...]
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

    `argnums` are their arguments, counted from the first; `tree` nests the leaves as
    those are nested.
    """

    argnums: int | tuple[int, ...]
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
    one = isinstance(argnums, int)
    tree = trees.structure(wanted[0] if one else wanted)
    dtype = np.dtype(np.float32 if single else np.float64)
    chosen = positions[0] if one else positions
    return tracing, TracedInputs(chosen, wrt, specs, dtype, tree)


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
        program,
        inputs.specs,
        tracing.arguments,
        inputs.argnums,
        inputs.tree,
        aux_tree,
        seconds,
    )


def flat_arguments(traced: TracedProgram) -> Arguments:
    """Those of a call with all that is differentiated in one vector: theta, *data."""
    _, data = _divided(traced)
    specs = [traced.specs[p] for p in traced.program.wrt]
    size = traced.program.parameters
    theta = LeafSpec("theta", (size,), common_dtype([spec.dtype for spec in specs]))
    held = set(traced.program.wrt)
    rest = [spec for p, spec in enumerate(traced.specs) if p not in held]
    children = traced.arguments.tree.children()
    tree = trees.tuple_of([trees.structure(0), *(children[n] for n in data)])
    roots = ["theta", *(traced.arguments.roots[n] for n in data)]
    return Arguments(tree, roots, [theta, *rest])


def parameter_arguments(traced: TracedProgram) -> Arguments:
    """The differentiated arguments alone."""
    parameters, _ = _divided(traced)
    children = traced.arguments.tree.children()
    return Arguments(
        trees.tuple_of([children[n] for n in parameters]),
        [traced.arguments.roots[n] for n in parameters],
        [traced.specs[p] for p in traced.program.wrt],
    )


def result_arguments(traced: TracedProgram, dtype: np.dtype) -> Arguments:
    """Arrays for the gradients, nested as these are: one argument, `grads`."""
    tree = traced.gradient_tree
    specs = [
        LeafSpec(path.codify("grads"), traced.specs[p].shape, dtype)
        for p, path in zip(traced.program.wrt, tree.accessors(), strict=True)
    ]
    return Arguments(trees.tuple_of([tree]), ["grads"], specs)


def _divided(traced: TracedProgram) -> tuple[list[int], list[int]]:
    """The positions of the arguments that are differentiated, and of the others."""
    chosen = traced.argnums
    parameters = [chosen] if isinstance(chosen, int) else list(chosen)
    count = len(traced.arguments.roots)
    return parameters, [n for n in range(count) if n not in parameters]
