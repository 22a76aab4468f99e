"""Mathematics as MathML, from SymPy."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sympy.printing.mathml import mathml


def math(expression: Any, *, block: bool = False) -> Markup:
    """A SymPy expression or equation as a ``<math>`` element.

    >>> import sympy
    >>> print(math(sympy.Symbol("w") + 1))
    <math><mrow><mi>w</mi><mo>+</mo><mn>1</mn></mrow></math>
    """
    inner = mathml(expression, printer="presentation")
    inner = inner.replace("<mo>-</mo>", "<mo>−</mo>")  # A hyphen is too short.
    kind = ' display="block"' if block else ""
    return Markup(f"<math{kind}>{inner}</math>")
