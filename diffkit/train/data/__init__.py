"""Data sets: real ones that are there offline, made-up ones, and files of your own."""

from diffkit.train.data.augment import with_noise, with_shifts
from diffkit.train.data.catalogue import DATASETS, get
from diffkit.train.data.dataset import (
    Dataset,
    Pair,
    as_type,
    standardize,
    standardize_target,
    stratified_split,
)
from diffkit.train.data.files import Missing, complete_rows, from_csv
from diffkit.train.data.real import breast_cancer, diabetes, digits, iris, wine
from diffkit.train.data.student_dropout import dropout_risk, student_dropout
from diffkit.train.data.synthetic import (
    circles,
    linear_regression,
    moons,
    spirals,
    xor,
)
from diffkit.train.data.table import Table, read_table

__all__ = [
    "DATASETS",
    "Dataset",
    "Missing",
    "Pair",
    "Table",
    "as_type",
    "breast_cancer",
    "circles",
    "complete_rows",
    "diabetes",
    "digits",
    "dropout_risk",
    "from_csv",
    "get",
    "iris",
    "linear_regression",
    "moons",
    "read_table",
    "spirals",
    "standardize",
    "standardize_target",
    "stratified_split",
    "student_dropout",
    "wine",
    "with_noise",
    "with_shifts",
    "xor",
]
