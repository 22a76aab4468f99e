"""Data that are made up, by a recipe and a seed, and say so.

Each is a `Dataset` whose `synthetic` is True. Two classes are labels 0 and 1. Arguments
that they share: `n` rows; `noise`, the deviation of the normal noise added to x; `test`
and `validation`, the fractions held out; `rng`, a generator or its seed, which draws
rows and split; `dtype`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.errors import UserInputError
from diffkit.train.data.dataset import Dataset, assemble

Rng = np.random.Generator | int
PLANE = ("x1", "x2")


def linear_regression(
    n: int = 100,
    *,
    test: float = 0.0,
    validation: float = 0.0,
    rng: np.random.RandomState | int = 42,
    dtype: Any = np.float64,
) -> Dataset:
    """Y = 2x + 0.5 + 0.1·noise: the exercise "from scratch", number for number.

    With the default arguments, the rows and their order are those of
    ``np.random.seed(42); X = np.random.randn(100, 1)`` and ``y = 2 * X + 0.5 + 0.1 *
    np.random.randn(100, 1)``, drawn by NumPy's legacy generator without touching its
    global state. Held-out rows are the last ones: they are independent draws anyway.

    >>> x, y = linear_regression().train
    >>> x.shape, round(float(x[0, 0]), 6), round(float(y[0, 0]), 6)
    ((100, 1), 0.496714, 1.351891)
    """
    check_rows(n)
    legacy = rng if isinstance(rng, np.random.RandomState) else _legacy(rng)
    x = legacy.randn(n, 1)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(n, 1)
    ends = [round(n * (1 - test) * (1 - validation)), round(n * (1 - test))]
    if not 0 < ends[0] <= ends[1] <= n:
        raise UserInputError(
            f"test={test!r} and validation={validation!r} of {n} rows leave none to "
            "train on. Both are fractions from 0 to below 1."
        )
    x, y = x.astype(dtype, copy=False), y.astype(dtype, copy=False)
    parts = [slice(0, ends[0]), slice(*ends), slice(ends[1], n)]
    pairs = [(x[part], y[part]) for part in parts]
    return Dataset(
        name="linear_regression",
        train=pairs[0],
        validation=pairs[1] if validation else None,
        test=pairs[2],
        features=("x",),
        classes=(),
        mean=np.zeros(1),
        scale=np.ones(1),
        source="synthetic: y = 2x + 0.5 + 0.1·N(0, 1), numpy.random.seed(42)",
        synthetic=True,
        target="y",
    )


def xor(
    n: int = 4,
    *,
    noise: float = 0.0,
    test: float = 0.0,
    validation: float = 0.0,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """The four corners of a square, label 1 where exactly one coordinate is 1.

    n rows go round the corners in the order (0,0), (0,1), (1,0), (1,1), so four rows
    are the truth table. No line separates the classes (Minsky, Papert, 1969).

    >>> table = xor()
    >>> sorted(zip(map(tuple, table.train[0].tolist()), table.train[1].tolist()))
    [((0.0, 0.0), 0), ((0.0, 1.0), 1), ((1.0, 0.0), 1), ((1.0, 1.0), 0)]
    """
    check_rows(n)
    rng = np.random.default_rng(rng)
    corner = np.arange(n) % 4
    x = np.column_stack([corner // 2, corner % 2]).astype(np.float64)
    y = (corner // 2) ^ (corner % 2)
    recipe = "corners of the unit square"
    return _plane("xor", x, y, recipe, noise, test, validation, rng, dtype)


def moons(
    n: int = 400,
    *,
    noise: float = 0.15,
    test: float = 0.2,
    validation: float = 0.0,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Two half circles of radius 1 that reach into each other.

    Class 0 is (cos t, sin t) and class 1 is (1 − cos t, ½ − sin t), t evenly spread
    over 0 … π: scikit-learn's make_moons.

    >>> moons(noise=0).train[0].shape
    (320, 2)
    """
    rng, y = np.random.default_rng(rng), _two_halves(n)
    t = np.concatenate([np.linspace(0, np.pi, int((y == k).sum())) for k in (0, 1)])
    inner = y == 1
    x = np.column_stack(
        [
            np.where(inner, 1 - np.cos(t), np.cos(t)),
            np.where(inner, 0.5 - np.sin(t), np.sin(t)),
        ]
    )
    recipe = "two half circles"
    return _plane("moons", x, y, recipe, noise, test, validation, rng, dtype)


def circles(
    n: int = 400,
    *,
    noise: float = 0.08,
    ratio: float = 0.5,
    test: float = 0.2,
    validation: float = 0.0,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """A circle of radius 1 (class 0) around one of radius `ratio` (class 1).

    >>> x, y = circles(noise=0).train
    >>> np.unique(np.hypot(*x.T).round(12)).tolist()
    [0.5, 1.0]
    """
    if not 0 < ratio < 1:
        raise UserInputError(f"ratio must be between 0 and 1 and is {ratio!r}.")
    rng, y = np.random.default_rng(rng), _two_halves(n)
    counts = [int((y == k).sum()) for k in (0, 1)]
    t = np.concatenate([np.arange(count) * 2 * np.pi / count for count in counts])
    radius = np.where(y == 1, ratio, 1.0)
    x = radius[:, None] * np.column_stack([np.cos(t), np.sin(t)])
    recipe = "two circles about one centre"
    return _plane("circles", x, y, recipe, noise, test, validation, rng, dtype)


def spirals(
    n: int = 600,
    *,
    noise: float = 0.15,
    turns: float = 1.5,
    test: float = 0.2,
    validation: float = 0.0,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Two spirals wound into each other, radius 0 to 6 over `turns` turns.

    Class 1 is class 0 turned by half a turn; points are evenly spread along the radius
    but for the very centre, which would belong to both. After Lang and Witbrock,
    "Learning to tell two spirals apart", 1988.

    >>> spirals().train[0].shape
    (480, 2)
    """
    if not (np.isfinite(turns) and turns > 0):
        raise UserInputError(f"turns must be a positive number and is {turns!r}.")
    rng, y = np.random.default_rng(rng), _two_halves(n)
    counts = [int((y == k).sum()) for k in (0, 1)]
    radius = np.concatenate([np.arange(1, count + 1) / count for count in counts])
    angle = 2 * np.pi * turns * radius + np.pi * y
    # Wide enough that a tanh network with weights of 1 can tell the arms apart.
    x = 6.0 * radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    recipe = "two spirals, half a turn apart"
    return _plane("spirals", x, y, recipe, noise, test, validation, rng, dtype)


def _plane(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    recipe: str,
    noise: float,
    test: float,
    validation: float,
    rng: np.random.Generator,
    dtype: Any,
) -> Dataset:
    """Points of two classes in the plane, with noise, not rescaled."""
    if not (np.isfinite(noise) and noise >= 0):
        raise UserInputError(f"noise must be a finite number from 0 and is {noise!r}.")
    if noise:
        x = x + noise * rng.standard_normal(x.shape)
    return assemble(
        name,
        x,
        y,
        features=PLANE,
        classes=("0", "1"),
        test=test,
        validation=validation,
        standardized=False,
        rng=rng,
        dtype=dtype,
        source=f"synthetic: {recipe}, noise {noise:g}",
        synthetic=True,
        target="label",
    )


def _two_halves(n: int) -> np.ndarray:
    """Labels: the first half 0 (one more where n is odd), the rest 1."""
    check_rows(n)
    return np.repeat([0, 1], [n - n // 2, n // 2])


def check_rows(n: int) -> None:
    """Raise UserInputError for anything but a whole number of rows from 2."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise UserInputError(f"n must be a whole number of rows from 2 and is {n!r}.")


def _legacy(seed: int) -> np.random.RandomState:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserInputError(
            "rng must be a numpy.random.RandomState or a seed, a whole number from 0, "
            f"and is {seed!r}: the exercise draws by NumPy's legacy generator."
        )
    return np.random.RandomState(int(seed))
