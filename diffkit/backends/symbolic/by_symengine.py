"""Derivatives by SymEngine, SymPy's core rewritten in C++: optional, and guarded.

Its `diff` remembers what it has seen, so it is linear in the shared expression. It
works by recursion in C++ and ends the process on very deep expressions: those are
refused before it is asked. Only functions that it has under the same meaning are
handed to it. The result goes back to SymPy node by node, each distinct node once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi
from typing import Any

import sympy

from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import measure
from diffkit.backends.symbolic.templates import head_of, unseen
from diffkit.errors import (
    BackendError,
    ExpressionBudgetError,
    MissingDependencyError,
)
from diffkit.interpret import sympy_functions as meanings
from diffkit.interpret.sympy_functions import BatchSum

try:
    import symengine
except ImportError:
    symengine: Any = None

# Measured with SymEngine 0.15 and a stack of 8 MiB: 9,000 levels pass, 30,000 end the
# process; SymPy, which takes the result, recurses as well.
DEEPEST = 2_000
# Functions that mean the same there, by the name of ours.
SAME = (
    "exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "erf",
)  # fmt: skip


def by_symengine(
    expression: Any, symbols: Sequence[Any], check: Callable[[], None]
) -> list[Any]:
    """∂expression/∂symbol for each symbol by SymEngine, as SymPy expressions.

    Raises MissingDependencyError without the package, ExpressionBudgetError for what
    is too deep for it, BackendError for a function that it does not have.
    """
    if symengine is None:
        raise MissingDependencyError("symengine", "differ='symengine'", "symengine")
    rows = Rows()
    height = measure(rows, rows.convert([expression])).height
    if height > DEEPEST:
        raise ExpressionBudgetError(
            "levels of nesting",
            DEEPEST,
            height,
            "SymEngine recurses, and ends the process on deep expressions. Use "
            "differ='memoised', or the form 'shared', which nests nothing.",
        )
    there, sums = _there(expression)
    back = _Back(expression)
    derivatives = []
    for symbol in symbols:
        check()
        by = symengine.Symbol(back.name_of(symbol))
        # A sum over the batch is linear: its derivative is the sum of derivatives.
        slopes: list[Any] = []
        for place, (inside, samples) in enumerate(sums):
            slope = _chain(back, inside, by, slopes, place)
            slopes.append(BatchSum(slope, samples) if slope != 0 else sympy.S.Zero)
        derivatives.append(_chain(back, there, by, slopes, len(sums)))
    return derivatives


def _chain(back: _Back, inside: Any, by: Any, slopes: list[Any], count: int) -> Any:
    terms = [back(inside.diff(by))]
    for place in range(count):
        if slopes[place] != 0:
            outer = inside.diff(symengine.Symbol(f"sum{place}"))
            if outer != 0:
                terms.append(back(outer) * slopes[place])
    return sympy.Add(*terms)


def _there(expression: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """The expression in SymEngine, sums over the batch as symbols, and those sums."""
    made: dict[int, Any] = {}
    sums: list[tuple[Any, Any]] = []
    names: dict[Any, str] = {}
    for node in unseen(expression, {}):
        x = [made[id(a)] for a in node.args]
        if node.is_Symbol:
            found = symengine.Symbol(names.setdefault(node, f"leaf{len(names)}"))
        elif node.is_Integer:
            found = symengine.Integer(int(node))
        elif node.is_Rational:
            found = symengine.Rational(int(node.p), int(node.q))
        elif node.is_Number:
            found = symengine.RealDouble(float(node))
        elif node.is_Add:
            found = symengine.Add(*x)
        elif node.is_Mul:
            found = symengine.Mul(*x)
        elif node.is_Pow:
            found = x[0] ** x[1]
        elif isinstance(node, BatchSum):
            found = symengine.Symbol(f"sum{len(sums)}")
            sums.append((x[0], node.args[1]))
        elif head_of(node) in SAME:
            found = getattr(symengine, head_of(node))(*x)
        else:
            raise BackendError(
                f"SymEngine has no function that means {head_of(node)!r} as diffkit "
                "does. Use differ='memoised'."
            )
        made[id(node)] = found
    return made[id(expression)], sums


class _Back:
    """From SymEngine to SymPy, each distinct node once, without recursion."""

    def __init__(self, expression: Any) -> None:
        leaves = [node for node in unseen(expression, {}) if node.is_Symbol]
        self._names = {
            leaf: f"leaf{place}" for place, leaf in enumerate(dict.fromkeys(leaves))
        }
        self._made: dict[Any, Any] = {
            symengine.Symbol(name): leaf for leaf, name in self._names.items()
        }
        batch_sums = [n for n in unseen(expression, {}) if isinstance(n, BatchSum)]
        for place, node in enumerate(batch_sums):
            self._made[symengine.Symbol(f"sum{place}")] = node

    def name_of(self, symbol: Any) -> str:
        """What a symbol is called there."""
        return self._names.get(symbol, "leaf")

    def __call__(self, expression: Any) -> Any:
        made = self._made
        stack = [expression]
        while stack:
            node = stack[-1]
            if node in made:
                stack.pop()
                continue
            waiting = [a for a in node.args if a not in made]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            made[node] = _node(node, [made[a] for a in node.args])
        return made[expression]


def _node(node: Any, x: list[Any]) -> Any:
    if node.is_Integer:
        return sympy.Integer(int(node))
    if node.is_Rational:
        return sympy.Rational(int(node.p), int(node.q))
    if node.is_Number:
        return sympy.Float(float(node))
    if node == symengine.pi:
        return sympy.Float(pi)
    if node == symengine.E:
        return sympy.E  # always the base of a power
    if node.is_Add:
        return sympy.Add(*x)
    if node.is_Mul:
        return sympy.Mul(*x)
    if node.is_Pow:
        return _power(*x)
    return getattr(meanings, {"log": "log_"}.get(_name(node), _name(node)))(*x)


def _name(node: Any) -> str:
    return type(node).__name__.lower()


def _power(base: Any, exponent: Any) -> Any:
    if base is sympy.E:
        return meanings.exp(exponent)
    if exponent.is_Integer or base.is_Number:
        return base**exponent
    twice = 2 * exponent
    if not twice.is_Integer:
        raise BackendError("SymEngine made a power that diffkit does not print.")
    return meanings.sqrt(base) ** twice
