"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diffkit.errors import unknown_name
from diffkit.train.data.dataset import Dataset
from diffkit.train.data.real import breast_cancer, diabetes, digits, iris, wine
from diffkit.train.data.student_dropout import student_dropout
from diffkit.train.data.synthetic import (
    circles,
    linear_regression,
    moons,
    spirals,
    xor,
)

DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "breast_cancer": breast_cancer,
    "circles": circles,
    "diabetes": diabetes,
    "digits": digits,
    "iris": iris,
    "linear_regression": linear_regression,
    "moons": moons,
    "spirals": spirals,
    "student_dropout": student_dropout,
    "wine": wine,
    "xor": xor,
}


def get(name: str, **options: Any) -> Dataset:
    """The data set of that name, made with the options of its function.

    Raises UnknownNameError with the nearest name.

    >>> get("wine", test=0.5).name
    'wine'
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name](**options)
