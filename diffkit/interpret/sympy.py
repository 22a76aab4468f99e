"""The SymPy reading of a graph: object arrays whose elements are scalar expressions.

The elements may be anything that an `Algebra` can combine, so the same reading serves
SymPy expressions (`EXPRESSIONS`) and the named rows of the symbolic backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any, Protocol

import numpy as np
import sympy

from diffkit.graph import Graph, Node
from diffkit.interpret.sympy_functions import (
    MEANINGS,
    largest,
    logsumexp,
    smallest,
)
from diffkit.ops import Op, numpy_key

Element = Any


class Algebra(Protocol):
    """How scalar elements are made and combined."""

    def number(self, value: float) -> Element:
        """The element of a number."""
        ...

    def apply(self, name: str, *arguments: Element) -> Element:
        """The scalar meaning that `op.sympy` names."""
        ...

    def join(self, name: str, elements: Sequence[Element]) -> Element:
        """`add`, `largest`, `smallest` or `logsumexp` of one element or more."""
        ...


@dataclass(frozen=True, slots=True)
class Expressions:
    """The algebra whose elements are SymPy expressions."""

    def number(self, value: float) -> Any:
        """An exact SymPy number for a float64 (see `exact_number`)."""
        return exact_number(value)

    def apply(self, name: str, *arguments: Any) -> Any:
        """The SymPy meaning of an elementwise row."""
        return MEANINGS[name](*arguments)

    def join(self, name: str, elements: Sequence[Any]) -> Any:
        """A sum, largest, smallest or logsumexp of expressions."""
        return elements[0] if len(elements) == 1 else _JOINS[name](*elements)


_JOINS = {
    "add": sympy.Add,
    "largest": largest,
    "smallest": smallest,
    "logsumexp": logsumexp,
}
EXPRESSIONS = Expressions()


def exact_number(value: float) -> Any:
    """A number in SymPy: whole, a short binary fraction, or a Float of 53 bits.

    Infinities and NaN become the symbols `inf` and `nan`: SymPy's own would be
    simplified away by rules that floats do not follow.

    >>> exact_number(0.5), exact_number(2.0), exact_number(0.1)
    (1/2, 2, 0.100000000000000)
    """
    if isinstance(value, int):
        return sympy.Integer(value)
    value = float(value)
    if value != value:
        return sympy.Symbol("nan", real=True)
    if value in {inf, -inf}:
        symbol = sympy.Symbol("inf", real=True)
        return symbol if value > 0 else -symbol
    if value.is_integer():
        return sympy.Integer(int(value))
    if (value * 1024).is_integer():
        return sympy.Rational(int(value * 1024), 1024)
    return sympy.Float(value)


def symbols(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Object array of real symbols `name_0`, `name_1`, ..., in C order.

    >>> symbols("w", (2, 1)).tolist()
    [[w_0], [w_1]]
    """
    return elements_of(
        [sympy.Symbol(f"{name}_{i}", real=True) for i in range(prod(shape))], shape
    )


def evaluate(
    graph: Graph, leaves: Sequence[np.ndarray], algebra: Algebra = EXPRESSIONS
) -> list[np.ndarray]:
    """The outputs of a graph as object arrays of SymPy expressions.

    `leaves` are the inputs by position: object arrays of expressions (`symbols`), or
    numeric arrays, whose elements become exact numbers. Another algebra gives other
    elements.
    """
    by_node = dict(zip(graph.inputs, leaves, strict=True))
    values: list[np.ndarray] = []
    for place, node in enumerate(graph.nodes):
        if node.op.name == "input":
            values.append(lift(np.asarray(by_node[place]), algebra))
        elif node.op.name == "constant":
            values.append(lift(node.attribute("value").array, algebra))
        else:
            inputs = [values[i] for i in node.inputs]
            kinds = [graph.nodes[i].kind for i in node.inputs]
            values.append(read(node, kinds, inputs, algebra))
    return [values[i] for i in graph.outputs]


def lift(array: np.ndarray, algebra: Algebra) -> np.ndarray:
    """A numeric array as an object array of elements; elements stay what they are."""
    if array.dtype == object:
        return array
    number = algebra.number
    made: dict[float, Element] = {}
    out = []
    for value in array.ravel().tolist():
        element = made.get(value)
        if element is None:
            element = made[value] = number(float(value))
        out.append(element)
    return elements_of(out, array.shape)


def elements_of(elements: Iterable[Element], shape: tuple[int, ...]) -> np.ndarray:
    """An object array of the given shape, filled in C order."""
    filled = list(elements)
    array = np.empty(len(filled), dtype=object)
    array[:] = filled
    return array.reshape(shape)


def read(
    node: Node, kinds: Sequence[str], arrays: Sequence[np.ndarray], algebra: Algebra
) -> np.ndarray:
    """One operation on object arrays of elements; `kinds` are those of the inputs.

    Arithmetic on booleans treats them as 0 and 1.
    """
    op, attributes = node.op, node.keywords
    if node.kind == "real" and "boolean" in kinds:
        arrays = [
            _as_real(array, algebra)
            if kind == "boolean" and not (op.name == "where" and position == 0)
            else array
            for position, (array, kind) in enumerate(zip(arrays, kinds, strict=True))
        ]
    if op.family == "elementwise":
        return _elementwise(op, arrays, algebra)
    if op.name == "scatter":
        return _scatter(arrays, algebra, **attributes)
    if op.family == "shape" or op.name == "broadcast":
        return move(node, *arrays)
    if op.name == "matmul":
        return _matmul(arrays[0], arrays[1], algebra)
    if op.name == "cumsum":
        return _cumsum(arrays[0], algebra, **attributes)
    return _reduce(op, arrays[0], algebra, **attributes)


def move(node: Node, *arrays: np.ndarray) -> np.ndarray:
    """A shape operation or broadcast, by NumPy, on elements of any kind."""
    moved = node.op.numpy(*arrays, **node.keywords)
    if node.shape == () and arrays[0].dtype == object:
        # NumPy hands out the element itself, and not an array of no axes.
        element = moved.item() if isinstance(moved, np.ndarray) else moved
        return elements_of([element], ())
    return np.asarray(moved)


def _as_real(array: np.ndarray, algebra: Algebra) -> np.ndarray:
    one, zero = algebra.number(1), algebra.number(0)
    return elements_of(
        [algebra.apply("where", b, one, zero) for b in array.ravel().tolist()],
        array.shape,
    )


def _elementwise(op: Op, arrays: Sequence[np.ndarray], algebra: Algebra) -> np.ndarray:
    apply, name = algebra.apply, op.sympy
    assert name is not None  # an elementwise row cannot be built without
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    flat = [
        (a if a.shape == shape else np.broadcast_to(a, shape)).ravel().tolist()
        for a in arrays
    ]
    return elements_of([apply(name, *x) for x in zip(*flat, strict=True)], shape)


def _matmul(a: np.ndarray, b: np.ndarray, algebra: Algebra) -> np.ndarray:
    apply, join = algebra.apply, algebra.join
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    count = prod(stack)
    rows = np.broadcast_to(a, (*stack, m, k)).reshape(count, m, k).tolist()
    columns = np.broadcast_to(b, (*stack, k, n)).swapaxes(-1, -2)
    columns = columns.reshape(count, n, k).tolist()
    zero = algebra.number(0)
    return elements_of(
        [
            join("add", [apply("multiply", x, y) for x, y in zip(r, c, strict=True)])
            if k
            else zero
            for left, right in zip(rows, columns, strict=True)
            for r in left
            for c in right
        ],
        (*stack, m, n),
    )


def _reduce(
    op: Op, x: np.ndarray, algebra: Algebra, *, axes: tuple[int, ...], keepdims: bool
) -> np.ndarray:
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    shape = shape if keepdims else tuple(x.shape[i] for i in kept)
    count = prod(x.shape[i] for i in axes)
    lists = x.transpose(kept + axes).reshape(prod(shape), count).tolist()
    combine = _REDUCTIONS[op.name]
    return elements_of([combine(algebra, elements) for elements in lists], shape)


def _mean(algebra: Algebra, elements: list[Element]) -> Element:
    if not elements:
        return algebra.number(float("nan"))
    count = algebra.number(len(elements))
    return algebra.apply("divide", algebra.join("add", elements), count)


def _product(algebra: Algebra, elements: list[Element]) -> Element:
    product = elements[0] if elements else algebra.number(1)
    for element in elements[1:]:
        product = algebra.apply("multiply", product, element)
    return product


def _joined(name: str, empty: float) -> Callable[[Algebra, list[Element]], Element]:
    return lambda algebra, elements: (
        algebra.join(name, elements) if elements else algebra.number(empty)
    )


_REDUCTIONS: dict[str, Callable[[Algebra, list[Element]], Element]] = {
    "sum": _joined("add", 0),
    "mean": _mean,
    "prod": _product,
    "max": _joined("largest", -inf),
    "min": _joined("smallest", inf),
    "logsumexp": _joined("logsumexp", -inf),
}


def _cumsum(x: np.ndarray, algebra: Algebra, *, axis: int) -> np.ndarray:
    moved = np.moveaxis(x, axis, 0)
    out = np.empty(moved.shape, dtype=object)
    apply = np.frompyfunc(lambda a, b: algebra.apply("add", a, b), 2, 1)
    for i, row in enumerate(moved):
        out[i] = row if i == 0 else apply(out[i - 1], row)
    return np.moveaxis(out, 0, axis)


def _scatter(
    arrays: Sequence[np.ndarray], algebra: Algebra, *, keys: Any, shape: Any
) -> np.ndarray:
    places = np.arange(prod(shape)).reshape(shape)
    found: list[list[Element]] = [[] for _ in range(prod(shape))]
    for key, array in zip(keys, arrays, strict=True):
        chosen = places[numpy_key(key)]
        for place, element in zip(
            chosen.ravel().tolist(), array.ravel().tolist(), strict=True
        ):
            found[place].append(element)
    zero = algebra.number(0)
    return elements_of(
        [algebra.join("add", elements) if elements else zero for elements in found],
        shape,
    )
