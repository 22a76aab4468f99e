"""Einstein summation on traced values, as transposes, products and sums."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UnsupportedFunctionError
from diffkit.graph.traced import Traced, common_builder, lift


def einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Any:
    """`np.einsum` for any number of operands, taken pairwise from the left.

    Letters in one operand only are summed first; a letter repeated inside one operand
    takes its diagonal; every pair becomes one stack of matrix products.

    Raises UnsupportedFunctionError for ellipses and for the list form of subscripts.
    """
    if not isinstance(subscripts, str) or "." in subscripts:
        raise UnsupportedFunctionError(
            "np.einsum is traced for subscripts written as letters, such as "
            f"'ij,jk->ik', without ellipses; it was given {subscripts!r}."
        )
    text = subscripts.replace(" ", "")
    left, arrow, out = text.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted(set(left) - {","})
        out = "".join(c for c in letters if left.count(c) == 1)
    if len(terms) != len(operands):
        raise ShapeError(
            f"np.einsum({subscripts!r}) names {len(terms)} operands and was given "
            f"{len(operands)}."
        )
    builder = common_builder(operands)
    values = [lift(builder, operand) for operand in operands]
    _check(subscripts, terms, values, out)
    current, labels = _diagonal(values[0], terms[0])
    for position, (value, term) in enumerate(zip(values[1:], terms[1:], strict=True)):
        wanted = set(out).union(*terms[position + 2 :])
        current, labels = _pair(current, labels, *_diagonal(value, term), wanted)
    current, labels = _sum_out(current, labels, set(out))
    return np.transpose(current, [labels.index(c) for c in out])


def _check(subscripts: str, terms: list[str], values: list[Traced], out: str) -> None:
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        if len(term) != value.ndim:
            raise ShapeError(
                f"np.einsum({subscripts!r}): {term!r} names {len(term)} axes, and the "
                f"operand has shape {value.shape}."
            )
        for letter, n in zip(term, value.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"np.einsum({subscripts!r}): axis {letter!r} has lengths "
                    f"{sizes[letter]} and {n}."
                )
    if missing := set(out) - set(sizes):
        raise ShapeError(
            f"np.einsum({subscripts!r}): output axes {sorted(missing)} are in no "
            "operand."
        )


def _diagonal(x: Any, labels: str) -> tuple[Any, str]:
    """Take diagonals until every letter stands once."""
    while len(set(labels)) < len(labels):
        repeated = next(c for c in labels if labels.count(c) > 1)
        i = labels.index(repeated)
        j = labels.index(repeated, i + 1)
        x = np.diagonal(x, 0, i, j)
        labels = "".join(c for k, c in enumerate(labels) if k not in (i, j)) + repeated
    return x, labels


def _sum_out(x: Any, labels: str, wanted: set[str]) -> tuple[Any, str]:
    axes = tuple(i for i, c in enumerate(labels) if c not in wanted)
    if not axes:
        return x, labels
    return np.sum(x, axis=axes), "".join(c for c in labels if c in wanted)


def _pair(a: Any, of_a: str, b: Any, of_b: str, wanted: set[str]) -> tuple[Any, str]:
    """Contract two operands, keeping the letters in `wanted`."""
    a, of_a = _sum_out(a, of_a, wanted | set(of_b))
    b, of_b = _sum_out(b, of_b, wanted | set(of_a))
    batch = [c for c in of_a if c in of_b and c in wanted]
    summed = [c for c in of_a if c in of_b and c not in wanted]
    rows = [c for c in of_a if c not in of_b]
    columns = [c for c in of_b if c not in of_a]
    size = dict(zip(of_a + of_b, a.shape + b.shape, strict=True))

    def lengths(letters: list[str]) -> tuple[int, ...]:
        return tuple(size[c] for c in letters)

    left = np.transpose(a, [of_a.index(c) for c in batch + rows + summed])
    right = np.transpose(b, [of_b.index(c) for c in batch + summed + columns])
    stack = lengths(batch)
    product = np.matmul(
        left.reshape((*stack, prod(lengths(rows)), prod(lengths(summed)))),
        right.reshape((*stack, prod(lengths(summed)), prod(lengths(columns)))),
    )
    labels = batch + rows + columns
    return product.reshape(lengths(labels)), "".join(labels)
