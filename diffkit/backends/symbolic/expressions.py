"""SymPy expressions of scalars that know which symbols are columns of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy

from diffkit.interpret.sympy import EXPRESSIONS
from diffkit.interpret.sympy_functions import BatchSum


@dataclass(slots=True)
class ColumnExpressions:
    """The algebra of SymPy expressions, with named leaves and sums over the batch."""

    batched: set[str] = field(default_factory=set)  # names of symbols that are columns
    symbols: dict[str, Any] = field(default_factory=dict)

    def number(self, value: float) -> Any:
        """An exact SymPy number."""
        return EXPRESSIONS.number(value)

    def apply(self, name: str, *arguments: Any) -> Any:
        """The SymPy meaning of an elementwise row."""
        return EXPRESSIONS.apply(name, *arguments)

    def join(self, name: str, elements: Sequence[Any]) -> Any:
        """A sum, largest, smallest or logsumexp of expressions."""
        return EXPRESSIONS.join(name, elements)

    def symbol(self, name: str, batched: bool) -> Any:
        """A real symbol; `batched` when it stands for a column.

        Each reading has symbols of its own (`Dummy`): SymPy's cache would otherwise
        compare a deep expression with its equal from an earlier reading, by recursion.
        """
        if batched:
            self.batched.add(name)
        found = self.symbols.get(name)
        if found is None:
            found = self.symbols[name] = sympy.Dummy(name, real=True)
        return found

    def batch_sum(self, element: Any, batch: int) -> Any:
        """Σ over the samples, linear under differentiation."""
        return BatchSum(element, sympy.Integer(batch))

    def identical(self, a: Any, b: Any) -> bool:
        """Whether two elements are one object; equal ones may be missed."""
        return a is b
