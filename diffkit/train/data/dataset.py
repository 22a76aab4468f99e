"""A data set: rows to train, validate and test on, split and scaled the same way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from diffkit.errors import UserInputError

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training and test rows with what their columns mean.

    `train`, `test` and `validation` (None unless asked for) are pairs (x, y). With
    `classes`, y holds labels 0 … len(classes) − 1 in shape (rows,); without, y holds
    numbers in shape (rows, 1). `mean` and `scale` are what was subtracted from and
    divided out of each column of x, `target_mean` and `target_scale` the same for
    numbers in y: those of the training rows alone, or 0 and 1. `image` is the height
    and width of rows that are pictures. Data that were made up are `synthetic`.
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
    validation: Pair | None = field(default=None, repr=False)
    target: str = "target"
    target_mean: float = field(default=0.0, repr=False)
    target_scale: float = field(default=1.0, repr=False)
    image: tuple[int, int] | None = field(default=None, repr=False)


def assemble(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    *,
    features: tuple[str, ...],
    classes: tuple[str, ...] = (),
    test: float,
    validation: float = 0.0,
    standardized: bool,
    rng: np.random.Generator | int,
    dtype: Any = np.float64,
    **about: Any,
) -> Dataset:
    """A `Dataset` of rows x and labels or numbers y: split, scaled, in one precision.

    `test` is the fraction held out and `validation` the fraction of what remains; each
    takes the same share of every class. `about` are further fields of `Dataset`.

    Raises UserInputError for fractions that leave a part without rows.
    """
    rng = np.random.default_rng(rng)
    groups = y if classes else np.zeros(len(y), dtype=int)
    train, held_out = stratified_split(groups, test, rng)
    apart = None
    if validation:
        keep, drawn = stratified_split(groups[train], validation, rng, "validation")
        if not len(drawn):
            raise UserInputError(
                f"validation={validation!r} of {len(train)} rows leaves none to "
                "validate on. Use a larger fraction."
            )
        apart, train = train[drawn], train[keep]
    width = x.shape[1]
    whole = Dataset(
        name=name,
        train=(x[train], y[train]),
        test=(x[held_out], y[held_out]),
        features=features,
        classes=classes,
        mean=np.zeros(width),
        scale=np.ones(width),
        validation=None if apart is None else (x[apart], y[apart]),
        **about,
    )
    if standardized:
        whole = standardize(whole)
        whole = whole if classes else standardize_target(whole)
    return as_type(whole, dtype)


def stratified_split(
    labels: np.ndarray, test: float, rng: np.random.Generator, name: str = "test"
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and test, the same fraction of every class held out.

    `name` is what messages call the fraction. Raises UserInputError for a fraction
    outside [0, 1), or one that leaves a class without a training row.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> train, test = stratified_split(labels, 0.25, np.random.default_rng(0))
    >>> sorted(labels[test].tolist()), len(train)
    ([0, 1], 6)
    """
    if not 0 <= test < 1:
        raise UserInputError(
            f"{name} must be a fraction from 0 to below 1, not {test!r}."
        )
    train, held_out = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        count = round(test * len(rows))
        if count == len(rows):
            raise UserInputError(
                f"{name}={test} holds out all {len(rows)} rows of class {label}. Use a "
                "smaller fraction."
            )
        held_out.append(rows[:count])
        train.append(rows[count:])
    return rng.permutation(np.concatenate(train)), np.sort(np.concatenate(held_out))


def standardize(data: Dataset) -> Dataset:
    """Columns with mean 0 and variance 1 on the training rows; other rows alike.

    Mean and deviation are those of the training rows alone: validation and test rows
    must not leak into them. A constant column is only centred.
    """
    x, _ = data.train
    mean, scale = x.mean(axis=0), x.std(axis=0)
    # A constant's deviation may come out as rounding, no scale to divide by.
    scale = np.where(x.max(axis=0) == x.min(axis=0), 1.0, scale)
    scaled = _each(data, lambda x, y: ((x - mean) / scale, y))
    return replace(scaled, mean=mean, scale=scale)


def standardize_target(data: Dataset) -> Dataset:
    """Numbers in y with mean 0 and variance 1 on the training rows; others alike."""
    _, y = data.train
    mean, scale = float(y.mean()), float(y.std()) if y.max() > y.min() else 1.0
    scaled = _each(data, lambda x, y: (x, (y - mean) / scale))
    return replace(scaled, target_mean=mean, target_scale=scale)


def as_type(data: Dataset, dtype: Any) -> Dataset:
    """The same data with x, and y where it holds numbers, in another precision."""

    def convert(x: np.ndarray, y: np.ndarray) -> Pair:
        y = y.astype(dtype, copy=False) if y.dtype.kind == "f" else y
        return x.astype(dtype, copy=False), y

    return _each(data, convert)


def _each(data: Dataset, change: Any) -> Dataset:
    """The data with every pair (x, y) changed alike."""
    return replace(
        data,
        train=change(*data.train),
        test=change(*data.test),
        validation=None if data.validation is None else change(*data.validation),
    )
