"""Sizes counted by layers are those of the scalars; the shared form is backprop."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from diffkit.backends.base import Program
from diffkit.backends.symbolic import Symbolic, count_forms, count_rows
from diffkit.backends.symbolic.derive import read_scalars
from diffkit.backends.symbolic.differentiate import reverse, slope_template
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import Size, measure, needed_rows
from diffkit.errors import UserInputError
from diffkit.functions import relu, sigmoid
from diffkit.graph import simplify
from tests.backends.test_symbolic import program_of
from tests.cases import mlp

SIZES = [[2, 1], [2, 2, 1], [3, 4, 2], [2, 3, 4, 1], [2, 3, 3, 2, 2], [1, 1, 1, 1]]


def scalars_of(program: Program) -> tuple[Rows, int, list[int]]:
    """The value as scalar rows, and the rows of the parameters."""
    graph = simplify(program.graph)
    scalars, rows = read_scalars(graph, program.wrt, "auto", True, lambda n: None)
    assert isinstance(rows, Rows)
    names = [name for p in program.wrt for name in scalars.leaves[p].names]
    return rows, scalars.value[0], [rows.symbol(name) for name in names]


def numbers(size: Any) -> tuple[int, ...]:
    return (
        size.tree_operations,
        size.tree_nodes,
        size.shared_operations,
        size.shared_nodes,
        size.height,
    )


def textbook(program: Program) -> Size:
    """The written-out derivative of every parameter, scalar by scalar, by recursion."""
    rows, value, parameters = scalars_of(program)

    @cache
    def slope(row: int, position: int) -> int:
        head, arguments = rows.heads[row], rows.arguments[row]
        exponent = rows.payloads[arguments[1]] if head == "power" else None
        template = slope_template(head, len(arguments), position, exponent)
        return rows.replay(template, arguments)

    def derivative(row: int, p: int) -> int | None:
        if row == p:
            return rows.number(1)
        head, terms = rows.heads[row], []
        for position, argument in enumerate(rows.arguments[row]):
            d = known(argument, p)
            if d is None:
                continue
            if head == "batch_sum":
                return rows.raw("batch_sum", (d, rows.number(rows.batch)))
            if head == "add":
                terms.append(d)
                continue
            by = slope(row, position)
            if rows.heads[by] == "number" and rows.payloads[by] == 0:
                continue
            one = rows.payloads[d] == 1 and rows.heads[d] == "number"
            terms.append(by if one else rows.raw("multiply", (by, d)))
        if len(terms) < 2:
            return terms[0] if terms else None
        return rows.raw("add", tuple(terms))

    known = cache(derivative)
    found = [known(value, p) for p in parameters]
    return measure(rows, [value, *[d for d in found if d is not None]])


@pytest.mark.parametrize(
    "activation", [np.tanh, sigmoid, relu, np.sin], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_counts_by_layers_are_those_of_the_scalars(sizes: Any, activation: Any) -> None:
    f, args = mlp(sizes, batch=5, activation=activation)
    program, _ = program_of(f, args)
    counted = count_forms(program)
    rows, value, parameters = scalars_of(program)
    gradients = reverse(rows, value, parameters, lambda: None)
    by_rows = measure(rows, [value, *gradients])
    assert numbers(counted["shared"]) == numbers(by_rows)
    details = Symbolic().compile(program).info.details
    assert counted["shared"].tree_nodes == details["tree_nodes"]
    assert counted["shared"].sharing_ratio == details["sharing_ratio"]
    written = textbook(program)
    assert numbers(counted["expanded"]) == numbers(written)
    assert counted["cse"] == counted["expanded"]


@pytest.mark.parametrize("sizes", [[2, 2, 1], [2, 3, 4, 1], [4, 4, 4, 4, 1]], ids=str)
def test_sympys_simplified_formula_is_as_long_as_the_textbooks(sizes: Any) -> None:
    program, _ = program_of(*mlp(sizes, batch=5))
    ours = count_forms(program)["expanded"].tree_operations
    details = Symbolic(form="expanded").compile(program).info.details
    assert ours == pytest.approx(details["tree_operations"], rel=0.01)


def test_loops_over_stacked_parameters() -> None:
    w, x = np.ones((6, 3, 3)), np.ones((4, 3))

    def f(w: Any, x: Any) -> Any:
        h = x
        for i in range(6):
            h = np.tanh(h @ w[i])
        return np.sum(h)

    program, _ = program_of(f, (w, x))
    rows, value, parameters = scalars_of(program)
    gradients = reverse(rows, value, parameters, lambda: None)
    counted = count_forms(program)
    assert numbers(counted["shared"]) == numbers(measure(rows, [value, *gradients]))
    assert numbers(counted["expanded"]) == numbers(textbook(program))


MIXED = {
    "weight decay": lambda w, x: np.mean(np.tanh(x @ w) ** 2) + 0.1 * np.sum(w**2),
    "used twice": lambda w, x: np.sum(np.tanh(w) * w) + np.sum(w**3),
    "plain numbers": lambda w, x: np.sum(w + w),
    "quotient": lambda w, x: np.mean((x @ w) / (1 + np.square(x @ w))),
    "units summed": lambda w, x: np.sum(np.exp(np.mean(x @ w, axis=1)) * x[:, 0]),
    "transposed": lambda w, x: np.sum(np.sin(w.T @ x.T)),
    "mean of a batch": lambda w, x: np.sum(np.tanh(np.mean(x @ w, axis=0)) ** 3),
    "broadcast": lambda w, x: np.sum((x @ w) * np.sum(w, axis=0)),
    "maximum": lambda w, x: np.sum(np.max(x @ w, axis=1)),
    "ties": lambda w, x: np.sum(np.max(np.stack([w[0], w[1], w[0]]), axis=0) ** 2),
    "slices": lambda w, x: np.sum((x @ w)[:, 1:] * np.tanh(x @ w)[:, :-1]),
    "concatenated": lambda w, x: np.sum(
        np.tanh(np.concatenate([x @ w, x], axis=1)) @ np.ones(7)
    ),
    "stacked": lambda w, x: np.mean(np.prod(np.stack([x @ w, 2 * x @ w]), axis=0)),
    "constants": lambda w, x: np.sum(x @ w * np.arange(4.0)),
    "gram": lambda w, x: np.sum(np.tanh(w @ w.T)),
    "choice": lambda w, x: np.sum(np.where(x @ w > 0, w[0], np.exp(w[1]))),
    "samples reversed": lambda w, x: np.sum((x @ w)[::-1] * (x @ w)),
    "softmax": lambda w, x: np.sum(np.exp(x @ w) / np.sum(np.exp(x @ w))),
    "kept axis": lambda w, x: np.sum(np.tanh(np.sum(w, axis=1, keepdims=True) * w)),
}


@pytest.mark.parametrize("name", MIXED)
def test_counts_of_other_programs_are_right(name: str) -> None:
    program, _ = program_of(MIXED[name], (np.ones((3, 4)), np.ones((5, 3))))
    counted = count_forms(program)
    rows, value, parameters = scalars_of(program)
    gradients = reverse(rows, value, parameters, lambda: None)
    by_rows = measure(rows, [value, *gradients])
    assert numbers(counted["shared"]) == numbers(by_rows)
    assert numbers(counted["expanded"]) == numbers(textbook(program))


def test_sizes_at_depth_a_thousand_and_width_sixty_four() -> None:
    program, _ = program_of(*mlp([64] * 1001 + [1], batch=2))
    counted = count_forms(program)
    assert counted["expanded"].tree_operations > 10**1800
    assert counted["expanded"].sharing_ratio == float("inf")
    assert counted["expanded"].tree_operations < counted["shared"].tree_operations
    # Reverse mode does a small multiple of the work of the loss.
    weights = 64 * 64 * 1000
    assert 4 * weights < counted["shared"].shared_operations < 7 * weights
    assert counted["cse"].shared_operations > 10**5 * weights


@pytest.mark.parametrize(
    "f, said",
    [
        (lambda w, x: np.sum(np.max(x @ w, axis=1)), "max does not treat"),
        (lambda w, x: np.sum((x @ w)[:, 1:]), "index"),
        (lambda w, x: np.sum(x @ w * np.arange(4.0)), "constant"),
        (lambda w, x: np.sum(w @ w.T), "paired with itself"),
        (lambda w, x: np.sum(np.concatenate([x @ w, x], axis=1)), "concatenate"),
    ],
)
def test_what_is_not_uniform_and_large_is_refused_by_name(
    f: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_rows, "LARGEST", 20)
    program, _ = program_of(f, (np.ones((3, 4)), np.ones((5, 3))))
    with pytest.raises(UserInputError, match=said) as caught:
        count_forms(program)
    assert "too large to be counted row by row" in str(caught.value)
    assert "budget is 20" in str(caught.value)


def test_sizes_row_by_row_stay_exact_where_nothing_could_be_printed() -> None:
    """The logistic map by slices: a chain of 200, written out 2²⁰⁰ times as long."""

    def f(w: Any, x: Any) -> Any:
        h = w
        for _ in range(200):
            h = np.concatenate([3.7 * h[:1] * (1 - h[1:]), h[:1] + h[1:]])
        return np.sum(h)

    program, _ = program_of(f, (np.array([0.3, 0.4]), np.ones(3)))
    counted = count_forms(program)
    assert counted["expanded"].counted == "row by row"
    assert counted["expanded"].tree_operations > 2**200
    assert counted["shared"].shared_operations < 200 * 20


# ---- the shared form is scalar backpropagation ------------------------------------


class Tape:
    """Scalar backpropagation as it is taught: every operation is counted."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        # (what to do to the cotangents of the inputs) of each value, in order
        self.steps: list[list[tuple[int, Any]]] = []

    def value(self, kind: str = "", inputs: Any = ()) -> int:
        if kind:
            self.done[kind] += 1
        self.steps.append(list(inputs))
        return len(self.steps) - 1

    def add(self, *terms: int) -> int:
        self.done["add"] += len(terms) - 1
        return self.value("", [(t, "pass") for t in terms])

    def multiply(self, a: int, b: int) -> int:
        return self.value("multiply", [(a, "scale"), (b, "scale")])

    def tanh(self, a: int) -> int:
        return self.value("tanh", [(a, "tanh")])

    def backward(self, loss: int, wanted: set[int], fixed: set[int]) -> None:
        """Cotangents from the loss down; those of data are not computed."""
        arrived: Counter[int] = Counter({loss: 1})
        for here in range(loss, -1, -1):
            if not arrived[here]:
                continue
            self.done["add"] += arrived[here] - 1
            for source, how in self.steps[here]:
                if source in fixed:
                    continue
                if how in {"scale", "square"}:
                    self.done["multiply"] += 1
                if how == "square":  # g · (2 · x)
                    self.done["multiply"] += 1
                if how == "tanh":  # g · (1 + (−1) · y²)
                    self.done.update({"power": 1, "add": 1, "multiply": 2})
                arrived[source] += 1
        assert all(arrived[w] for w in wanted)


def backprop(sizes: list[int]) -> Counter[str]:
    """Operations of value and gradient for one sample of a tanh network."""
    tape = Tape()
    x = [tape.value() for _ in range(sizes[0])]
    fixed = set(x)
    wanted: set[int] = set()
    h = x
    for layer, (wide, narrow) in enumerate(pairwise(sizes)):
        out = []
        for _ in range(narrow):
            weights = [tape.value() for _ in range(wide)]
            bias = tape.value()
            wanted |= {*weights, bias}
            products = [tape.multiply(w, z) for w, z in zip(weights, h, strict=True)]
            z = tape.add(tape.add(*products), bias)
            out.append(tape.tanh(z) if layer < len(sizes) - 2 else z)
        h = out
    errors = []
    for z in h:
        target = tape.value()
        minus = tape.value("multiply", [])  # (−1) · target
        fixed |= {target, minus}
        difference = tape.add(z, minus)
        errors.append(tape.value("power", [(difference, "square")]))
    tape.backward(tape.add(*errors), wanted, fixed)
    return tape.done


# Scaling by 1/outputs and 1/samples, once on the way up and once on the way down.
LOSS = 2


@pytest.mark.parametrize("sizes", [*SIZES, [4, 8, 8, 1], [3, 5, 5, 5, 5, 2]], ids=str)
def test_the_shared_form_does_the_work_of_scalar_backprop(sizes: list[int]) -> None:
    """Op for op: equal counts of every kind but the scaling of the loss by its mean.

    The difference is at most `LOSS` multiplications an output of the network, and the
    sums over the batch: one a parameter and one for the loss, whatever width and depth.
    """
    program, _ = program_of(*mlp(sizes, batch=5))
    rows, value, parameters = scalars_of(program)
    gradients = reverse(rows, value, parameters, lambda: None)
    done: Counter[str] = Counter()
    for row in needed_rows(rows, [value, *gradients]):
        head, arity = rows.heads[row], len(rows.arguments[row])
        if head in {"add", "multiply"}:
            done[head] += arity - 1
        elif head not in {"symbol", "number"}:
            done[head] += 1
    sums = done.pop("batch_sum")
    taught = backprop(sizes)
    assert sums <= 1 + len(parameters)
    for kind in ("add", "tanh", "power"):
        assert done[kind] == taught[kind], kind
    assert done.keys() <= taught.keys()
    assert abs(done["multiply"] - taught["multiply"]) <= LOSS + LOSS * sizes[-1]
