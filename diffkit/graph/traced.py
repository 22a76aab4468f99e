"""The value a traced function sees: an array that writes down what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np

from diffkit.errors import (
    DtypeError,
    ShapeError,
    TraceControlFlowError,
    TraceError,
    TraceMutationError,
    UnsupportedFunctionError,
    nearest,
)
from diffkit.graph.graph import Builder
from diffkit.graph.keys import resolve_key
from diffkit.graph.node import Node
from diffkit.ops import TABLE, Irrational, Op

# NumPy callables -> what to do with traced arguments. Filled by numpy_ufuncs.py,
# numpy_functions.py and numpy_shapes.py, which import this module; numpy_methods.py
# gives `Traced` its operators and most of its methods.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


class Traced:
    """An array inside a program being traced: a node, with NumPy's manners.

    Operators, NumPy functions, `.sum()`, `.T`, indexing and slicing all add nodes. It
    has a shape but no numbers, so anything that needs one (a branch, `float(x)`)
    raises `TraceControlFlowError`, and assignment raises `TraceMutationError`.
    """

    __slots__ = ("builder", "index")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, builder: Builder, index: int) -> None:
        self.builder = builder
        self.index = index

    # ---- what an array knows of itself ------------------------------------------

    @property
    def node(self) -> Node:
        """The node this value stands for."""
        return self.builder.nodes[self.index]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape, always known."""
        return self.builder.nodes[self.index].shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.node.elements

    @property
    def dtype(self) -> np.dtype:
        """bool, or float64 for every real value (a program runs in any precision)."""
        return np.dtype(bool if self.node.kind == "boolean" else np.float64)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a traced scalar")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Traced({self.node.op.name}, shape={self.shape})"

    # ---- how rows and NumPy reach it --------------------------------------------

    def __diffkit_apply__(
        self, op: Op, values: tuple[Any, ...], attributes: dict[str, Hashable]
    ) -> Traced:
        nodes = [lift(self.builder, value).index for value in values]
        return Traced(self.builder, self.builder.apply(op, nodes, **attributes))

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any
    ) -> Any:
        if options.pop("out", None) is not None:
            raise TraceMutationError(
                f"np.{ufunc.__name__} was asked to write a traced value into an "
                "existing array (out=, or an in-place operator on a NumPy array). A "
                "traced program has no storage to write to; use the returned value, "
                "or build arrays with np.concatenate or np.stack."
            )
        table = {"__call__": UFUNCS, "reduce": REDUCTIONS}.get(method, {})
        rule = table.get(ufunc)
        if rule is None:
            name = ufunc.__name__ + ("" if method == "__call__" else f".{method}")
            raise unsupported(name, [u.__name__ for u in UFUNCS])
        options.pop("dtype", None)
        unknown = {
            k for k, v in options.items() if v is not None and v is not np.newaxis
        }
        if method == "__call__" and unknown:
            raise UnsupportedFunctionError(
                f"np.{ufunc.__name__} was given {', '.join(sorted(unknown))}, which "
                "cannot be traced. Use np.where for a mask, and leave the rest out."
            )
        return rule(*inputs, **(options if method == "reduce" else {}))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any:
        rule = FUNCTIONS.get(function)
        if rule is None:
            raise unsupported(_full_name(function), map(_full_name, FUNCTIONS))
        if options.pop("out", None) is not None:
            raise TraceMutationError(
                f"{_full_name(function)} was asked to write into out=. A traced "
                "program has no storage to write to; use the returned value."
            )
        try:
            return rule(*args, **options)
        except TypeError as problem:
            if isinstance(problem, TraceError) or "argument" not in str(problem):
                raise
            raise UnsupportedFunctionError(
                f"{_full_name(function)} was called with options that cannot be traced "
                f"({problem}). Leave them out, or write the same with simpler "
                "functions."
            ) from problem

    # ---- what a traced value cannot do ------------------------------------------

    def _no_number(self, wanted: str) -> TraceControlFlowError:
        return TraceControlFlowError(
            f"The program asked for {wanted} of a traced value (shape {self.shape}), "
            "as `if`, `while`, `and`, `float()` and `range()` do. Values are not known "
            "while tracing: use np.where for a choice between arrays, and keep loop "
            "bounds plain Python numbers."
        )

    def __bool__(self) -> bool:
        raise self._no_number("the truth")

    def __float__(self) -> float:
        raise self._no_number("a number")

    def __int__(self) -> int:
        raise self._no_number("an integer")

    def __index__(self) -> int:
        raise self._no_number("an index")

    def __complex__(self) -> complex:
        raise self._no_number("a complex number")

    def item(self) -> float:
        """Raises TraceControlFlowError: there is no number yet."""
        raise self._no_number("a number")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise into_numpy_array()

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TraceMutationError(
            "A traced value cannot be assigned into (x[i] = ...). Build the new array "
            "with np.where, np.concatenate or np.stack."
        )

    def __iter__(self) -> Iterator[Traced]:
        if not self.shape:
            raise TypeError("iteration over a traced scalar")
        return (self[i] for i in range(self.shape[0]))

    # ---- indexing ---------------------------------------------------------------

    def __getitem__(self, key: Any) -> Traced:
        items = key if isinstance(key, tuple) else (key,)
        if any(isinstance(item, Traced) for item in items):
            raise UnsupportedFunctionError(
                "An array was indexed by a traced value. Indices must be known while "
                "tracing. To pick by labels that are an argument, use "
                "np.sum(np.where(labels[:, None] == np.arange(k), x, 0.0), axis=1)."
            )
        resolved = resolve_key(items, self.shape)
        if resolved is None:
            return self
        return TABLE["index"](self, key=resolved)

    # ---- operators --------------------------------------------------------------

    def __neg__(self) -> Traced:
        return np.negative(self)  # type: ignore[return-value]

    def __pos__(self) -> Traced:
        return self

    def __abs__(self) -> Traced:
        return np.abs(self)  # type: ignore[return-value]

    def __invert__(self) -> Traced:
        return np.invert(self)  # type: ignore[return-value]

    # ---- methods NumPy arrays have ----------------------------------------------

    @property
    def T(self) -> Traced:
        """The axes in reverse order."""
        return np.transpose(self)  # type: ignore[return-value]

    def reshape(self, *shape: Any) -> Traced:
        """The same elements in another shape."""
        wanted = shape[0] if len(shape) == 1 else shape
        return np.reshape(self, wanted)  # type: ignore[return-value]

    def transpose(self, *axes: Any) -> Traced:
        """The axes in another order."""
        if not axes or axes == (None,):
            return self.T
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return np.transpose(self, order)  # type: ignore[return-value]

    def astype(self, dtype: Any, **_: Any) -> Traced:
        """Booleans become 0.0 and 1.0; reals stay as they are.

        Raises DtypeError for a cast of reals to integers or booleans.
        """
        target = np.dtype(dtype)
        if self.node.kind == "boolean" and target.kind != "b":
            return TABLE["where"](self, 1.0, 0.0)
        if target.kind == "f" or target == self.dtype:
            return self
        raise DtypeError(
            f"A traced array of reals cannot become {target}: rounding has no useful "
            "derivative. Leave it real, or compare (x > 0) to get booleans."
        )


def lift(builder: Builder, value: Any) -> Traced:
    """A traced value as it is; anything else as a constant of the program.

    Raises TraceError for a value of another trace, DtypeError for what is no array of
    numbers.
    """
    if isinstance(value, Traced):
        if value.builder is not builder:
            raise TraceError(
                "A value traced by one call was used inside another. Pass it as an "
                "argument of the inner function instead of closing over it."
            )
        return value
    if isinstance(value, Irrational):
        return Traced(builder, builder.constant(value))
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DtypeError(
            f"A value of type {type(value).__name__} (dtype {array.dtype}) met a "
            "traced array. Only real numbers and booleans can take part in a program."
        )
    return Traced(builder, builder.constant(array))


def into_numpy_array() -> TraceMutationError:
    """The error for a traced value that was to be stored in a NumPy array."""
    return TraceMutationError(
        "A traced value was put into a NumPy array (np.array([...]), np.asarray, or an "
        "assignment such as a[i] = x). It has no numbers yet: build arrays with "
        "np.stack([...]) or np.concatenate([...]) instead."
    )


def common_builder(values: Any) -> Builder:
    """The builder of the first traced value among `values`."""
    for value in values:
        if isinstance(value, Traced):
            return value.builder
    raise ShapeError("no traced value among the arguments")


def _full_name(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "numpy") or "numpy"
    middle = ".linalg" if "linalg" in module else ""
    return f"np{middle}.{function.__name__}"


def unsupported(name: str, known: Any) -> UnsupportedFunctionError:
    """The error for a NumPy function that is not among the `known` ones."""
    full = name if name.startswith("np.") else f"np.{name}"
    known = list(known)
    close = nearest(name, known)
    if close and not close.startswith("np."):
        close = f"np.{close}"
    hint = f" The nearest supported function is {close}." if close else ""
    return UnsupportedFunctionError(
        f"{full} cannot be traced: diffkit has no derivative rule for it.{hint} "
        "What is supported is listed in diffkit/graph/numpy_*.py."
    )
