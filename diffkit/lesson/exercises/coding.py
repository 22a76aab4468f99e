"""Exercises that are answered by a file; what is right, diffkit's backends say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diffkit import losses, optim
from diffkit.lesson.exercises.exercise import Exercise, Given, Program
from diffkit.lesson.exercises.mathematical import REVERSE, line_data
from diffkit.measure.descent import descend
from diffkit.transform import value_and_grad

#: An instruction: what to do, and with which two earlier values.
Instruction = tuple[str, int, int]


def slope_of_square(w: float) -> float:
    """Slope of (w − 3)²."""
    return 2.0 * (w - 3.0)


def slope_of_cosine(w: float) -> float:
    """Slope of 1 − cos w."""
    return float(np.sin(w))


def descent_inputs() -> Sequence[Given]:
    """Slopes, starts, rates and numbers of steps."""
    return (
        Given("(w − 3)² from 0 at rate 0.1, 3 steps", (slope_of_square, 0.0, 0.1, 3)),
        Given("(w − 3)² from 5 at rate 1, 4 steps", (slope_of_square, 5.0, 1.0, 4)),
        Given(
            "1 − cos w from 2 at rate 0.5, 20 steps", (slope_of_cosine, 2.0, 0.5, 20)
        ),
        Given("no step at all", (slope_of_square, 1.5, 0.1, 0)),
    )


def descent(
    gradient: Callable[[float], float], start: float, rate: float, steps: int
) -> np.ndarray:
    """The recorded descent of `diffkit.optim.sgd`, start included."""
    path = descend(
        lambda w: (0.0, np.array([gradient(float(w[0]))])),
        optim.sgd(rate),
        [start],
        steps,
    )
    return path.points[:, 0]


def sum_of_cubes(w: np.ndarray) -> Any:
    """Σ w³: one-sided differences are wrong by 3·w·h."""
    return np.sum(w**3)


def waves(w: np.ndarray) -> Any:
    """Sin w₀ · exp w₁ + w₂²."""
    return np.sin(w[0]) * np.exp(w[1]) + w[2] ** 2


def table_of_products(w: np.ndarray) -> Any:
    """Squares of the rows' sums of a matrix."""
    return np.sum(np.sum(w, axis=1) ** 2)


def difference_inputs() -> Sequence[Given]:
    """Functions and where to differentiate them."""
    table = np.array([[0.3, -1.0, 2.0], [0.5, 0.25, -0.75]])
    return (
        Given("sum of w³", (sum_of_cubes, np.array([1.0, -2.0, 0.5]), 1e-4)),
        Given("sin w₀ · exp w₁ + w₂²", (waves, np.array([0.7, -0.3, 1.1]), 1e-4)),
        Given("a matrix of two rows", (table_of_products, table, 1e-4)),
    )


def reverse_gradient(f: Callable[..., Any], w: np.ndarray, step: float) -> np.ndarray:
    """The same gradient by reverse mode: it needs no step."""
    return value_and_grad(f, backend=REVERSE)(w)[1]


def network_inputs() -> Sequence[Given]:
    """Networks of 2-2-1 units with both units on, one off, and both off."""
    rng = np.random.default_rng(7)
    found = []
    for label, bias, y in (
        ("both units on, y = 1", (3.0, 3.0), 1.0),
        ("the second unit off, y = 0", (3.0, -3.0), 0.0),
        ("both units off, y = 1", (-3.0, -3.0), 1.0),
        ("small biases, y = 0", (0.1, -0.2), 0.0),
    ):
        weights = rng.uniform(-1, 1, (2, 2)), np.array(bias)
        output = rng.uniform(-1, 1, 2), float(rng.uniform(-1, 1))
        found.append(Given(label, (*weights, *output, rng.uniform(-1, 1, 2), y)))
    return found


def network_gradient(
    w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: float, x: np.ndarray, y: float
) -> tuple[np.ndarray, ...]:
    """Gradient of the binary cross-entropy by reverse mode."""

    def loss(params: tuple[Any, ...]) -> Any:
        first, bias, second, last = params
        hidden = np.maximum(x @ first + bias, 0.0)
        return losses.binary_cross_entropy_with_logits(hidden @ second + last, y)

    return value_and_grad(loss, backend=REVERSE)((w1, b1, w2, np.asarray(b2)))[1]


def training_inputs() -> Sequence[Given]:
    """Points of a line, rates and numbers of steps."""
    x, y = line_data()
    few = np.array([-1.0, 0.0, 2.0])
    return (
        Given("one step", (few, 2 * few + 1, 0.1, 1)),
        Given("two steps", (few, 2 * few + 1, 0.1, 2)),
        Given("the points of exercise 11, 100 steps", (x, y, 0.1, 100)),
    )


def trained_line(x: np.ndarray, y: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """Weight and bias after gradient descent on the mean square from zero."""
    loss = value_and_grad(lambda p: losses.mse(p[0] * x + p[1], y), backend=REVERSE)
    return descend(loss, optim.sgd(rate), np.zeros(2), steps).last


def score_inputs() -> Sequence[Given]:
    """Scores of classes and the right class."""
    return (
        Given("three scores", (np.array([1.0, 2.0, 0.5]), 0)),
        Given("equal scores", (np.zeros(4), 3)),
        Given("scores of a thousand", (np.array([1000.0, 999.0, -1000.0]), 1)),
    )


def score_gradient(z: np.ndarray, label: int) -> np.ndarray:
    """Gradient of the cross-entropy of one row."""
    return value_and_grad(
        lambda z: losses.cross_entropy(z[None, :], np.array([label])), backend=REVERSE
    )(z)[1]


def tape_inputs() -> Sequence[Given]:
    """Recorded programs: a product, a value used twice, and sixteen squarings."""
    square = [("mul", k, k) for k in range(16)]
    return (
        Given("x₀ · x₁", ([("mul", 0, 1)], [3.0, -2.0])),
        Given("(x₀ + x₁) · x₀", ([("add", 0, 1), ("mul", 2, 0)], [1.5, 0.25])),
        Given(
            "an input that is never used",
            ([("add", 0, 0), ("mul", 3, 0)], [2.0, 5.0, 7.0]),
        ),
        Given("x₀ squared 16 times", (square, [1.0])),
    )


def tape_gradient(program: Sequence[Instruction], inputs: Sequence[float]) -> Any:
    """Gradient of the last value, by reverse mode."""

    def run(x: Any) -> Any:
        values = [x[place] for place in range(len(inputs))]
        for what, one, other in program:
            a, b = values[one], values[other]
            values.append(a + b if what == "add" else a * b)
        return values[-1]

    return value_and_grad(run, backend=REVERSE)(np.array(inputs))[1]


CODING = (
    Exercise(
        14,
        "Write gradient descent",
        "Write `gradient_descent(gradient, start, rate, steps)`: the list of all "
        "weights on the way, the start first. `gradient(w)` gives the slope.",
        "The list has one more entry than there are steps.",
        Program(
            "gradient_descent",
            '''def gradient_descent(gradient, start, rate, steps):
    """All weights on the way, the start first: steps + 1 of them."""
    weights = [start]
    # TODO: take the steps.
    return weights
''',
            ("weights",),
            descent_inputs,
            descent,
            1e-9,
        ),
    ),
    Exercise(
        15,
        "Write gradient checking by central differences",
        "Write `numerical_gradient(f, w, h)`: an array shaped like `w` with "
        "`(f(w + h) − f(w − h)) / 2h` for each entry in turn. Call `f` exactly twice "
        "for each entry, and leave `w` as it was.",
        "Copy `w`, change one entry, and put it back.",
        Program(
            "numerical_gradient",
            '''import numpy as np


def numerical_gradient(f, w, h):
    """Central differences, entry by entry; w is left as it was."""
    gradient = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        ...  # TODO: two calls of f.
    return gradient
''',
            ("gradient",),
            difference_inputs,
            reverse_gradient,
            1e-6,
            calls=lambda f, w, h: 2 * w.size,
        ),
    ),
    Exercise(
        16,
        "Write the backward pass of the `2-2-1` network",
        "`z1 = x @ W1 + b1`, `a1 = relu(z1)`, `z2 = a1 @ W2 + b2`, `p = sigmoid(z2)`, "
        "binary cross-entropy with `y`. Write `backward(W1, b1, W2, b2, x, y)`, which "
        "gives `(dW1, db1, dW2, db2)`. `W1` has shape `(2, 2)`, `W2` shape `(2,)`.",
        "Begin with `dz2 = p − y`. The cotangent of a unit that is off is zero.",
        Program(
            "backward",
            '''import numpy as np


def backward(W1, b1, W2, b2, x, y):
    """Gradients of the loss with respect to W1, b1, W2 and b2."""
    z1 = x @ W1 + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ W2 + b2
    p = 1 / (1 + np.exp(-z2))
    # TODO: from dz2 back to the weights.
    dW1, db1 = np.zeros_like(W1), np.zeros_like(b1)
    dW2, db2 = np.zeros_like(W2), 0.0
    return dW1, db1, dW2, db2
''',
            ("dW1", "db1", "dW2", "db2"),
            network_inputs,
            network_gradient,
            1e-9,
        ),
    ),
    Exercise(
        17,
        "Find the bug: forgotten zeroing",
        "The skeleton trains a line by gradient descent on the mean square, from zero, "
        "and gives `(w, b)`. The first step is right, the second is not. Find out why, "
        "and repair `train(x, y, rate, steps)`.",
        "What stands in the buffer when a step begins?",
        Program(
            "train",
            '''import numpy as np


def train(x, y, rate, steps):
    """Weight and bias after so many steps. It has a bug."""
    w, b = 0.0, 0.0
    buffer = np.zeros(2)
    for _ in range(steps):
        miss = w * x + b - y
        buffer += np.array([2 * np.mean(miss * x), 2 * np.mean(miss)])
        w, b = w - rate * buffer[0], b - rate * buffer[1]
    return np.array([w, b])
''',
            ("parameters",),
            training_inputs,
            trained_line,
            1e-9,
        ),
    ),
    Exercise(
        18,
        "A gradient that does not overflow",
        "Write `score_gradient(z, label)`: the gradient of the cross-entropy "
        "`−log softmax(z)[label]` with respect to the scores `z`. It has to be right "
        "for scores of a thousand as well.",
        "Softmax does not change when the same number is taken from all scores.",
        Program(
            "score_gradient",
            '''import numpy as np


def score_gradient(z, label):
    """Gradient of -log softmax(z)[label] with respect to z."""
    # TODO
    return np.zeros_like(z)
''',
            ("gradient",),
            score_inputs,
            score_gradient,
            1e-9,
        ),
    ),
    Exercise(
        19,
        "Write reverse mode",
        "A program is a list of `(what, i, j)` with `what` one of `add` and `mul`; "
        "it appends the sum or the product of values `i` and `j` to the list of "
        "values, which begins with the inputs. Write `reverse(program, inputs)`: the "
        "derivative of the last value with respect to each input.",
        "Forward first, keeping every value. Then one cotangent for each value, from "
        "the last to the first; what is used twice collects twice.",
        Program(
            "reverse",
            '''def reverse(program, inputs):
    """Derivatives of the last value with respect to each input."""
    values = list(inputs)
    for what, i, j in program:
        values.append(values[i] + values[j] if what == "add" else values[i] * values[j])
    cotangents = [0.0] * len(values)
    cotangents[-1] = 1.0
    # TODO: walk back through the program.
    return cotangents[: len(inputs)]
''',
            ("derivatives",),
            tape_inputs,
            tape_gradient,
            1e-9,
        ),
    ),
)
