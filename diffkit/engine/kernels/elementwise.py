"""Elementwise kernels: one scalar function each, looped in the shapes that occur.

The output is contiguous. An input is read with inner stride 1 or 0 and any outer
stride, which covers contiguous, scalar, row-broadcast and column-broadcast operands
and slices of rows without copying them; lowering copies whatever is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from diffkit.engine import vector_math
from diffkit.engine.emit import (
    Number,
    Operand,
    call,
    equal,
    larger,
    rounded_twice,
    select,
    smaller,
    unequal,
)
from diffkit.engine.kernels.fields import (
    A_INNER,
    A_OUTER,
    B_INNER,
    B_OUTER,
    C_INNER,
    C_OUTER,
    INNER,
    OUT,
    OUTER,
    A,
    B,
    C,
)
from diffkit.engine.kernels.written import Kernel, kernel

# Elements that `bounded` looks at before it computes them: half the first-level cache.
BOUNDED_BLOCK = 2048
PERIODIC = ("sin", "cos", "tan")

Function = Callable[..., Operand]


def unary(name: str, function: Function) -> Any:
    """The kernel out[i, j] = function(a[i, j]), in the arena's own precision."""

    def write(k: Kernel) -> None:
        inner = k.field(INNER)
        with k.loop(0, k.field(OUTER)) as i:
            out, a = k.field(OUT) + i * inner, k.field(A) + i * k.field(A_OUTER)
            with k.loop(0, inner) as j:
                k.store(out + j, function(k.load(a + j)))

    return kernel(name, write)


def bounded(name: str, function: Function, beyond: Function, limit: float) -> Any:
    """The kernel out[i, j] = function(a[i, j]) where |a| ≤ limit, else beyond(a[i, j]).

    `beyond` is a call for each element, which vector code cannot make: only blocks in
    which some element is that large leave the fast loop. An element's value does not
    depend on the block that it lies in.
    """

    def either(x: Number) -> Number:
        return select(abs(x) > limit, beyond(x), function(x))

    def write(k: Kernel) -> None:
        inner = k.field(INNER)
        with k.loop(0, k.field(OUTER)) as i:
            out, a = k.field(OUT) + i * inner, k.field(A) + i * k.field(A_OUTER)
            with k.loop(0, inner, BOUNDED_BLOCK) as first:
                rest = inner - first
                last = first + select(rest < BOUNDED_BLOCK, rest, BOUNDED_BLOCK)

                def run(formula: Function) -> None:
                    with k.loop(first, last) as j:
                        k.store(out + j, formula(k.load(a + j)))

                k.choose(
                    k.any(first, last, lambda j: abs(k.load(a + j)) > limit),
                    partial(run, either),
                    partial(run, function),
                )

    return kernel(name, write)


def _run(
    k: Kernel,
    function: Function,
    starts: Sequence[Number],
    repeated: Sequence[bool],
) -> None:
    """One inner loop: repeated operands are read before it, the others along it."""
    out, *places = starts
    fixed = [k.load(p) if r else None for p, r in zip(places, repeated, strict=True)]
    with k.loop(0, k.field(INNER)) as j:
        values = [
            k.load(place + j) if value is None else value
            for place, value in zip(places, fixed, strict=True)
        ]
        k.store(out + j, function(*values))


def _starts(k: Kernel, i: Number, *operands: tuple[int, int]) -> list[Number]:
    """Where row i of the output and of the operands begins."""
    out = k.field(OUT) + i * k.field(INNER)
    return [out, *(k.field(p) + i * k.field(step) for p, step in operands)]


def binary(name: str, function: Function) -> Any:
    """The kernel out[i, j] = function(a[i, j], b[i, j])."""

    def write(k: Kernel) -> None:
        with k.loop(0, k.field(OUTER)) as i:
            run = partial(_run, k, function, _starts(k, i, (A, A_OUTER), (B, B_OUTER)))
            k.choose(
                equal(k.field(A_INNER), 0),
                partial(run, (True, False)),
                lambda: k.choose(
                    equal(k.field(B_INNER), 0),
                    partial(run, (False, True)),
                    partial(run, (False, False)),
                ),
            )

    return kernel(name, write)


def _write_where(k: Kernel) -> None:
    """Out = a if c else b; the condition is a 0/1 number, any operand may be scalar."""
    a_repeats, b_repeats = equal(k.field(A_INNER), 0), equal(k.field(B_INNER), 0)

    def chosen(a: Number, b: Number, c: Number) -> Number:
        return select(unequal(c, 0.0), a, b)

    with k.loop(0, k.field(OUTER)) as i:
        starts = _starts(k, i, (A, A_OUTER), (B, B_OUTER), (C, C_OUTER))
        out, a, b, c = starts
        run = partial(_run, k, chosen, starts)

        def one_side() -> None:
            """One choice for the whole row: a copy of the chosen side."""
            taken = unequal(k.load(c), 0.0)
            copy = partial(_run, k, lambda x: x, [out, select(taken, a, b)])
            repeats = select(taken, a_repeats, b_repeats)
            k.choose(repeats, partial(copy, (True,)), partial(copy, (False,)))

        def by_element() -> None:
            k.choose(
                a_repeats,
                lambda: k.choose(
                    b_repeats,
                    partial(run, (True, True, False)),
                    partial(run, (True, False, False)),
                ),
                lambda: k.choose(
                    b_repeats,
                    partial(run, (False, True, False)),
                    partial(run, (False, False, False)),
                ),
            )

        k.choose(equal(k.field(C_INNER), 0), one_side, by_element)


def _write_multiply_add(k: Kernel) -> None:
    """Out = a·b + c, rounded twice: what two instructions would give."""
    # A repeated b changes places with a.
    turned = equal(k.field(B_INNER), 0)
    a_repeats = turned | equal(k.field(A_INNER), 0)
    b_repeats = turned & equal(k.field(A_INNER), 0)
    c_repeats = equal(k.field(C_INNER), 0)

    with k.loop(0, k.field(OUTER)) as i:
        out, a, b, c = _starts(k, i, (A, A_OUTER), (B, B_OUTER), (C, C_OUTER))
        places = [out, select(turned, b, a), select(turned, a, b), c]
        run = partial(_run, k, rounded_twice, places)

        def times_repeated() -> None:
            k.choose(
                b_repeats,
                partial(run, (True, True, False)),
                lambda: k.choose(
                    c_repeats,
                    partial(run, (True, False, True)),
                    partial(run, (True, False, False)),
                ),
            )

        def times_along() -> None:
            k.choose(
                c_repeats,
                partial(run, (False, False, True)),
                partial(run, (False, False, False)),
            )

        k.choose(a_repeats, times_repeated, times_along)


def _sign(x: Number) -> Number:
    signed = select(x > 0.0, 1.0, select(x < 0.0, x.like(-1.0), x))
    return select(equal(x, 0.0), 0.0, signed)  # NaN fails all, and is handed on


def _truth(function: Callable[..., Number]) -> Function:
    """1 where a truth of the operands holds, else 0."""

    def truth(*operands: Number) -> Number:
        return select(function(*operands), operands[0].like(1.0), 0.0)

    return truth


def _holds(x: Number) -> Number:
    return unequal(x, 0.0)


def _periodic(name: str, function: Function) -> Any:
    limit = vector_math.TURNS_LIMIT
    return bounded(name, function, vector_math.beyond(name), limit)


_UNARY: dict[str, Function] = {
    "negative": lambda x: -x,
    "exp": vector_math.exp,
    "expm1": vector_math.expm1,
    "exp2": vector_math.exp2,
    "log": vector_math.log,
    "log1p": vector_math.log1p,
    "log2": vector_math.log2,
    "sqrt": lambda x: call("llvm.sqrt", x),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "abs": Number.__abs__,
    "sign": _sign,
    "arcsin": vector_math.arcsin,
    "arccos": vector_math.arccos,
    "arctan": vector_math.arctan,
    "sinh": vector_math.sinh,
    "cosh": vector_math.cosh,
    "tanh": vector_math.tanh,
    "sigmoid": vector_math.sigmoid,
    "softplus": vector_math.softplus,
    "relu": lambda x: select(x < 0.0, 0.0, x),  # hands NaN on
    "erf": vector_math.erf,
    "logical_not": _truth(lambda x: equal(x, 0.0)),
}
_BINARY: dict[str, Function] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": vector_math.power,
    "maximum": larger,
    "minimum": smaller,
    "equal": _truth(equal),
    "not_equal": _truth(unequal),
    "less": _truth(lambda x, y: x < y),
    "less_equal": _truth(lambda x, y: x <= y),
    "logical_and": _truth(lambda x, y: _holds(x) & _holds(y)),
    "logical_or": _truth(lambda x, y: _holds(x) | _holds(y)),
    "logical_xor": _truth(lambda x, y: _holds(x) ^ _holds(y)),
    "tanh_pullback": lambda g, y: g * (1.0 - y * y),
}
KERNELS: dict[str, Any] = {
    **{name: unary(name, function) for name, function in _UNARY.items()},
    **{name: _periodic(name, getattr(vector_math, name)) for name in PERIODIC},
    **{name: binary(name, function) for name, function in _BINARY.items()},
    "multiply_add": kernel("multiply_add", _write_multiply_add),
    "where": kernel("where", _write_where),
}
