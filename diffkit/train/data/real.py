"""Real data that are there offline: they come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)

from diffkit.train.data.dataset import Dataset, assemble

Rng = np.random.Generator | int


def iris(
    *,
    test: float = 0.2,
    validation: float = 0.0,
    standardized: bool = True,
    rng: Rng = 0,
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
    return _load(
        "iris",
        load_iris,
        "Fisher (1936)",
        target="species",
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
    )


def breast_cancer(
    *,
    test: float = 0.2,
    validation: float = 0.0,
    standardized: bool = True,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Tumours in Wisconsin: 569, 30 measured features, malignant (0) or benign (1).

    Source: Street, Wolberg, Mangasarian, "Nuclear feature extraction for breast tumor
    diagnosis", 1993, as shipped in scikit-learn. Arguments are those of `iris`.

    >>> tumours = breast_cancer()
    >>> tumours.train[0].shape, tumours.classes
    ((456, 30), ('malignant', 'benign'))
    """
    return _load(
        "breast_cancer",
        load_breast_cancer,
        "Street, Wolberg, Mangasarian (1993)",
        target="diagnosis",
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
    )


def wine(
    *,
    test: float = 0.2,
    validation: float = 0.0,
    standardized: bool = True,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Wines of one region: 178, 13 chemical measurements, 3 cultivars.

    Source: Aeberhard, Coomans, de Vel, "Comparison of classifiers in high dimensional
    settings", 1992, as shipped in scikit-learn. Arguments are those of `iris`.

    >>> wine().train[0].shape, wine().test[0].shape
    ((142, 13), (36, 13))
    """
    return _load(
        "wine",
        load_wine,
        "Aeberhard, Coomans, de Vel (1992)",
        target="cultivar",
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
    )


def digits(
    *,
    test: float = 0.2,
    validation: float = 0.0,
    standardized: bool = False,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Handwritten digits: 1,797 pictures of 8 × 8 pixels in one row of 64, 10 classes.

    Pixels count ink from 0 to 16 and are divided by 16, a constant that no row decides.
    `standardized` does it column by column instead, which blows up the pixels at the
    edge that hardly ever hold ink. Source: Alpaydin, Kaynak, 1998, as shipped in
    scikit-learn. Other arguments are those of `iris`.

    >>> pictures = digits()
    >>> pictures.train[0].shape, float(pictures.train[0].max()), pictures.image
    ((1438, 64), 1.0, (8, 8))
    """
    raw: Any = load_digits()
    ink = 1.0 if standardized else 16.0
    data = assemble(
        "digits",
        np.asarray(raw.data, dtype=np.float64) / ink,
        np.asarray(raw.target),
        features=tuple(str(name) for name in raw.feature_names),
        classes=tuple(str(name) for name in raw.target_names),
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
        source="Alpaydin, Kaynak (1998), as shipped in scikit-learn",
        target="digit",
        image=(8, 8),
    )
    return data if standardized else _scaled_by(data, ink)


def diabetes(
    *,
    test: float = 0.2,
    validation: float = 0.0,
    standardized: bool = True,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Diabetes after a year: 442 patients, 10 measurements; a number to predict.

    `standardized` scales the target too, whose values run from 25 to 346. Source:
    Efron, Hastie, Johnstone, Tibshirani, "Least angle regression", 2004, as shipped in
    scikit-learn. Arguments are those of `iris`.

    >>> patients = diabetes()
    >>> patients.train[0].shape, patients.train[1].shape, patients.classes
    ((354, 10), (354, 1), ())
    """
    raw: Any = load_diabetes(scaled=False)
    return assemble(
        "diabetes",
        np.asarray(raw.data, dtype=np.float64),
        np.asarray(raw.target, dtype=np.float64)[:, None],
        features=tuple(str(name) for name in raw.feature_names),
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
        source="Efron, Hastie, Johnstone, Tibshirani (2004), as shipped in "
        "scikit-learn",
        target="progression",
    )


def _load(name: str, load: Callable[[], Any], source: str, **options: Any) -> Dataset:
    """One of scikit-learn's tables of classes."""
    raw = load()
    return assemble(
        name,
        np.asarray(raw.data, dtype=np.float64),
        np.asarray(raw.target),
        features=tuple(str(feature) for feature in raw.feature_names),
        classes=tuple(str(label) for label in raw.target_names),
        source=f"{source}, as shipped in scikit-learn",
        **options,
    )


def _scaled_by(data: Dataset, factor: float) -> Dataset:
    """Say in the data that its columns were divided by a constant beforehand."""
    return replace(data, scale=np.full(len(data.features), factor))
