"""Data sets from CSV files of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffkit.errors import UserInputError
from diffkit.train.data.dataset import Dataset, assemble
from diffkit.train.data.table import Table, read_table

#: Up to this many different whole numbers in a target are taken for classes.
MOST_CLASSES = 20
_SHOWN = 5

Task = Literal["auto", "classes", "numbers"]
Missing = Literal["refuse", "drop"]


def from_csv(
    path: str | Path,
    target: str,
    *,
    task: Task = "auto",
    missing: Missing = "refuse",
    ignore: Sequence[str] = (),
    separator: str = ",",
    test: float = 0.2,
    validation: float = 0.0,
    standardized: bool = True,
    rng: np.random.Generator | int = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """A CSV file with a header: one column is the target, the others are numbers.

    `task` "classes" makes each different value of the target a class, in sorted order,
    and "numbers" predicts the value itself; "auto" takes text, and up to 20 different
    whole numbers, for classes. Rows with missing or infinite values are refused, named
    by their lines, or left out with ``missing="drop"``; `ignore` leaves out columns.
    The other arguments are those of `iris`.

    Raises UserInputError for whatever `read_table` refuses, a target that is not there
    (with the nearest name), is text without classes or has one class only, features
    that are not numbers, and rows with missing values.
    """
    if task not in ("auto", "classes", "numbers"):
        raise UserInputError(f"task must be auto, classes or numbers, not {task!r}.")
    if missing not in ("refuse", "drop"):
        raise UserInputError(f"missing must be refuse or drop, not {missing!r}.")
    table = read_table(path, separator)
    table.require(target)
    for name in ignore:
        table.require(name, "column to ignore")
    features = tuple(c for c in table.columns if c != target and c not in ignore)
    if target in ignore or not features:
        raise UserInputError(
            f"{path} has no column left to learn from beside the target {target!r}."
        )
    table, x = complete_rows(table, features, missing, target)
    kind = _task(table, target, task)
    y, classes = (
        _labels(table, target) if kind == "classes" else _numbers(table, target)
    )
    return assemble(
        Path(path).stem,
        x,
        y,
        features=features,
        classes=classes,
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
        source=str(path),
        target=target,
    )


def complete_rows(
    table: Table,
    features: Sequence[str],
    missing: Missing = "refuse",
    target: str | None = None,
) -> tuple[Table, np.ndarray]:
    """The table's rows without a gap, and their features as float64 (rows, features).

    Raises UserInputError for features that are not there or are not numbers, for rows
    with gaps when `missing` is "refuse", and when "drop" leaves none.
    """
    for name in features:
        table.require(name, "feature column")
    gaps = {name: table.missing(name) for name in features}
    x = np.column_stack([table.numbers(name) for name in features])
    text = [
        (name, np.flatnonzero(np.isnan(x[:, i]) & ~gaps[name]))
        for i, name in enumerate(features)
    ]
    text = [(name, rows) for name, rows in text if len(rows)]
    if text:
        name, rows = text[0]
        others = f" So do {', '.join(n for n, _ in text[1:])}." if text[1:] else ""
        raise UserInputError(
            f"Column {name!r} of {table.path} holds text where numbers are needed: "
            f"{table.frame[name].iloc[rows[0]]!r} in line {table.lines[rows[0]]} "
            f"({len(rows)} of {len(x)} rows).{others} Replace text by numbers, or "
            "ignore the column."
        )
    for i, name in enumerate(features):
        gaps[name] = ~np.isfinite(x[:, i])
    if target is not None:
        # An infinite number is no target, and no class either.
        gaps[target] = table.missing(target) | np.isinf(table.numbers(target))
    whole = ~np.any(list(gaps.values()), axis=0)
    if not whole.all() and missing == "refuse":
        raise UserInputError(_gaps_message(table, gaps, whole))
    if not whole.any():
        raise UserInputError(
            f"Every one of the {len(whole)} rows of {table.path} has a missing value."
        )
    return table.only(whole), x[whole]


def _gaps_message(table: Table, gaps: dict[str, np.ndarray], whole: np.ndarray) -> str:
    rows = np.flatnonzero(~whole)
    lines = ", ".join(str(line) for line in table.lines[rows[:_SHOWN]])
    more = ", …" if len(rows) > _SHOWN else ""
    columns = ", ".join(
        f"{name} ({int(gap.sum())})" for name, gap in gaps.items() if gap.any()
    )
    return (
        f"{len(rows)} of {len(whole)} rows of {table.path} have missing or infinite "
        f"values: line{'s' if len(rows) > 1 else ''} {lines}{more}, in {columns}. Fill "
        "them in, or leave these rows out with missing='drop' (--missing drop)."
    )


def _task(table: Table, target: str, task: Task) -> Task:
    """Classes or numbers; raises for text that is neither."""
    cells = table.frame[target]
    values = table.numbers(target)
    text = np.isnan(values)
    distinct = len(np.unique(cells.to_numpy(str) if text.any() else values))
    if text.any() and not text.all() and text.mean() < 0.5 and task != "classes":
        row = int(np.flatnonzero(text)[0])
        raise UserInputError(
            f"The target {target!r} of {table.path} is a number in most rows and text "
            f"in {int(text.sum())}: {cells.iloc[row]!r} in line {table.lines[row]}. "
            "Correct them, or ask for classes with task='classes' (--task classes)."
        )
    if text.any() and task == "numbers":
        raise UserInputError(
            f"The target {target!r} of {table.path} is text, {cells.iloc[0]!r} in line "
            f"{table.lines[0]}: only numbers can be predicted as numbers."
        )
    if text.any() and distinct > max(2, len(cells) // 2):
        raise UserInputError(
            f"The target {target!r} of {table.path} is text with {distinct} different "
            f"values in {len(cells)} rows: those are no classes. Name another column."
        )
    if task != "auto":
        return task
    if text.any():
        return "classes"
    whole = bool((values == np.round(values)).all())
    few = distinct <= min(MOST_CLASSES, max(2, len(cells) // 2))
    return "classes" if whole and few else "numbers"


def _labels(table: Table, target: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels by sorted class; 1 and 1.0 are one class where all are numbers."""
    values = table.numbers(target)
    if np.isnan(values).any():
        names, y = np.unique(table.frame[target].to_numpy(str), return_inverse=True)
        classes = tuple(str(name) for name in names)
    else:
        found, y = np.unique(values, return_inverse=True)
        classes = tuple(f"{value:g}" for value in found)
    if len(classes) == 1:
        raise UserInputError(
            f"The target {target!r} of {table.path} has one class only, "
            f"{classes[0]!r}, in all {len(y)} rows: there is nothing to tell apart."
        )
    return y.astype(np.int64), classes


def _numbers(table: Table, target: str) -> tuple[np.ndarray, tuple[str, ...]]:
    return table.numbers(target)[:, None], ()
