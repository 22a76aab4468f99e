"""Cost formulas such as "2P", "P+1" or "m(2n)": written for people, read by tests."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

from diffkit.errors import BackendError

_TOKEN = re.compile(r"\s*(\d+|min|max|[A-Za-z]|[-+*(),])")
_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def count(formula: str, **sizes: int) -> int:
    """The number a cost formula gives, with products written side by side.

    Raises BackendError for a formula with other letters or signs than it may have.

    >>> count("2P+1", P=10), count("m(2n)", m=3, n=4), count("min(n, m)", n=5, m=2)
    (21, 24, 2)
    """
    try:
        return _value(ast.parse(_python(formula), mode="eval").body, sizes)
    except (SyntaxError, KeyError, ValueError) as problem:
        raise BackendError(
            f"The cost formula {formula!r} cannot be read ({problem}). Write it with "
            f"whole numbers, + - * ( ), min, max and the letters {', '.join(sizes)}."
        ) from problem


def _python(formula: str) -> str:
    text = formula.replace("·", "*").rstrip()
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"unexpected {text[at:]!r}")
        tokens.append(found[1])
        at = found.end()
    out: list[str] = []
    for token in tokens:
        ends = bool(out) and (out[-1].isalnum() or out[-1] == ")")
        starts = token.isalnum() or token == "("
        if ends and starts and out[-1] not in ("min", "max"):
            out.append("*")
        out.append(token)
    return " ".join(out)


def _value(node: ast.expr, sizes: dict[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return sizes[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, sizes), _value(right, sizes))
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=args):
            numbers = [_value(a, sizes) for a in args]
            return min(numbers) if name == "min" else max(numbers)
    raise ValueError(f"{ast.unparse(node)} is no part of a cost")
