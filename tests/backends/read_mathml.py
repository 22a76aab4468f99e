"""A reader of the MathML that formulas are written in: numbers in, numbers out.

Written from the meaning of presentation MathML, to check what a formula says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from scipy import special

FUNCTIONS: dict[str, Any] = {
    **{name: getattr(np, name) for name in ("exp", "log", "sin", "cos", "tan")},
    **{name: getattr(np, name) for name in ("sinh", "cosh", "tanh", "sign")},
    **{name: getattr(np, name) for name in ("expm1", "exp2", "log1p", "log2", "abs")},
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sigmoid": special.expit,
    "erf": special.erf,
    "relu": lambda x: np.maximum(x, 0),
    "softplus": lambda x: np.logaddexp(0, x),
    "max": lambda *x: np.maximum.reduce(np.broadcast_arrays(*x)),
    "min": lambda *x: np.minimum.reduce(np.broadcast_arrays(*x)),
    "logsumexp": lambda *x: np.logaddexp.reduce(np.broadcast_arrays(*x)),
    "ties": lambda best, *x: sum(np.where(np.equal(y, best), 1.0, 0.0) for y in x),
    "same": lambda x, y: np.where(np.equal(x, y), 1.0, 0.0),
    "step": lambda x: np.where(np.greater(x, 0), 1.0, 0.0),
    "exponent_below": lambda x: np.where(np.equal(x, 0), 1.0, x - 1.0),
    "positive_log": lambda x: np.log(np.where(np.greater(x, 0), x, 1.0)),
    "logical_not": np.logical_not,
}
INFIX: dict[str, Any] = {
    "+": np.add,
    "·": np.multiply,
    "=": np.equal,
    "≠": np.not_equal,
    "<": np.less,
    "≤": np.less_equal,
    ">": np.greater,
    "≥": np.greater_equal,
    "∧": np.logical_and,
    "∨": np.logical_or,
    "⊕": np.logical_xor,
}


def tag(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]


def text_of(node: ET.Element) -> str:
    return "".join(node.itertext())


class Reader:
    """Runs a table of equations; `inputs` are arrays by the names in the formula."""

    def __init__(self, inputs: dict[str, np.ndarray]) -> None:
        self.inputs = inputs
        self.known: dict[tuple[str, str], Any] = {}
        self.derivatives: dict[str, dict[tuple[int, ...], float]] = {}

    def run(self, source: str) -> Any:
        """The value L; `derivatives[name][index]` are its entries."""
        (table,) = ET.fromstring(source)
        for row in table:
            left, right = row
            equals, *content = right
            assert text_of(equals) == "="
            (target,) = left
            value = self.sequence(content)
            if tag(target) == "mfrac":
                (_, under) = target
                name, index = self.names(list(under)[1])
                place = tuple(int(i) for i in index.split(",") if i)
                self.derivatives.setdefault(name, {})[place] = float(value)
            else:
                name, index = self.names(target)
                if name.startswith("k") and name[1:].isdigit():  # one sample's number
                    value = [*self.known.get((name, "b"), []), value]
                    index = "b"
                assert index == "b" or (name, index) not in self.known
                self.known[name, index] = value
        return self.known["L", ""]

    def names(self, node: ET.Element) -> tuple[str, str]:
        if tag(node) == "msub":
            return text_of(node[0]), text_of(node[1])
        assert tag(node) == "mi"
        return text_of(node), ""

    def atom(self, node: ET.Element) -> Any:
        kind = tag(node)
        if kind == "mn":
            return float(text_of(node))
        if kind in {"mi", "msub"}:
            return self.symbol(*self.names(node))
        if kind == "msup":
            return np.power(self.atom(node[0]), self.atom(node[1]))
        if kind == "mfrac":
            return np.divide(self.atom(node[0]), self.atom(node[1]))
        if kind == "msqrt":
            return np.sqrt(self.atom(node[0]))
        assert kind == "mrow", kind
        first, *rest = node
        if text_of(first) == "{":
            (table,) = rest
            (yes, when), (no, otherwise) = table
            assert text_of(when[0]).strip() == "if"
            assert text_of(otherwise) == "otherwise"
            chosen = self.sequence(list(when)[1:])
            return np.where(chosen, self.sequence(list(yes)), self.sequence(list(no)))
        opening, *arguments, closing = rest
        assert text_of(opening) + text_of(closing) == "()"
        assert all(text_of(comma) == "," for comma in arguments[1::2])
        return FUNCTIONS[text_of(first)](*[self.atom(x) for x in arguments[::2]])

    def symbol(self, name: str, index: str) -> Any:
        if (name, index) in self.known:
            return np.asarray(self.known[name, index])
        if name in {"nan", "inf"}:
            return float(name)
        place = [slice(None) if i == "b" else int(i) for i in index.split(",") if i]
        return self.inputs[name][tuple(place)]

    def sequence(self, content: Sequence[ET.Element]) -> Any:
        """Operands between operators, all of one kind, from left to right."""
        first, *rest = content
        if tag(first) == "munderover":
            assert [text_of(part) for part in first][:2] == ["∑", "b=1"]
            count = int(text_of(first[2]))
            (inner,) = rest
            return math.fsum(np.broadcast_to(self.atom(inner), (count,)))
        value = self.atom(first)
        for operator, operand in zip(rest[::2], rest[1::2], strict=True):
            assert tag(operator) == "mo"
            value = INFIX[text_of(operator)](value, self.atom(operand))
        return value
