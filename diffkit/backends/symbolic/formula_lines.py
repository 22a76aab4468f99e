"""The gradient's formula for people: one named intermediate a line, in five languages.

The lines are those of the form `shared`: what the symbolic backend runs, written so
that it can be read, put into a paper, or compiled by somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from math import prod
from typing import Any, Protocol

import numpy as np

from diffkit.backends.base import Program
from diffkit.backends.symbolic.derive import derive, read_scalars
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.scalars import Scalars
from diffkit.backends.symbolic.size import needed_rows, own_operations
from diffkit.backends.symbolic.templates import Number
from diffkit.errors import ExpressionBudgetError, UserInputError
from diffkit.graph import simplify, trace_arguments, trees

DEFAULT_OPERATIONS = 20_000
INDEX = "b"  # the name of the sample in a formula over columns


@dataclass(frozen=True, slots=True)
class Symbol:
    """An element of an input: `w[0, 1]`, or `x[b, 2]` where it is a column.

    `name` is a plain identifier; `shape` that of the whole input.
    """

    name: str
    index: tuple[int, ...]
    column: bool
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One named intermediate: `number` names it; operands are lines, symbols, numbers.

    `head` is that of the row (`add`, `tanh`, `batch_sum`, ...); `column` says that it
    has a value for every sample.
    """

    number: int
    head: str
    operands: tuple[Operand, ...]
    column: bool


Operand = Line | Symbol | int | float


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the program, as a formula names it."""

    name: str
    shape: tuple[int, ...]
    differentiated: bool


@dataclass(frozen=True, slots=True)
class Formula:
    """Value and gradient as lines, in the order in which they can be computed.

    `gradients` has an operand for every entry of every differentiated input, in C
    order; `columns` are per-sample numbers that are part of the program; `batch` is
    the number of samples in a column.
    """

    inputs: tuple[Input, ...]
    columns: Mapping[str, np.ndarray]
    lines: tuple[Line, ...]
    value: Operand
    gradients: tuple[tuple[Operand, ...], ...]
    batch: int

    @property
    def wrt(self) -> tuple[Input, ...]:
        """The inputs that `gradients` belong to, in that order."""
        return tuple(i for i in self.inputs if i.differentiated)


class Language(Protocol):
    """How a formula is written: one function from the lines to the text."""

    def __call__(self, formula: Formula) -> str:
        """The whole text."""
        ...


def program_of(f: Callable[..., Any], args: Sequence[Any], argnums: int = 0) -> Program:
    """A scalar function traced at example arguments, differentiated by one of them."""
    tracing = trace_arguments(f, tuple(args))
    counts = [len(trees.leaves(arg)) for arg in args]
    if not 0 <= argnums < len(args):
        raise UserInputError(
            f"argnums={argnums} does not fit a call with {len(args)} arguments; use an "
            f"integer from 0 to {len(args) - 1}."
        )
    start = sum(counts[:argnums])
    graph = tracing.graph
    if graph.nodes[graph.outputs[0]].shape != ():
        raise UserInputError(
            "A formula is written for a scalar, and the function returns an array of "
            f"shape {graph.nodes[graph.outputs[0]].shape}. Reduce it with np.sum."
        )
    wrt = tuple(range(start, start + counts[argnums]))
    return Program(graph, wrt, tracing.arguments.names, np.dtype(np.float64))


def lines_of(
    program: Program, batch: str = "auto", max_operations: int = DEFAULT_OPERATIONS
) -> Formula:
    """Value and gradient of a program as named lines.

    Raises ExpressionBudgetError before anything is written when they would hold more
    operations than the budget.
    """

    def check(operations: int) -> None:
        if operations > max_operations:
            raise _too_long(
                "operations or more for its value alone", max_operations, operations
            )

    graph = simplify(program.graph)
    scalars, writer = read_scalars(graph, program.wrt, batch, True, check)
    assert isinstance(writer, Rows)
    value, entries, _ = derive(scalars, writer, program.wrt, "memoised", lambda: None)
    order = needed_rows(writer, [value, *entries])
    operations = sum(
        own_operations(writer.heads[row], len(writer.arguments[row])) for row in order
    )
    if operations > max_operations:
        raise _too_long("operations", max_operations, operations)
    names = identifiers(program.names)
    made: dict[int, Operand] = {}
    symbols = _symbols(scalars, names)
    lines: list[Line] = []
    for row in order:
        head, payload = writer.heads[row], writer.payloads[row]
        if head == "number":
            made[row] = payload
        elif head == "symbol":
            made[row] = symbols[payload] if payload in symbols else float(payload)
        else:
            operands = tuple(made[i] for i in writer.arguments[row])
            line = Line(len(lines) + 1, head, operands, writer.batched[row])
            made[row] = line
            lines.append(line)
    gradients = []
    place = 0
    for position in program.wrt:
        count = prod(scalars.leaves[position].shape)
        gradients.append(tuple(made[row] for row in entries[place : place + count]))
        place += count
    inputs = tuple(
        Input(name, leaf.shape, leaf.position in program.wrt)
        for name, leaf in zip(names, scalars.leaves, strict=True)
    )
    return Formula(
        inputs, scalars.columns, tuple(lines), made[value], tuple(gradients),
        scalars.batch or 1,
    )  # fmt: skip


def _symbols(scalars: Scalars, names: Sequence[str]) -> dict[str, Operand]:
    symbols: dict[str, Operand] = {}
    for leaf, name in zip(scalars.leaves, names, strict=True):
        shape = leaf.shape[1:] if leaf.batched else leaf.shape
        for element, symbol in enumerate(leaf.names):
            index = tuple(int(i) for i in np.unravel_index(element, shape))
            symbols[symbol] = Symbol(name, index, leaf.batched, leaf.shape)
    for name, column in scalars.columns.items():
        symbols[name] = Symbol(name, (), True, column.shape)
    return symbols


def _too_long(quantity: str, limit: int, needed: int) -> ExpressionBudgetError:
    return ExpressionBudgetError(
        quantity,
        limit,
        needed,
        "A formula this long is not for people: raise max_operations, or write out a "
        "smaller network.",
    )


def identifiers(names: Sequence[str]) -> list[str]:
    """Plain, distinct identifiers that look like the names of a program's inputs.

    >>> identifiers(["params[0]['w']", "x", "lambda", "v1", "x"])
    ['params_0_w', 'x', 'lambda_', 'v1_', 'x_']
    """
    made: list[str] = []
    for name in names:
        plain = "_".join(re.findall("[A-Za-z0-9]+", name)) or "x"
        if plain[0].isdigit():
            plain = f"x_{plain}"
        taken = re.fullmatch("[vk][0-9]*|np|math|b|L", plain) or plain in RESERVED
        if taken or iskeyword(plain):
            plain += "_"
        while plain in made:
            plain += "_"
        made.append(plain)
    return made


# Words that some language or the generated code itself has taken.
_WORDS = """
gradient value double float int long char void const static for if else return
sizeof struct union enum switch case default do while break continue goto auto
register signed unsigned short typedef volatile extern inline restrict main exp
expm1 exp2 log log1p log2 sqrt pow sin cos tan asin acos atan sinh cosh tanh erf
fabs sigmoid softplus relu sign step same where largest smallest logsumexp ties
absolute real_power positive_log exponent_below equal not_equal less less_equal
greater greater_equal logical_and logical_or logical_xor logical_not gamma y0 y1
yn j0 j1 jn signgam NAN INFINITY
"""
RESERVED = frozenset(_WORDS.split())


def plain(value: Number) -> str:
    """A number in digits that give the same float64 back."""
    whole = isinstance(value, int) and abs(value) < 2**53
    return repr(value if whole else float(value))
