"""How exact one elementwise row is, alone: its value and derivative over its range.

Points go from the smallest floats through the region of interest to saturation and
beyond; every error is against a proved value, in ulps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from diffkit.backends.runtime import RuntimeName, make_runner
from diffkit.graph import Builder, Graph, reverse
from diffkit.interpret.exact import certify
from diffkit.interpret.ulps import ulps
from diffkit.ops import TABLE, Op
from diffkit.ops.elementwise import TWO_OVER_SQRT_PI
from diffkit.ops.op import Rule

# Outside these a row is not defined, or not smooth to its end.
_DEFINED: dict[str, tuple[float, float]] = {
    "log": (0.0, np.inf),
    "log2": (0.0, np.inf),
    "sqrt": (0.0, np.inf),
    "log1p": (-1.0, np.inf),
    "arcsin": (-1.0, 1.0),
    "arccos": (-1.0, 1.0),
}
_LARGEST = float(np.finfo(np.float64).max)
_SMALLEST_NORMAL = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class RowError:
    """The worst error of one quantity of a row, and where.

    `quantity` is "value" or "derivative 0" (by the first input); `ulps` the worst
    error, `at` the inputs that gave it; `points` how many were compared.
    """

    quantity: str
    ulps: float
    at: tuple[float, ...]
    points: int


def range_points(op: Op, count: int = 60, seed: int = 0) -> list[np.ndarray]:
    """Inputs over an elementwise row's whole range, one array for each input."""
    rng = np.random.default_rng(seed)
    tiny = np.logspace(-290, 0, count)
    near = np.linspace(0.01, 45, 4 * count) + rng.uniform(-0.01, 0.01, 4 * count)
    far = np.logspace(np.log10(45), np.log10(760), count)
    line = np.concatenate([tiny, near, far, [1e4, 1e8, 1e16, 1e100, 1e150]])
    line = np.concatenate([-line[::-1], line])
    if op.arity == 1:
        low, high = _DEFINED.get(op.name, (-np.inf, np.inf))
        inside = np.concatenate(
            [line, 1 - np.logspace(-15, -0.1, count), np.logspace(-15, -0.1, count) - 1]
        )
        return [inside[(inside > low) & (inside < high)]]
    columns = [d.sample(rng, (8 * count,)) for d in op.domain]
    if op.kind == "boolean" or op.name == "where":
        columns[0] = np.round(columns[0])
    return [c * 10.0 ** rng.uniform(-3, 3, c.shape) for c in columns[:2]] + columns[2:]


def row_program(op: Op, size: int) -> Graph:
    """Σ op(x), whose gradient is the row's derivative at every point."""
    builder = Builder()
    inputs = [builder.input((size,)) for _ in range(op.arity or 0)]
    total = builder.apply(op, inputs)
    total = builder.apply(TABLE["sum"], [total], axes=(0,), keepdims=False)
    return builder.graph([total])


def row_errors(
    op: Op,
    runtime: RuntimeName = "engine",
    points: Iterable[np.ndarray] | None = None,
) -> list[RowError]:
    """Worst errors of a row's value and derivatives over its range, by reverse mode.

    Points whose true result overflows, or is so small that floats lose digits by
    themselves, are left out.
    """
    leaves = [np.asarray(p, np.float64) for p in points or range_points(op)]
    size = leaves[0].size
    summed = row_program(op, size)
    alone = Graph(summed.nodes, summed.inputs, (summed.nodes[-1].inputs[0],))
    smooth = [i for i, rule in enumerate(op.partials) if rule is not None]
    gradient = reverse(summed, smooth)
    derivatives = Graph(gradient.nodes, gradient.inputs, gradient.outputs[1:])
    found = []
    names = ["value", *(f"derivative {i}" for i in smooth)]
    for graph, wanted in ((alone, names[:1]), (derivatives, names[1:])):
        if not wanted:
            continue
        given = make_runner(graph, runtime, np.dtype(np.float64))(leaves)
        true = certify(graph, leaves).outputs
        for quantity, mine, balls in zip(wanted, given, true, strict=True):
            size_of = np.array([abs(float(b)) for b in balls])
            counted = (size_of <= _LARGEST / 4) & (
                (size_of >= _SMALLEST_NORMAL) | (size_of == 0)
            )
            errors = np.where(counted, ulps(mine.astype(float), balls), 0.0)
            worst = int(np.argmax(errors))
            at = tuple(float(leaf[worst]) for leaf in leaves)
            found.append(
                RowError(quantity, float(errors[worst]), at, int(counted.sum()))
            )
    return found


#: The other way to write a row's first derivative, where there is a choice to make:
#: what the textbook says, or what keeps digits that the row gives up.
OTHER_FORMS: Mapping[str, Rule] = {
    "sigmoid": lambda g, y, x: g * (y * (1.0 - y)),
    "tanh": lambda g, y, x: (
        g * (4.0 * (TABLE["sigmoid"](2.0 * x) * TABLE["sigmoid"](-2.0 * x)))
    ),
    "erf": lambda g, y, x: g * (TWO_OVER_SQRT_PI * TABLE["exp"](-(x * x))),
    "power": lambda g, y, x, b: g * (b * (y / x)),
}


def in_other_form(op: Op) -> Op:
    """The row with its first derivative written as `OTHER_FORMS` has it."""
    return replace(op, partials=(OTHER_FORMS[op.name], *op.partials[1:]))
