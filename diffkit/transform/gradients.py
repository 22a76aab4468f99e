"""The gradient of a scalar function: prepared once, or as a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from diffkit.backends import Backend, get_backend
from diffkit.graph import Traced, reverse, trees
from diffkit.graph.traced import common_builder, lift
from diffkit.prepared import (
    NonFinite,
    Prepared,
    compile_traced,
    trace_program,
)
from diffkit.transform.inline import require_exact, stand_in
from diffkit.transform.maps import splice


def prepare(
    f: Callable[..., Any],
    *example_args: Any,
    argnums: int | Sequence[int] = 0,
    backend: str | Backend = "autodiff",
    has_aux: bool = False,
    nonfinite: NonFinite = "raise",
) -> Prepared:
    """Trace, differentiate and compile a scalar function once, for given shapes.

    Everything that depends only on the program is paid here, and timed by phase in
    `.info.seconds`. Arguments may be nested dicts, lists and tuples of float64 or
    float32 arrays; those in `argnums` are differentiated.

    Raises DtypeError, ShapeError, NonFiniteError for arguments that do not fit,
    TraceError and its kinds for functions that cannot be traced, UnknownNameError for
    an unknown backend.

    >>> import numpy as np
    >>> prepared = prepare(lambda w: np.sum(w**2), np.array([1.0, 2.0]))
    >>> value, gradient = prepared(np.array([1.0, 3.0]))
    >>> float(value), gradient.tolist()
    (10.0, [2.0, 6.0])
    """
    chosen = get_backend(backend)
    traced = trace_program(f, example_args, argnums, has_aux, nonfinite)
    return compile_traced(traced, chosen, nonfinite)


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    backend: str | Backend = "autodiff",
    has_aux: bool = False,
    nonfinite: NonFinite = "raise",
) -> Callable[..., Any]:
    """The function that gives f's value and its gradient.

    The gradient is nested as `args[argnums]` is (a tuple of gradients where `argnums`
    is a tuple). Programs are prepared once for every set of shapes and dtypes, and kept
    for the life of the returned function. Called on traced values, it becomes part of
    the program being traced (a gradient of a gradient).

    >>> import numpy as np
    >>> f = value_and_grad(lambda w, x: np.sum(np.tanh(x @ w)))
    >>> value, gradient = f(np.zeros(2), np.eye(2))
    >>> float(value), gradient.tolist()
    (0.0, [1.0, 1.0])
    """
    chosen = get_backend(backend)
    known: dict[Any, Prepared] = {}

    @wraps(f)
    def value_and_gradient(*args: Any) -> Any:
        leaves, tree = trees.flatten(args)
        if any(isinstance(leaf, Traced) for leaf in leaves):
            return _inline(f, args, argnums, chosen, has_aux)
        signature = (tree, tuple(map(signature_of, leaves)))
        prepared = known.get(signature)
        if prepared is None:
            traced = trace_program(f, args, argnums, has_aux, nonfinite)
            prepared = known[signature] = compile_traced(traced, chosen, nonfinite)
        return prepared(*args)

    return value_and_gradient


def grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    backend: str | Backend = "autodiff",
    has_aux: bool = False,
) -> Callable[..., Any]:
    """The function that gives f's gradient alone (and the auxiliary, if it has one).

    >>> import numpy as np
    >>> grad(grad(np.sin))(0.5) == -np.sin(0.5)
    np.True_
    """
    both = value_and_grad(f, argnums, backend, has_aux)

    @wraps(f)
    def gradient(*args: Any) -> Any:
        value, slope = both(*args)
        return (slope, value[1]) if has_aux else slope

    return gradient


def signature_of(leaf: Any) -> Any:
    """What a program is prepared for: the leaf's shape and dtype, or its type."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.shape, leaf.dtype
    return type(leaf)


def _inline(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    argnums: int | Sequence[int],
    backend: Backend,
    has_aux: bool,
) -> Any:
    """Differentiate inside a trace: the gradient's nodes join the outer program."""
    require_exact(backend, "The gradient of a gradient")
    leaves, tree = trees.flatten(args)
    outer = common_builder(leaves)
    shaped = [stand_in(leaf) for leaf in leaves]
    traced = trace_program(f, trees.unflatten(tree, shaped), argnums, has_aux, "allow")
    gradient = reverse(traced.program.graph, traced.program.wrt)
    outputs = splice(outer, gradient, [lift(outer, leaf).index for leaf in leaves])
    end = 1 + len(traced.program.wrt)
    slope = trees.unflatten(traced.gradient_tree, outputs[1:end])
    if traced.aux_tree is None:
        return outputs[0], slope
    return (outputs[0], trees.unflatten(traced.aux_tree, outputs[end:])), slope
