"""Small programs that the conformance checks run, and how results are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.backends import Backend
from diffkit.checks import TOLERANCES, compare, exact_reference
from diffkit.errors import ConformanceError
from diffkit.graph import trees
from diffkit.prepared import Prepared, trace_program
from diffkit.transform import prepare


@dataclass(frozen=True, slots=True)
class Case:
    """A scalar function with two points, differentiated by its first argument."""

    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    elsewhere: tuple[Any, ...]


def layer(w: Any, x: Any) -> Any:
    """Mean square of a tanh layer: products, broadcasting, a reduction."""
    return np.mean(np.tanh(x @ w) ** 2)


def mixture(p: Any, x: Any) -> Any:
    """Nested parameters, indexing, and a value used twice."""
    h = np.sin(x @ p["w"] + p["more"][0])
    return np.sum(h * h[::-1]) + np.exp(p["more"][1]) * np.sum(h)


def elementwise(w: Any) -> Any:
    """Every entry on its own: a wrong sign shows in one place."""
    return np.sum(np.sin(w) * w + np.sqrt(w) - np.log(w))


W = np.array([[0.3, -0.7], [1.1, 0.2], [-0.4, 0.9]])
X = np.arange(12.0).reshape(4, 3) / 6 - 0.8
POSITIVE = np.linspace(0.4, 2.0, 7)
NESTED = {"w": W[:, 0].copy(), "more": (np.array(0.25), np.array(-0.5))}
NESTED_ELSEWHERE = {"w": W[:, 1].copy(), "more": (np.array(-1.0), np.array(0.3))}

LAYER = Case("layer", layer, (W, X), (W[::-1] * 0.5 + 0.1, X * 0.7))
MIXTURE = Case("mixture", mixture, (NESTED, X), (NESTED_ELSEWHERE, X + 0.2))
ELEMENTWISE = Case("elementwise", elementwise, (POSITIVE,), (POSITIVE[::-1] + 0.3,))
CASES = (LAYER, MIXTURE, ELEMENTWISE)


def prepared(case: Case, backend: Backend, **options: Any) -> Prepared:
    """A case on a backend, at its first point."""
    return prepare(case.f, *case.args, backend=backend, **options)


def broken(backend: Backend, what: str) -> ConformanceError:
    """The error for a broken promise."""
    return ConformanceError(
        f"The backend {backend.name!r} breaks a promise of the interface: {what}"
    )


def require_right(
    backend: Backend, case: Case, args: tuple[Any, ...], answer: tuple[Any, Any]
) -> None:
    """Raise ConformanceError unless value and gradient agree with the exact ones."""
    value, gradient = answer
    traced = trace_program(case.f, args, 0, has_aux=False)
    leaves = [np.asarray(leaf) for leaf in trees.leaves(args)]
    reference = exact_reference(traced, leaves)
    dtype = traced.program.dtype
    tolerance = TOLERANCES[backend.capabilities.exact, dtype.name]
    given = [np.asarray(g) for g in trees.leaves(gradient)]
    expected = [g.shape for g in reference.gradients]
    if [g.shape for g in given] != expected:
        raise broken(
            backend,
            f"on {case.name} the gradients have shapes {[g.shape for g in given]}, and "
            f"the parameters {expected}.",
        )
    if trees.structure(gradient) != trees.structure(args[0]):
        raise broken(backend, f"on {case.name} the gradient is nested otherwise.")
    for name, array in zip(traced.program.names, given, strict=False):
        if array.dtype != dtype:
            raise broken(
                backend,
                f"on {case.name} the gradient by {name} is {array.dtype}, and the "
                f"program runs in {dtype}.",
            )
    names = [traced.program.names[p] for p in traced.program.wrt]
    report = compare(
        backend.name, "exact", float(value), given, reference, names, tolerance
    )
    if not report.passed:
        raise broken(backend, f"on {case.name}, {report}")
    allowed = TOLERANCES[True, dtype.name]
    if not report.value_error <= allowed:
        raise broken(
            backend,
            f"on {case.name} the value is {float(value)!r}, and should be "
            f"{reference.value!r} to within {allowed:.0e}.",
        )


def same(one: Any, other: Any) -> bool:
    """Whether two answers have the same bits, NaN included."""
    first, second = trees.leaves(one), trees.leaves(other)
    return len(first) == len(second) and all(
        np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
        for a, b in zip(first, second, strict=True)
    )


def close(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two answers agree to a tolerance relative to their largest entry."""
    first, second = trees.leaves(one), trees.leaves(other)
    if len(first) != len(second):
        return False
    largest = max((float(np.max(np.abs(b), initial=0.0)) for b in second), default=0.0)
    slack = tolerance * max(largest, 1e-300)
    return all(
        np.allclose(a, b, rtol=0.0, atol=slack, equal_nan=True)
        for a, b in zip(first, second, strict=True)
    )


def copies(tree: Any) -> Any:
    """The same arrays in memory of their own."""
    leaves, structure = trees.flatten(tree)
    return trees.unflatten(structure, [np.array(leaf) for leaf in leaves])


def frozen(tree: Any) -> Any:
    """Copies that cannot be written to, nor be made so: views of frozen arrays."""
    leaves, structure = trees.flatten(tree)
    arrays: Sequence[np.ndarray] = [np.array(leaf) for leaf in leaves]
    for array in arrays:
        array.flags.writeable = False
    return trees.unflatten(structure, [array.view() for array in arrays])
