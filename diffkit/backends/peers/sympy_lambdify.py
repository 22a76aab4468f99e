"""The route a SymPy user takes: write it out, `sympy.diff`, `sympy.lambdify`.

The baseline beside diffkit's symbolic backend: stock functions of SymPy, one symbol for
every element of every argument, one call of `sympy.diff` for every parameter, NumPy
code from `lambdify` with its own elimination of common subexpressions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import sympy

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.measures import fresh, reverse_mode_info
from diffkit.backends.phases import Phases
from diffkit.errors import ExpressionBudgetError, LackingOperationError
from diffkit.graph import Graph, reverse, simplify
from diffkit.interpret.sympy import elements_of, evaluate, exact_number

Scalar = Any  # a sympy.Expr; SymPy ships no types


def _choose(condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
    return sympy.Piecewise((a, _truth(condition)), (b, True))


def _truth(x: Scalar) -> Scalar:
    """A condition: relations stay, numbers are true unless they are 0."""
    return x if isinstance(x, sympy.logic.boolalg.Boolean) else sympy.Ne(x, 0)


# SymPy's own functions by the name that `op.sympy` gives.
STOCK: dict[str, Callable[..., Scalar]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda x: -x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x**2,
    "power": lambda a, b: a**b,
    "sqrt": sympy.sqrt,
    "exp": sympy.exp,
    "expm1": lambda x: sympy.exp(x) - 1,
    "exp2": lambda x: sympy.Integer(2) ** x,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "erf": sympy.erf,
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "relu": lambda x: sympy.Piecewise((x, x > 0), (0, True)),
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "where": _choose,
    "equal": sympy.Eq,
    "not_equal": sympy.Ne,
    "less": sympy.Lt,
    "less_equal": sympy.Le,
    "greater": sympy.Gt,
    "greater_equal": sympy.Ge,
    "logical_not": lambda a: sympy.Not(_truth(a)),
    "logical_and": lambda a, b: sympy.And(_truth(a), _truth(b)),
    "logical_or": lambda a, b: sympy.Or(_truth(a), _truth(b)),
    "logical_xor": lambda a, b: sympy.Xor(_truth(a), _truth(b)),
}
JOINS: dict[str, Callable[..., Scalar]] = {
    "add": sympy.Add,
    "largest": sympy.Max,
    "smallest": sympy.Min,
    "logsumexp": lambda *x: sympy.log(sympy.Add(*map(sympy.exp, x))),
}


@dataclass(frozen=True, slots=True)
class _Stock:
    """The algebra of SymPy's own functions."""

    def number(self, value: float) -> Scalar:
        return exact_number(value)

    def apply(self, name: str, *arguments: Scalar) -> Scalar:
        return STOCK[name](*arguments)

    def join(self, name: str, elements: Sequence[Scalar]) -> Scalar:
        if len(elements) == 1:
            return elements[0]
        if len(elements) > 2 and name in {"largest", "smallest"}:
            raise LackingOperationError(
                "The backend 'sympy-lambdify' has no 'max' or 'min' of more than two "
                "elements: what SymPy prints for their derivatives does not run. Use "
                "np.maximum and np.minimum of two, or the backend 'symbolic'."
            )
        return JOINS[name](*elements)


@dataclass(frozen=True, slots=True)
class SympyLambdify:
    """`sympy.diff` by every parameter, then `sympy.lambdify(..., cse=True)` on NumPy.

    ``max_operations`` bounds the operations of value and gradient written out, counted
    exactly before anything is: the expressions grow with the batch and exponentially
    with depth.

    `compile` raises ExpressionBudgetError beyond the budget.
    """

    max_operations: int = 10_000

    name: ClassVar[str] = "sympy-lambdify"
    runs_on: ClassVar[str] = "numpy"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=True, evaluations="1", dtypes=("float64",)
    )

    def compile(self, program: Program) -> SympyLambdifyCompiled:
        """Write out, differentiate, print and compile."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        written = simplify(reverse(program.graph, program.wrt)).size().tree_operations
        if written > self.max_operations:
            raise ExpressionBudgetError(
                "operations",
                self.max_operations,
                written,
                "Raise max_operations, or use the backend 'symbolic'.",
            )
        return SympyLambdifyCompiled(program)


class SympyLambdifyCompiled:
    """Two functions that `lambdify` made: value with gradient, and the value alone."""

    def __init__(self, program: Program) -> None:
        self._program = program
        graph = program.graph
        phases = Phases()
        with phases("write"):
            symbols = [_symbols(graph, p) for p in range(len(graph.inputs))]
            outputs = evaluate(graph, symbols, _Stock())
            value = outputs[0].item()
        with phases("derive"):
            slopes = [
                sympy.diff(value, symbol)
                for position in program.wrt
                for symbol in symbols[position].ravel()
            ]
        with phases("lambdify"):
            flat = list(chain.from_iterable(s.ravel() for s in symbols))
            others = list(chain.from_iterable(o.ravel() for o in outputs[1:]))
            modules = ["scipy", "numpy"]
            self._gradient = sympy.lambdify(
                [flat], [value, *slopes, *others], modules=modules, cse=True
            )
            self._primal = sympy.lambdify([flat], value, modules=modules, cse=True)
        self._expressions = [value, *slopes]
        self._seconds = phases.seconds
        nodes = graph.nodes
        self._shapes = [nodes[graph.inputs[p]].shape for p in program.wrt]
        self._others = [nodes[place] for place in graph.outputs[1:]]

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient graph, and SymPy's of what it wrote out."""
        details = {
            "runtime": SympyLambdify.runs_on,
            "sympy_operations": int(sum(map(sympy.count_ops, self._expressions))),
        }
        return reverse_mode_info(
            SympyLambdify.name, self._program, self._seconds, 0, details
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        with np.errstate(all="ignore"):
            value, *rest = self._gradient(_numbers(leaves))
        results, start = [], 0
        for shape in [*self._shapes, *(node.shape for node in self._others)]:
            size = int(np.prod(shape))
            part = np.array(rest[start : start + size], dtype=np.float64)
            results.append(part.reshape(shape))
            start += size
        auxiliary = [
            array.astype(bool) if node.kind == "boolean" else array
            for array, node in zip(
                results[len(self._shapes) :], self._others, strict=True
            )
        ]
        typed = fresh(value, np.dtype(np.float64))[()]
        return typed, results[: len(self._shapes)], auxiliary

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        with np.errstate(all="ignore"):
            return np.float64(self._primal(_numbers(leaves)))


def _symbols(graph: Graph, position: int) -> np.ndarray:
    node = graph.nodes[graph.inputs[position]]
    if node.kind == "boolean":
        made = [sympy.Symbol(f"x{position}_{i}") for i in range(node.elements)]
    else:
        made = [
            sympy.Symbol(f"x{position}_{i}", real=True) for i in range(node.elements)
        ]
    return elements_of(made, node.shape)


def _numbers(leaves: Sequence[np.ndarray]) -> list[Any]:
    """NumPy's numbers, whose arithmetic gives infinity and NaN where Python raises."""
    return list(chain.from_iterable(np.asarray(leaf).ravel() for leaf in leaves))
