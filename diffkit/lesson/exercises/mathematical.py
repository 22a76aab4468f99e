"""Exercises that are answered by numbers; the package computes what is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffkit import losses, nn, optim
from diffkit.backends import get_backend
from diffkit.graph import Graph, trace
from diffkit.lesson.exercises.exercise import Exercise, Numbers
from diffkit.measure.descent import descend
from diffkit.train.batches import Batches
from diffkit.transform import prepare, value_and_grad

#: Reverse mode as NumPy runs it: nothing is compiled for so few numbers.
REVERSE = get_backend("autodiff", runtime="numpy")


def at_one_one() -> Sequence[float]:
    """∂L/∂w and ∂L/∂b of (w·x + b − y)² at (1, 1) for x = 2, y = 5."""
    _, slopes = value_and_grad(
        lambda p: (p[0] * 2.0 + p[1] - 5.0) ** 2, backend=REVERSE
    )(np.ones(2))
    return slopes.tolist()


def first_weights() -> Sequence[float]:
    """The weight after each of three steps down (w − 3)² from 0."""
    square = value_and_grad(lambda w: np.sum((w - 3.0) ** 2), backend=REVERSE)
    return descend(square, optim.sgd(0.1), [0.0], 3).points[1:, 0].tolist()


def iterations() -> Sequence[float]:
    """Iterations of an epoch without the partial batch, and with it."""
    return [len(Batches(50_000, 64, drop_last=drop)) for drop in (True, False)]


def evaluations() -> Sequence[float]:
    """Forward passes of a central difference, for 10-64-32-1."""
    net = nn.mlp((10, 64, 32, 1), "tanh")
    x, y = np.zeros((1, 10)), np.zeros((1, 1))
    central = get_backend("finite_differences", method="central", runtime="numpy")
    prepared = prepare(
        lambda params: losses.mse(net.apply(params, x), y),
        net.init(np.random.default_rng(0)),
        backend=central,
    )
    return [float(prepared.info.evaluations)]


def line_data(n: int = 100, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """The points of the source's exercise, drawn as it draws them."""
    legacy = np.random.RandomState(seed)
    x = legacy.randn(n)
    return x, 2.0 * x + 0.5 + 0.1 * legacy.randn(n)


def fitted_line() -> Sequence[float]:
    """W and b after 100 steps of gradient descent at rate 0.1 from zero."""
    x, y = line_data()
    loss = value_and_grad(lambda p: losses.mse(p[0] * x + p[1], y), backend=REVERSE)
    return descend(loss, optim.sgd(0.1), np.zeros(2), 100).last.tolist()


def paths_and_nodes() -> Sequence[float]:
    """Paths from a first unit to the output at width 3 and depth 4, and the units."""
    width, depth = 3, 4

    def network(first: Any) -> Any:
        layer = [np.tanh(first * (k + 1.0)) for k in range(width)]
        for _ in range(depth - 1):
            layer = [
                np.tanh(sum((j + k + 1.0) * unit for j, unit in enumerate(layer)))
                for k in range(width)
            ]
        return sum(layer)

    # Through the first layer all three units are reached; one of them is asked for.
    graph = trace(network, 1.0)
    return [_paths(graph) / width, float(width * depth + 1)]


def _paths(graph: Graph) -> int:
    """How many ways lead from the input to the output."""
    ways: list[int] = []
    for node in graph.nodes:
        below = sum(ways[place] for place in node.inputs)
        ways.append(1 if node.op.name == "input" else below)
    return ways[graph.outputs[0]]


def ten_quarters() -> Sequence[float]:
    """The largest slope of the logistic function, to the tenth power."""
    _, slope = value_and_grad(lambda z: 1.0 / (1.0 + np.exp(-z)), backend=REVERSE)(0.0)
    return [float(slope) ** 10]


MATHEMATICAL = (
    Exercise(
        7,
        "A gradient by hand",
        "`L = (w·x + b − y)²` with `x = 2` and `y = 5`. What are `∂L/∂w` and `∂L/∂b` "
        "at `w = 1`, `b = 1`?",
        "The outer derivative is `2·(w·x + b − y)`. What is the inner one, for each of "
        "the two?",
        Numbers(
            ("∂L/∂w", "∂L/∂b"),
            at_one_one,
            "The miss is `2·1 + 1 − 5 = −2`, so that the outer derivative is `−4`; "
            "times `x = 2` for `w`, times `1` for `b`.",
        ),
    ),
    Exercise(
        8,
        "The first steps of one weight",
        "`L = (w − 3)²`, learning rate `0.1`, start at `w = 0`. What is the weight "
        "after the first, the second and the third step?",
        "`w − 0.1·2·(w − 3)`, again and again.",
        Numbers(
            ("w after the first step", "after the second", "after the third"),
            first_weights,
            "Each step leaves `0.8` of the distance to `3`.",
        ),
    ),
    Exercise(
        9,
        "Iterations of an epoch",
        "`50,000` images in batches of `64`. How many iterations has an epoch if the "
        "last, partial batch is dropped, and how many if it is not?",
        "Divide; then ask what becomes of the rest.",
        Numbers(
            ("dropped", "kept"),
            iterations,
            "`50,000 / 64` lies between the two whole numbers.",
            tolerance=0.0,
        ),
    ),
    Exercise(
        10,
        "The bill of nudging",
        "A network `10-64-32-1` has a weight for each connection and a bias for each "
        "unit behind the input. How many forward passes does one gradient by central "
        "differences take?",
        "Count the parameters of each layer: inputs times outputs, and outputs once "
        "more.",
        Numbers(
            ("forward passes",),
            evaluations,
            "Two passes for each of `10·64 + 64 + 64·32 + 32 + 32·1 + 1` parameters.",
            tolerance=0.0,
        ),
    ),
    Exercise(
        11,
        "The line of the exercise",
        "`np.random.seed(42)`, `X = np.random.randn(100, 1)`, `y = 2*X + 0.5 + "
        "0.1*np.random.randn(100, 1)`. Gradient descent on the mean square from zero, "
        "rate `0.1`, `100` steps. What are `w` and `b`, to three decimals?",
        "The slopes are `2·mean((w·x + b − y)·x)` and `2·mean(w·x + b − y)`.",
        Numbers(
            ("w", "b"),
            fitted_line,
            "Not `2` and `0.5`: the noise moves the minimum, and descent finds that of "
            "the data.",
            tolerance=6e-4,
        ),
    ),
    Exercise(
        12,
        "Paths against nodes",
        "Four hidden layers of `3` units each, every unit joined to all of the next "
        "layer, and one output. How many paths lead from one unit of the first layer "
        "to the output, and how many units (with the output) are there?",
        "At each of the following hidden layers a path chooses a unit.",
        Numbers(
            ("paths", "units"),
            paths_and_nodes,
            "Three choices at each of three layers. The formula spells out each path; "
            "reverse mode visits each unit once.",
            tolerance=0.0,
        ),
    ),
    Exercise(
        13,
        "A product of quarters",
        "The slope of the logistic function is at most `0.25`. What is the product of "
        "that slope over `10` layers? A source prints `0.0000001`.",
        "`0.25` is two to the power of minus two.",
        Numbers(
            ("product",),
            ten_quarters,
            "Two to the power of minus twenty. What the source prints is off by a "
            "factor of nearly ten.",
            tolerance=5e-9,
        ),
    ),
)
