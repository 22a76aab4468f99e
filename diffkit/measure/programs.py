"""Random programs: every op, shared values, broadcasting, dead code, kinks and ties.

`grow` adds one random step to a program that is being traced; who picks (a generator
with a seed, or hypothesis) is the caller's business. Values are kept in a range where
derivatives are well defined by squashing before operations with a narrow domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.graph import Graph, Traced, trace
from diffkit.ops import TABLE

#: Chooses one of the items it is given.
Pick = Callable[[Sequence[Any]], Any]

SHAPES: tuple[tuple[int, ...], ...] = (
    (), (3,), (2, 3), (2, 1), (1, 3), (2, 2, 3), (3, 3), (0, 3),
)  # fmt: skip
#: Exact ties and kinks are drawn as often as this.
SPECIAL = (0.0, 0.1, -0.2, 1.0, 0.5)
UNARY_ANYWHERE = [
    "negative",
    "square",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "softplus",
    "arctan",
    "erf",
    "abs",
    "relu",
    "expm1",
    "sign",
]
# Rows with a narrow domain, and what to apply first to be inside it.
UNARY_SQUASHED = [
    "exp",
    "exp2",
    "log",
    "log1p",
    "log2",
    "sqrt",
    "reciprocal",
    "tan",
    "arcsin",
    "arccos",
    "sinh",
    "cosh",
]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum"]
REDUCE = ["sum", "mean", "max", "min", "logsumexp", "prod"]
COMPARISONS = ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]


@dataclass(frozen=True)
class RandomProgram:
    """A traced program with inputs to run it at and to differentiate it by."""

    graph: Graph
    leaves: tuple[np.ndarray, ...]

    @property
    def wrt(self) -> tuple[int, ...]:
        return tuple(range(len(self.leaves)))

    def __repr__(self) -> str:
        return f"{self.graph.listing()}\nat {self.leaves!r}"


def random_leaves(
    rng: np.random.Generator, shapes: Sequence[tuple[int, ...]]
) -> tuple[np.ndarray, ...]:
    """Inputs in (−1.5, 1.5), one in seven on a kink or equal to another."""
    leaves = []
    for shape in shapes:
        values = np.asarray(rng.uniform(-1.5, 1.5, shape))
        special = rng.choice(np.array(SPECIAL), shape)
        leaves.append(np.where(rng.random(shape) < 1 / 7, special, values))
    return tuple(leaves)


def random_program(seed: int, most_steps: int = 8) -> RandomProgram:
    """A random scalar program over one to three inputs, the same for the same seed.

    >>> random_program(3).graph.listing() == random_program(3).graph.listing()
    True
    """
    rng = np.random.default_rng(seed)

    def pick(items: Sequence[Any]) -> Any:
        return items[int(rng.integers(len(items)))]

    shapes = [pick(SHAPES) for _ in range(pick((1, 2, 3)))]
    leaves = random_leaves(rng, shapes)
    return grown(leaves, pick(range(1, most_steps + 1)), pick)


def grown(leaves: tuple[np.ndarray, ...], steps: int, pick: Pick) -> RandomProgram:
    """A program of so many random steps over the given inputs."""

    def body(*inputs: Any) -> Any:
        values = list(inputs)
        for _ in range(steps):
            values.append(grow(pick(KINDS), pick, values))
        # Later values first; earlier ones are shared or dead.
        return total(values[-pick((1, 2, 3)) :])

    return RandomProgram(trace(body, *leaves), leaves)


def grow(kind: str, pick: Pick, values: Sequence[Traced]) -> Traced:
    """One more value from earlier ones, by a step of the given kind."""
    return _STEPS[kind](pick, pick(values), values)


def total(values: Sequence[Traced]) -> Any:
    """The sum of all elements of some values: a program's scalar output."""
    sums: list[Any] = [np.sum(value) if value.ndim else value for value in values]
    result = sums[0]
    for value in sums[1:]:
        result = result + value
    return result


def _squash(x: Any) -> Any:
    """Into (0.25, 0.75), where every narrow row is smooth."""
    return TABLE["sigmoid"](x) * 0.5 + 0.25


def _partner(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    fitting = [v for v in values if _broadcasts(x.shape, v.shape)]
    return pick(fitting)


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def _unary(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    return TABLE[pick(UNARY_ANYWHERE)](np.tanh(x) * 1.3)


def _squashed(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    return TABLE[pick(UNARY_SQUASHED)](_squash(x))


def _binary(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    return TABLE[pick(BINARY)](x, _partner(pick, x, values))


def _divide(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    return x / (_squash(_partner(pick, x, values)) + 0.5)


def _power(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    exponent = pick([0.0, 1.5, 2, 3, -1, None])
    if exponent is None:
        return TABLE["power"](_squash(x), np.tanh(_partner(pick, x, values)))
    return _squash(x) ** exponent


def _where(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    y = _partner(pick, x, values)
    condition = TABLE[pick(COMPARISONS)](x, 0.1)
    other = TABLE[pick(COMPARISONS)](y, -0.2)
    joined = TABLE[pick(LOGICAL)](condition, other)
    if pick((True, False)):
        joined = TABLE["logical_not"](joined)
    return np.where(joined, np.sin(x), y)


def _matmul(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    if x.ndim < 2:
        x = np.reshape(x, (1, x.size))
    return np.tanh(x) @ np.tanh(np.swapaxes(x, -1, -2))


def _reduce(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    if not x.ndim or 0 in x.shape:
        return np.sum(x) if x.ndim else x
    axis = pick([None, *range(x.ndim)])
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    op = TABLE[pick(REDUCE)]
    return op(np.tanh(x), axes=axes, keepdims=pick((True, False)))


def _shape(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    which = pick(["transpose", "ravel", "broadcast", "newaxis"])
    if which == "transpose":
        return x.T
    if which == "ravel":
        return x.reshape(-1)
    if which == "broadcast" and x.ndim < 3:
        return np.broadcast_to(x, (2, *x.shape))
    return np.expand_dims(x, 0) if x.ndim < 3 else x


def _index(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    if not x.ndim or 0 in x.shape:
        return x
    n = x.shape[0]
    key = pick(
            [0, -1, slice(None, None, -1), slice(0, n, 2), slice(1, 1),
             np.array([0, n - 1, 0]), (None, ..., 0), (slice(None), None)]

    )  # fmt: skip
    return x[key]


def _join(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    same = [v for v in values if v.shape == x.shape]
    y = pick(same)
    if x.ndim and pick((True, False)):
        return np.concatenate([x, y, x], axis=pick(range(x.ndim)))
    return np.stack([x, y], axis=0) if x.ndim < 3 else x


def _cumsum(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    if not x.ndim:
        return x
    return np.cumsum(x, axis=pick(range(x.ndim)))


def _scatter(pick: Pick, x: Any, values: Sequence[Traced]) -> Any:
    return np.diag(np.tanh(x.reshape(-1)))[:3]


_STEPS: dict[str, Callable[[Pick, Any, Sequence[Traced]], Any]] = {
    "unary": _unary,
    "squashed": _squashed,
    "binary": _binary,
    "divide": _divide,
    "power": _power,
    "where": _where,
    "matmul": _matmul,
    "reduce": _reduce,
    "shape": _shape,
    "index": _index,
    "join": _join,
    "cumsum": _cumsum,
    "scatter": _scatter,
}
KINDS: tuple[str, ...] = tuple(_STEPS)
