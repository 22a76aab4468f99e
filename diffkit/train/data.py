"""Real data that is there offline, split and scaled the same way everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.datasets import load_iris

from diffkit.errors import UserInputError

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training and test rows with what their columns mean.

    `train` and `test` are pairs (x, y). `mean` and `scale` are what was subtracted from
    and divided out of each column of x: those of the training rows, or 0 and 1.
    """

    name: str
    train: Pair = field(repr=False)
    test: Pair = field(repr=False)
    features: tuple[str, ...]
    classes: tuple[str, ...]
    mean: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    source: str = field(default="", repr=False)
    synthetic: bool = False


def iris(
    *,
    test: float = 0.2,
    standardized: bool = True,
    rng: np.random.Generator | int = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Fisher's irises: 150 flowers, 4 measurements in cm, 3 species as labels 0, 1, 2.

    `test` is the fraction of each species held out (0: none, and every row trains);
    `rng` draws which, and the order of the training rows. Source: Fisher, "The use of
    multiple measurements in taxonomic problems", 1936, as shipped in scikit-learn.

    >>> flowers = iris()
    >>> flowers.train[0].shape, flowers.test[0].shape, flowers.classes
    ((120, 4), (30, 4), ('setosa', 'versicolor', 'virginica'))
    """
    raw: Any = load_iris()
    x, y = np.asarray(raw.data, dtype=np.float64), np.asarray(raw.target)
    train, held_out = stratified_split(y, test, np.random.default_rng(rng))
    width = x.shape[1]
    whole = Dataset(
        name="iris",
        train=(x[train], y[train]),
        test=(x[held_out], y[held_out]),
        features=tuple(str(name) for name in raw.feature_names),
        classes=tuple(str(name) for name in raw.target_names),
        mean=np.zeros(width),
        scale=np.ones(width),
        source="Fisher (1936), as shipped in scikit-learn",
    )
    return as_type(standardize(whole) if standardized else whole, dtype)


def stratified_split(
    labels: np.ndarray, test: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and test, the same fraction of every class held out.

    Raises UserInputError for a fraction outside [0, 1), or one that leaves a class
    without a training row.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> train, test = stratified_split(labels, 0.25, np.random.default_rng(0))
    >>> sorted(labels[test].tolist()), len(train)
    ([0, 1], 6)
    """
    if not 0 <= test < 1:
        raise UserInputError(
            f"test must be a fraction from 0 to below 1, not {test!r}."
        )
    train, held_out = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        count = round(test * len(rows))
        if count == len(rows):
            raise UserInputError(
                f"test={test} holds out all {len(rows)} rows of class {label}. Use a "
                "smaller fraction."
            )
        held_out.append(rows[:count])
        train.append(rows[count:])
    return rng.permutation(np.concatenate(train)), np.sort(np.concatenate(held_out))


def standardize(data: Dataset) -> Dataset:
    """Columns with mean 0 and variance 1 on the training rows; test rows alike.

    Mean and deviation are those of the training rows alone: the test rows must not
    leak into them. A constant column is only centred.
    """
    x, y = data.train
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    test_x, test_y = data.test
    return replace(
        data,
        train=((x - mean) / scale, y),
        test=((test_x - mean) / scale, test_y),
        mean=mean,
        scale=scale,
    )


def as_type(data: Dataset, dtype: Any) -> Dataset:
    """The same data with x in another precision."""
    (x, y), (test_x, test_y) = data.train, data.test
    return replace(
        data,
        train=(x.astype(dtype, copy=False), y),
        test=(test_x.astype(dtype, copy=False), test_y),
    )
