"""From a plain NumPy function to a graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import DtypeError, NonFiniteError, TraceError
from diffkit.graph import trees
from diffkit.graph.graph import Builder, Graph
from diffkit.graph.traced import Traced, into_numpy_array, lift
from diffkit.ops.op import Kind


@dataclass(frozen=True, slots=True)
class Structure:
    """How arguments were nested: the tree, and the name of every leaf.

    `roots` are the function's parameter names, `names` those of the leaves, such as
    `params['w'][0]`.
    """

    tree: Any  # optree's PyTreeSpec
    roots: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tracing:
    """A traced function: its graph, the structure it takes and the one it returns."""

    graph: Graph
    arguments: Structure
    result: Any  # optree's PyTreeSpec of what the function returned


def flatten_arguments(
    f: Callable[..., Any], args: Sequence[Any]
) -> tuple[list[Any], Structure]:
    """The leaves of the arguments and their structure, named by f's own parameters.

    >>> leaves, structure = flatten_arguments(lambda w, x: 0, ({"a": 1.0}, [2.0]))
    >>> leaves, structure.names
    ([1.0, 2.0], ("w['a']", 'x[0]'))
    """
    names = _parameter_names(f, len(args))
    leaves: list[Any] = []
    labels: list[str] = []
    for name, arg in zip(names, args, strict=True):
        leaves += trees.leaves(arg)
        labels += [accessor.codify(name) for accessor in trees.accessors(arg)]
    return leaves, Structure(trees.structure(tuple(args)), tuple(names), tuple(labels))


def _parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    try:
        declared = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        declared = []
    names = [
        p.name
        for p in declared
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    variadic = next((p.name for p in declared if p.kind is p.VAR_POSITIONAL), "args")
    extra = [f"{variadic}[{i}]" for i in range(max(count - len(names), 0))]
    return (names + extra)[:count]


def as_array(leaf: Any, name: str) -> np.ndarray:
    """A leaf as an array of numbers or booleans, without a copy where it is one.

    Raises DtypeError, naming the argument, for objects (ragged lists), text, complex
    numbers and tables.
    """
    if isinstance(leaf, np.ndarray):
        array = leaf
    else:
        if hasattr(leaf, "to_numpy"):
            raise DtypeError(
                f"Argument {name} is a {type(leaf).__name__}. Pass its numbers: "
                f"{name}.to_numpy(dtype=float)."
            )
        try:
            array = np.asarray(leaf)
        except ValueError as problem:
            raise DtypeError(
                f"Argument {name} is ragged: its rows differ in length ({problem}). "
                "Pass a rectangular array, or a list of arrays."
            ) from problem
    if array.dtype.kind not in "fiub":
        why = {
            "O": "it is ragged, or holds objects that are not numbers",
            "c": "derivatives here are of real programs",
            "U": "it holds text",
            "S": "it holds text",
        }.get(array.dtype.kind, "it is not numeric")
        raise DtypeError(
            f"Argument {name} has dtype {array.dtype}: {why}. Pass an array of real "
            "numbers, for example np.asarray(x, dtype=float)."
        )
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        raise DtypeError(
            f"Argument {name} has dtype {array.dtype}; programs run in float64 or "
            "float32. Convert it with .astype(np.float64)."
        )
    return array


def require_finite(array: np.ndarray, name: str) -> None:
    """Raise NonFiniteError with the first index that holds NaN or infinity."""
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(_once(array))
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        count = int((~finite).sum()) * (array.size // finite.size)
        place = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise NonFiniteError(
            f"{place} is {array[where]} ({count} of {array.size} entries of {name} are "
            "not finite). Derivatives there are not numbers: clean or mask the data "
            "first, for example with np.nan_to_num or by dropping rows."
        )


def _once(array: np.ndarray) -> np.ndarray:
    """The array without repeats along axes of stride 0, however long those are."""
    if 0 not in array.strides:
        return array
    return array[tuple(slice(None) if step else slice(1) for step in array.strides)]


def trace_arguments(f: Callable[..., Any], args: Sequence[Any]) -> Tracing:
    """Run `f` once on traced arguments shaped like `args` and write down what it does.

    Arguments may be nested dicts, lists and tuples of arrays. Booleans stay booleans,
    integers enter as reals.

    Raises TraceError and its kinds for what cannot be traced.
    """
    leaves, structure = flatten_arguments(f, args)
    builder = Builder()
    traced = []
    for leaf, name in zip(leaves, structure.names, strict=True):
        array = as_array(leaf, name)
        kind: Kind = "boolean" if array.dtype == bool else "real"
        traced.append(Traced(builder, builder.input(array.shape, kind, name)))
    result = _call(f, trees.unflatten(structure.tree, traced))
    values, tree = trees.flatten(result)
    if not values:
        raise TraceError(
            f"{getattr(f, '__name__', 'the function')} returned nothing to trace "
            f"({result!r}). Return an array, or a nested dict, list or tuple of them."
        )
    outputs = [lift(builder, value).index for value in values]
    return Tracing(builder.graph(outputs), structure, tree)


def _call(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Run the function; NumPy hides the reason why `a[i] = traced` failed."""
    try:
        return f(*args)
    except ValueError as problem:
        if isinstance(problem.__cause__, TraceError):
            raise into_numpy_array() from problem
        raise


def trace(f: Callable[..., Any], *args: Any) -> Graph:
    """The graph of a plain NumPy function at the shapes of the given arguments.

    >>> trace(lambda w, x: np.sum(np.tanh(x @ w)), np.ones((2, 3)), np.ones((4, 2)))
    Graph(5 nodes, inputs [(2, 3), (4, 2)], outputs [()])
    """
    return trace_arguments(f, args).graph
