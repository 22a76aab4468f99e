"""Random programs for property tests: every op, shared values, broadcasting, dead code.

`programs()` is a hypothesis strategy. Values are kept in a range where derivatives are
well defined by squashing before the operations with a narrow domain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from diffkit.graph import Graph, Traced, trace
from diffkit.ops import TABLE

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


@st.composite
def programs(draw: st.DrawFn, most_steps: int = 8) -> RandomProgram:
    """A random scalar program over one to three inputs."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shapes = draw(
        st.lists(
            st.sampled_from(
                [(), (3,), (2, 3), (2, 1), (1, 3), (2, 2, 3), (3, 3), (0, 3)]
            ),
            min_size=1,
            max_size=3,
        )
    )
    leaves = tuple(np.asarray(rng.uniform(-1.5, 1.5, s)) for s in shapes)
    steps = draw(st.integers(1, most_steps))

    def body(*inputs):
        values = list(inputs)
        for _ in range(steps):
            values.append(_step(draw, values))
        # Later values first; earlier ones are shared or dead.
        used = values[-draw(st.integers(1, 3)) :]
        return _sum([_scalar(v) for v in used])

    return RandomProgram(trace(body, *leaves), leaves)


def _sum(values):
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _scalar(value):
    return np.sum(value) if value.ndim else value


def _squash(x):
    """Into (0.25, 0.75), where every narrow row is smooth."""
    return TABLE["sigmoid"](x) * 0.5 + 0.25


def _step(draw: st.DrawFn, values: list[Traced]) -> Traced:
    x = draw(st.sampled_from(values))
    kind = draw(
        st.sampled_from(
            ["unary", "squashed", "binary", "divide", "power", "where", "matmul",
             "reduce", "shape", "index", "join", "cumsum", "scatter"]
        )
    )  # fmt: skip
    return _STEPS[kind](draw, x, values)


def _partner(draw, x, values):
    fitting = [v for v in values if _broadcasts(x.shape, v.shape)]
    return draw(st.sampled_from(fitting))


def _broadcasts(a, b):
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def _unary(draw, x, values):
    return TABLE[draw(st.sampled_from(UNARY_ANYWHERE))](np.tanh(x) * 1.3)


def _squashed(draw, x, values):
    return TABLE[draw(st.sampled_from(UNARY_SQUASHED))](_squash(x))


def _binary(draw, x, values):
    return TABLE[draw(st.sampled_from(BINARY))](x, _partner(draw, x, values))


def _divide(draw, x, values):
    return x / (_squash(_partner(draw, x, values)) + 0.5)


def _power(draw, x, values):
    exponent = draw(st.sampled_from([0.0, 1.5, 2, 3, -1, None]))
    if exponent is None:
        return TABLE["power"](_squash(x), np.tanh(_partner(draw, x, values)))
    return _squash(x) ** exponent


def _where(draw, x, values):
    y = _partner(draw, x, values)
    condition = TABLE[draw(st.sampled_from(COMPARISONS))](x, 0.1)
    other = TABLE[draw(st.sampled_from(COMPARISONS))](y, -0.2)
    joined = TABLE[draw(st.sampled_from(LOGICAL))](condition, other)
    if draw(st.booleans()):
        joined = TABLE["logical_not"](joined)
    return np.where(joined, np.sin(x), y)


def _matmul(draw, x, values):
    if x.ndim < 2:
        x = np.reshape(x, (1, x.size))
    return np.tanh(x) @ np.tanh(np.swapaxes(x, -1, -2))


def _reduce(draw, x, values):
    if not x.ndim or 0 in x.shape:
        return np.sum(x) if x.ndim else x
    axis = draw(st.sampled_from([None, *range(x.ndim)]))
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    op = TABLE[draw(st.sampled_from(REDUCE))]
    return op(np.tanh(x), axes=axes, keepdims=draw(st.booleans()))


def _shape(draw, x, values):
    which = draw(st.sampled_from(["transpose", "ravel", "broadcast", "newaxis"]))
    if which == "transpose":
        return x.T
    if which == "ravel":
        return x.reshape(-1)
    if which == "broadcast" and x.ndim < 3:
        return np.broadcast_to(x, (2, *x.shape))
    return np.expand_dims(x, 0) if x.ndim < 3 else x


def _index(draw, x, values):
    if not x.ndim or 0 in x.shape:
        return x
    n = x.shape[0]
    key = draw(
        st.sampled_from(
            [0, -1, slice(None, None, -1), slice(0, n, 2), slice(1, 1),
             np.array([0, n - 1, 0]), (None, ..., 0), (slice(None), None)]
        )
    )  # fmt: skip
    return x[key]


def _join(draw, x, values):
    same = [v for v in values if v.shape == x.shape]
    y = draw(st.sampled_from(same))
    if x.ndim and draw(st.booleans()):
        return np.concatenate([x, y, x], axis=draw(st.integers(0, x.ndim - 1)))
    return np.stack([x, y], axis=0) if x.ndim < 3 else x


def _cumsum(draw, x, values):
    if not x.ndim:
        return x
    return np.cumsum(x, axis=draw(st.integers(0, x.ndim - 1)))


def _scatter(draw, x, values):
    return np.diag(np.tanh(x.reshape(-1)))[:3]


_STEPS = {
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
