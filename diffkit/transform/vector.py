"""Derivatives of vector functions, and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from math import prod
from typing import Any, Literal

import numpy as np

from diffkit.backends import Backend, get_backend
from diffkit.errors import ShapeError, UserInputError, unknown_name
from diffkit.graph import Traced, trees
from diffkit.graph.trace import as_array, require_finite
from diffkit.prepared import NonFinite
from diffkit.transform.inline import jvp_inline, vjp_inline
from diffkit.transform.maps import (
    LinearMap,
    TracedMap,
    require,
    trace_map,
    unit,
)

Mode = Literal["auto", "forward", "reverse"]
MODES = ("auto", "forward", "reverse")


def jvp(
    f: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    backend: str | Backend = "autodiff",
    nonfinite: NonFinite = "raise",
) -> tuple[Any, Any]:
    """The value of f and its derivative in one direction, J·v.

    `primals` and `tangents` are tuples with one entry per argument of f, nested alike;
    results are nested as f's result is. One run of the tangent program on a forward
    mode backend (Wengert, 1964).

    Raises ShapeError for tangents that are not shaped as the primals, DtypeError for
    arguments that are not floating point, BackendError for a backend without jvp.

    >>> import numpy as np
    >>> value, tangent = jvp(np.sin, (0.0,), (2.0,))
    >>> float(value), float(tangent)
    (0.0, 2.0)
    """
    primals = _as_arguments(primals, "primals")
    if _inside_a_trace((primals, tangents)):
        return jvp_inline(f, primals, tangents, get_backend(backend))
    pushforward = _linearized(f, primals, backend, nonfinite)
    return pushforward(*_as_arguments(tangents, "tangents"))


def linearize(
    f: Callable[..., Any],
    *primals: Any,
    backend: str | Backend = "autodiff",
    nonfinite: NonFinite = "raise",
) -> tuple[Any, Callable[..., Any]]:
    """The value of f and the function v ↦ J·v at this point, compiled once.

    >>> import numpy as np
    >>> _, push = linearize(lambda w: w**2, np.array([1.0, 3.0]))
    >>> push(np.array([1.0, 0.0])).tolist(), push(np.array([0.0, 1.0])).tolist()
    ([2.0, 0.0], [0.0, 6.0])
    """
    if _inside_a_trace(primals):
        raise UserInputError(
            "linearize was called on traced values; inside another traced function use "
            "dk.jvp with the tangents."
        )
    pushforward = _linearized(f, primals, backend, nonfinite)
    still = tuple(_zeros_like(p) for p in primals)
    value, _ = pushforward(*still)
    return value, lambda *tangents: pushforward(*tangents)[1]


def _zeros_like(tree: Any) -> Any:
    leaves, structure = trees.flatten(tree)
    return trees.unflatten(structure, [np.zeros_like(np.asarray(x)) for x in leaves])


def _linearized(
    f: Callable[..., Any],
    primals: tuple[Any, ...],
    backend: str | Backend,
    nonfinite: NonFinite,
) -> Callable[..., tuple[Any, Any]]:
    chosen = get_backend(backend)
    require(chosen, "jvp")
    traced = trace_map(f, primals, tuple(range(len(primals))), nonfinite)
    linear = LinearMap(traced, chosen)
    leaves = _leaves(traced, primals)

    def pushforward(*tangents: Any) -> tuple[Any, Any]:
        directions = _matching(traced, traced.inputs, tangents, "tangent")
        y, tangent = linear.push(leaves, directions)
        return traced.unpack(y), traced.unpack(tangent)

    return pushforward


def vjp(
    f: Callable[..., Any],
    *primals: Any,
    backend: str | Backend = "autodiff",
    nonfinite: NonFinite = "raise",
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of f and its pullback w ↦ wᵀJ.

    The pullback takes a cotangent nested and shaped as f's result, and gives a tuple
    with one entry per argument. One gradient of ⟨w, f(x)⟩ on the backend.

    >>> import numpy as np
    >>> value, pullback = vjp(lambda w: w**2, np.array([1.0, 3.0]))
    >>> pullback(np.array([1.0, 10.0]))[0].tolist()
    [2.0, 60.0]
    """
    chosen = get_backend(backend)
    if _inside_a_trace(primals):
        return vjp_inline(f, primals, chosen)
    require(chosen, "vjp")
    traced = trace_map(f, primals, tuple(range(len(primals))), nonfinite)
    linear = LinearMap(traced, chosen)
    leaves = _leaves(traced, primals)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        parts = _matching(traced, traced.result, cotangent, "cotangent")
        _, gradients = linear.pull(leaves, _flat(parts, traced.dtype))
        return trees.unflatten(traced.inputs, gradients)

    y, _ = linear.pull(leaves, np.zeros(traced.m, traced.dtype))
    return traced.unpack(y), pullback


def jacobian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    backend: str | Backend = "autodiff",
    mode: Mode = "auto",
    nonfinite: NonFinite = "raise",
) -> Callable[..., Any]:
    """The function that gives all derivatives of f's outputs, J = ∂f/∂args[argnums].

    Nested as f's result, and inside as `args[argnums]`; each block has the output's
    shape followed by the argument's. `mode="forward"` takes a pushforward for each of n
    inputs, or moves each of them once where the backend takes array outputs; "reverse"
    takes a pullback for each of m outputs, "auto" what needs fewer evaluations on this
    backend (Griewank and Walther, 2008, section 3.1).

    >>> import numpy as np
    >>> jacobian(lambda w: w**2)(np.array([1.0, 3.0])).tolist()
    [[2.0, 0.0], [0.0, 6.0]]
    """
    if mode not in MODES:
        raise unknown_name("mode of jacobian", mode, MODES)
    return _matrix_function(f, argnums, backend, mode, nonfinite, "jacobian")


def hessian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    backend: str | Backend = "autodiff",
    nonfinite: NonFinite = "raise",
) -> Callable[..., Any]:
    """The function that gives all second derivatives of a scalar function.

    The Jacobian of the reverse-mode gradient: nested as `args[argnums]` twice, each
    block with the first argument's shape followed by the second's. A forward mode
    backend takes n forward-over-reverse runs, differences one gradient of that
    gradient, any other backend n of its own. An approximate backend differentiates the
    exact gradient, not its own.

    Raises ShapeError when f is not a scalar.

    >>> import numpy as np
    >>> hessian(lambda w: w[0] ** 2 * w[1])(np.array([1.0, 3.0])).tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """
    return _matrix_function(f, argnums, backend, "auto", nonfinite, "hessian")


def hvp(
    f: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    backend: str | Backend = "autodiff",
    nonfinite: NonFinite = "raise",
) -> tuple[Any, ...]:
    """The Hessian of a scalar f times a direction, without the Hessian.

    Forward over reverse (Pearlmutter, 1994): the tangent program of the gradient, once,
    whatever the number of parameters. Differences take the derivative of the
    reverse-mode gradient along v; any other backend without forward mode its gradient
    of ⟨∇f(x), v⟩, which is H·v as H is symmetric. Gives a tuple with one entry
    per argument.

    >>> import numpy as np
    >>> (product,) = hvp(lambda w: np.sum(w**3), (np.array([1.0, 2.0]),), (np.ones(2),))
    >>> product.tolist()
    [6.0, 12.0]
    """
    chosen = get_backend(backend)
    primals = _as_arguments(primals, "primals")
    tangents = _as_arguments(tangents, "tangents")
    if _inside_a_trace((primals, tangents)):
        raise UserInputError(
            "hvp was called on traced values; inside another traced function write "
            "dk.jvp(dk.grad(f), primals, tangents)."
        )
    require(chosen, "hvp")
    traced = trace_map(f, primals, tuple(range(len(primals))), nonfinite)
    slopes = _scalar(traced).gradient()
    leaves = _leaves(traced, primals)
    directions = _matching(traced, traced.inputs, tangents, "tangent")
    linear = LinearMap(slopes, chosen)
    if linear.native or linear.by_arrays:
        return slopes.unpack(linear.push(leaves, directions)[1])
    _, products = linear.pull(leaves, _flat(directions, traced.dtype))
    return trees.unflatten(traced.inputs, products)


def _matrix_function(
    f: Callable[..., Any],
    argnums: int | Sequence[int],
    backend: str | Backend,
    mode: str,
    nonfinite: NonFinite,
    derivative: str,
) -> Callable[..., Any]:
    chosen = get_backend(backend)
    require(chosen, derivative)
    known: dict[Any, LinearMap] = {}

    @wraps(f)
    def matrix(*args: Any) -> Any:
        leaves, tree = trees.flatten(args)
        if _inside_a_trace(args):
            raise UserInputError(
                f"{derivative} was called on traced values; inside another traced "
                "function use dk.grad, dk.jvp or dk.vjp."
            )
        arrays = [np.asarray(leaf) for leaf in leaves]
        signature = (tree, tuple((a.shape, a.dtype) for a in arrays))
        linear = known.get(signature)
        if linear is None:
            traced = trace_map(f, args, argnums, nonfinite)
            if derivative == "hessian":
                traced = _scalar(traced).gradient()
            linear = known[signature] = LinearMap(traced, chosen)
        points = _leaves(linear.traced, args)
        if nonfinite == "raise":
            for point, spec in zip(points, linear.traced.specs, strict=True):
                require_finite(point, spec.name)
        return _blocks(linear, points, mode)

    return matrix


def _blocks(linear: LinearMap, leaves: list[np.ndarray], mode: str) -> Any:
    """The Jacobian, cut into one block for each output and input."""
    traced = linear.traced
    n, m, dtype = traced.n, traced.m, traced.dtype
    shapes = [traced.specs[p].shape for p in traced.wrt]
    edges = np.cumsum([0, *(prod(s) for s in shapes)])
    dense = np.zeros((m, n), dtype)
    if mode == "auto":
        mode = linear.cheaper()
    if mode == "forward" and linear.by_arrays:
        dense = linear.whole(leaves)
    elif mode == "forward":
        for k in range(n):
            direction = unit(n, k, dtype)
            parts = [
                direction[a:b].reshape(shape)
                for (a, b), shape in zip(pairwise(edges), shapes, strict=True)
            ]
            dense[:, k] = linear.push(leaves, parts)[1]
    else:
        for k in range(m):
            _, parts = linear.pull(leaves, unit(m, k, dtype))
            dense[k] = _flat(parts, dtype)
    rows, start = [], 0
    for out in traced.shapes:
        band = dense[start : start + prod(out)]
        start += prod(out)
        blocks = [
            np.ascontiguousarray(band[:, a:b]).reshape(out + shape)
            for (a, b), shape in zip(pairwise(edges), shapes, strict=True)
        ]
        rows.append(trees.unflatten(traced.inputs, blocks))
    return trees.unflatten(traced.result, rows)


def _scalar(traced: TracedMap) -> TracedMap:
    if traced.shapes != ((),):
        shown = ", ".join(map(str, traced.shapes))
        raise ShapeError(
            f"Second derivatives need a scalar function, and this one returned arrays "
            f"of shape {shown}. Reduce it with np.sum or np.mean, or nest dk.jacobian."
        )
    return traced


def _leaves(traced: TracedMap, args: tuple[Any, ...]) -> list[np.ndarray]:
    leaves = trees.leaves(args)
    named = zip(leaves, traced.specs, strict=True)
    return [as_array(leaf, spec.name) for leaf, spec in named]


def _matching(
    traced: TracedMap, structure: Any, given: Any, what: str
) -> list[np.ndarray]:
    """Leaves of a direction in the program's precision, checked against a structure."""
    leaves, tree = trees.flatten(given)
    if tree != structure:
        raise ShapeError(
            f"The {what} is nested as {tree}; it has to be nested as {structure}."
        )
    if what == "tangent":
        expected = [(traced.specs[p].name, traced.specs[p].shape) for p in traced.wrt]
    else:
        expected = [(f"output {i}", shape) for i, shape in enumerate(traced.shapes)]
    arrays = []
    for leaf, (name, shape) in zip(leaves, expected, strict=True):
        array = as_array(leaf, f"{what} of {name}")
        if array.shape != shape:
            raise ShapeError(
                f"The {what} of {name} has shape {array.shape}; it has to have the "
                f"shape {shape} of what it belongs to."
            )
        arrays.append(array.astype(traced.dtype))
    return arrays


def _flat(parts: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
    if not parts:
        return np.zeros(0, dtype)
    return np.concatenate([np.asarray(p, dtype).reshape(-1) for p in parts])


def _as_arguments(args: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(args, tuple | list):
        raise UserInputError(
            f"{what} is a {type(args).__name__}; it has to be a tuple with one entry "
            "per argument of the function, such as (w,)."
        )
    return tuple(args)


def _inside_a_trace(args: Any) -> bool:
    return any(isinstance(leaf, Traced) for leaf in trees.leaves(args))
