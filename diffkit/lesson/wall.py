"""The gradient's formula of a small network as text: shared, and written out.

Shared is what `diffkit formula` prints: one named intermediate a line. Written out is
the same text with each name replaced by what it stands for, until no name is left. So
both have the operations that are counted of them, and neither is typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from diffkit import measure
from diffkit.backends.symbolic import formula
from diffkit.prepared import trace_program

#: Samples in the batch: more than units, so that none is taken for the other; a power
#: of two, so that one over it has few digits.
BATCH = 16
_LINE = re.compile(r"(v\d+)(?:\[b\])? = (.*)")
_NAME = re.compile(r"(v\d+)(?:\[b\])?")


@dataclass(frozen=True, slots=True)
class Wall:
    """One network's gradient: `lines` share, `written_out` do not."""

    depth: int
    width: int
    lines: tuple[str, ...]
    written_out: tuple[str, ...]


def wall(depth: int, width: int) -> Wall:
    """The formulas of a tanh network with inputs and hidden layers of one width.

    >>> one = wall(1, 1)
    >>> one.lines[:3]
    ('v1[b] = W1[0,0]*x[b,0]', 'v2[b] = B1[0] + v1[b]', 'v3[b] = tanh(v2[b])')
    >>> one.written_out[0][:52]
    'L = (sum over b of ((B2[0] + W2[0,0]*tanh(B1[0] + W1'
    """
    sizes = (width,) * (depth + 1)
    problem = measure.Network((*sizes, 1), batch=BATCH).problem()
    program = trace_program(problem.function, problem.arguments, 0, False).program
    text = re.sub(r"params_(\d+)_(weight|bias)", _layer, formula(program))
    lines = text.splitlines()
    meaning: dict[str, str] = {}
    results = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is not None:
            meaning[found[1]] = _replaced(found[2], meaning)
        else:
            name, _, right = line.partition(" = ")
            results.append(f"{name} = {meaning.get(right, right)}")
    return Wall(depth, width, tuple(lines), tuple(results))


def _layer(found: re.Match[str]) -> str:
    """`params_2_weight` is `W2`: an activation stands between two layers."""
    return f"{'W' if found[2] == 'weight' else 'B'}{int(found[1]) // 2 + 1}"


def _replaced(text: str, meaning: dict[str, str]) -> str:
    """Names give way to what they stand for, in brackets where those are needed."""
    is_sum = " + " in text
    whole = re.fullmatch(r"(?:tanh\(|sum over b of )(v\d+)(?:\[b\])?\)?", text)

    def put(found: re.Match[str]) -> str:
        inner = meaning[found[1]]
        called = re.fullmatch(r"tanh\(.*\)", inner) and _closes_last(inner)
        plain = is_sum and not inner.startswith("sum over")
        bare = called or plain or (whole and text.startswith("tanh"))
        return inner if bare else f"({inner})"

    return _NAME.sub(put, text)


def _closes_last(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == ")" and depth == 0:
            return place == len(text) - 1
    return False
