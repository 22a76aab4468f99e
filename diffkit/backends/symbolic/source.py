"""Scalar rows as NumPy source, compiled: the one file that turns text into code.

The text is made of row numbers, our own function names and numbers only; nothing that
a user wrote reaches it (names of inputs are `x<position>_<element>`).

Two ways of writing. *Named*: a row used more than once is a statement of its own.
*Written out*: every use of a row is its own text, so that running the code does the
work of the tree; CPython refuses about 200 nested parentheses, so a subtree that is too
deep for one statement is computed by statements of its own at *every* place where it is
used, never once for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import needed_rows

# Deepest nesting inside one statement. CPython's limits are 200 parentheses, and
# some thousand levels of its syntax tree.
DEEPEST = 80
# Terms joined in one chain; longer sums are sums of sums of this many.
CHAIN = 16

SUM, PRODUCT, ATOM = 1, 2, 3  # how tightly a text binds
MARK = re.compile("\x00([0-9]+)\x00")


class Text(NamedTuple):
    """The formula of a row; rows that are statements appear as marks."""

    text: str
    binds: int
    depth: int
    denominator: str | None = None  # text is 1/denominator


def tight(text: Text, level: int) -> str:
    """The text, in parentheses unless it binds at least as tightly as `level`."""
    return text.text if text.binds >= level else f"({text.text})"


def python_source(
    rows: Rows, outputs: Sequence[int], names: Sequence[str], written_out: bool
) -> str:
    """Source of `evaluate(leaves)`, which gives the outputs as a list.

    `names` are those of all leaf scalars and columns, in the order of `leaves`.
    """
    body = _written_out if written_out else _named
    used = {rows.payloads[i] for i in needed_rows(rows, outputs)}
    bound = [name if name in used else "_" for name in names]
    lines = ["def evaluate(leaves):"]
    if any(name != "_" for name in bound):
        lines.append(f"    [{', '.join(bound)}] = leaves")
    results: list[str] = []
    lines += [f"    {line}" for line in body(rows, outputs, results)]
    lines.append(f"    return [{', '.join(results)}]")
    return "\n".join(lines) + "\n"


def compile_source(
    source: str, functions: Mapping[str, Any]
) -> Callable[[Sequence[Any]], list[Any]]:
    """The function `evaluate` of generated source, over the given functions."""
    namespace = dict(functions)
    exec(compile(source, "<diffkit symbolic>", "exec"), namespace)  # noqa: S102
    return namespace["evaluate"]


# ---- one row ------------------------------------------------------------------


def _row(rows: Rows, row: int, texts: Mapping[int, Text]) -> Text:
    head, arguments = rows.heads[row], rows.arguments[row]
    if head == "symbol":
        return Text(rows.payloads[row], ATOM, 0)
    if head == "number":
        return _number(rows.payloads[row])
    parts = [texts[i] for i in arguments]
    if head == "add":
        return _chain(parts, _plus)
    if head == "multiply":
        return _chain(parts, _times)
    if head == "power":
        return _power(parts[0], rows.payloads[arguments[1]])
    if head == "batch_sum":
        if not rows.batched[arguments[0]]:
            return _chain([parts[1], parts[0]], _times)
        return Text(f"batch_sum({parts[0].text})", ATOM, parts[0].depth + 1)
    inner = ", ".join(
        _typed(part.text) if rows.heads[i] == "number" else part.text
        for i, part in zip(arguments, parts, strict=True)
    )
    return Text(f"{head}({inner})", ATOM, max(p.depth for p in parts) + 1)


def _number(value: float) -> Text:
    whole = isinstance(value, int) and abs(value) < 2**53
    text = repr(value if whole else float(value))
    if text.startswith("-"):
        return Text(text, PRODUCT, 0)
    return Text(text, ATOM, 0)


def _typed(number: str) -> str:
    """A number as a scalar of the program's dtype, so that functions stay in it."""
    return {"0": "zero", "1": "one"}.get(number, f"real({number})")


def _chain(parts: list[Text], join: Callable[[list[Text]], Text]) -> Text:
    while len(parts) > CHAIN:
        parts = [
            _in_parentheses(join(parts[i : i + CHAIN]))
            for i in range(0, len(parts), CHAIN)
        ]
    return join(parts)


def _in_parentheses(text: Text) -> Text:
    return Text(f"({text.text})", ATOM, text.depth + 1)


def _plus(parts: list[Text]) -> Text:
    pieces = [parts[0].text]
    for part in parts[1:]:
        if part.binds == PRODUCT and part.text.startswith("-"):
            pieces.append(f" - {part.text[1:]}")
        else:
            pieces.append(f" + {tight(part, PRODUCT)}")
    return Text("".join(pieces), SUM, _deeper(parts))


def _deeper(parts: list[Text]) -> int:
    return max(part.depth for part in parts) + len(parts)


def _times(parts: list[Text]) -> Text:
    sign = ""
    above: list[str] = []
    below: list[str] = []
    for part in parts:
        if part.text == "-1":
            sign = "" if sign else "-"
        elif part.denominator is not None:
            below.append(part.denominator)
        elif part.text.startswith("-") and part.binds == PRODUCT:
            sign = "" if sign else "-"
            above.append(part.text[1:])
        else:
            above.append(tight(part, PRODUCT))
    # A quotient inside a product keeps its own parentheses: a*(b/c) is not (a*b)/c.
    text = "*".join(f"({a})" if "/" in a and i else a for i, a in enumerate(above))
    text = text or "1"
    for denominator in below:
        text += f"/{denominator}"
    return Text(sign + text, PRODUCT, _deeper(parts) + 1)


def _power(base: Text, exponent: int) -> Text:
    plain = base.text.isidentifier() or bool(MARK.fullmatch(base.text))
    n = abs(exponent)
    if n == 1:
        text, binds = tight(base, ATOM), ATOM
    elif n == 2 and plain:
        text, binds = f"{base.text}*{base.text}", PRODUCT
    elif n == 2:
        text, binds = f"square({base.text})", ATOM
    else:
        text, binds = f"whole_power({base.text}, {n})", ATOM
    if exponent > 0:
        return Text(text, binds, base.depth + 1)
    denominator = text if binds == ATOM else f"({text})"
    return Text(f"1/{denominator}", PRODUCT, base.depth + 2, denominator)


# ---- whole programs -------------------------------------------------------------


def _named(rows: Rows, outputs: Sequence[int], results: list[str]) -> Iterator[str]:
    """A statement for every row used more than once; names are reused once free."""
    order = needed_rows(rows, outputs)
    uses: dict[int, int] = dict.fromkeys(order, 0)
    for row in order:
        for i in rows.arguments[row]:
            uses[i] += 1
    kept = set(outputs)
    texts: dict[int, Text] = {}
    statements: list[tuple[int, str]] = []
    for row in order:
        text = _row(rows, row, texts)
        leaf = not rows.arguments[row]
        if leaf or (uses[row] == 1 and row not in kept and text.depth < DEEPEST):
            texts[row] = text
            continue
        statements.append((row, text.text))
        texts[row] = Text(f"\x00{row}\x00", ATOM, 0)
    last: dict[int, int] = {}
    for place, (_, text) in enumerate(statements):
        for mark in MARK.findall(text):
            last[int(mark)] = place
    free: list[str] = []
    names: dict[int, str] = {}
    made = 0

    def name_of(match: re.Match[str]) -> str:
        return names[int(match[1])]

    for place, (row, text) in enumerate(statements):
        line = MARK.sub(name_of, text)
        for mark in dict.fromkeys(MARK.findall(text)):
            used = int(mark)
            if last[used] == place and used not in kept:
                free.append(names[used])
        if free:
            names[row] = free.pop()
        else:
            names[row] = f"v{made}"
            made += 1
        yield f"{names[row]} = {line}"
    results += [MARK.sub(name_of, texts[row].text) for row in outputs]


def _written_out(
    rows: Rows, outputs: Sequence[int], results: list[str]
) -> Iterator[str]:
    """One formula an output; what is too deep is computed anew at every use."""
    texts: dict[int, Text] = {}
    deep: dict[int, list[str]] = {}  # text before a mark, marked row, text, ...
    for row in needed_rows(rows, outputs):
        text = _row(rows, row, texts)
        if text.depth >= DEEPEST:
            deep[row] = MARK.split(text.text)
            text = Text(f"\x00{row}\x00", ATOM, 0)
        texts[row] = text
    for place, row in enumerate(outputs):
        yield from _statements(f"o{place}", MARK.split(texts[row].text), deep)
        results.append(f"o{place}")


def _statements(
    name: str, pieces: list[str], deep: Mapping[int, list[str]]
) -> Iterator[str]:
    """Statements that compute one text, each mark in it by statements of its own."""
    # A frame: the name to assign, the pieces, how many are done, and what they became.
    frames: list[tuple[str, list[str], int, list[str]]] = [(name, pieces, 0, [])]
    taken = 0
    while frames:
        name, pieces, done, made = frames.pop()
        if done == len(pieces):
            yield f"{name} = {''.join(made)}"
            taken -= len(pieces) // 2
            continue
        if done % 2 == 0:
            frames.append((name, pieces, done + 1, [*made, pieces[done]]))
            continue
        temporary = f"t{taken}"
        taken += 1
        frames.append((name, pieces, done + 1, [*made, temporary]))
        frames.append((temporary, deep[int(pieces[done])], 0, []))
