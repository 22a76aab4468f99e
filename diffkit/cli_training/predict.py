"""What a trained network says of new rows, as CSV: ``diffkit predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from diffkit import train
from diffkit.cli_show import warn
from diffkit.cli_training.job import MODEL_FILE, measure
from diffkit.cli_training.model import Model, from_json
from diffkit.cli_training.options import load_data
from diffkit.errors import ReportError, UserInputError
from diffkit.train import data as data_sets

Part = Literal["train", "validation", "test", "all"]


def predict(
    path: Path,
    file: str | None,
    part: Part,
    missing: data_sets.Missing,
    separator: str,
    out: Path | None,
) -> None:
    """Write predictions as CSV to `out`, or to stdout.

    Without a file they are those for the data that the network was trained on, split
    as it was then. Measures go to stderr where the truth is known.
    """
    saved = train.checkpoint.load(_checkpoint(path))
    model = from_json(saved.metadata.get("model"))
    net = model.net()
    params = net.init(np.random.default_rng(0), model.dtype)
    saved = train.checkpoint.load(_checkpoint(path), like={"params": params})
    if file is None:
        frame, x, y = _known(saved.metadata, model, part)
    else:
        frame, x, y = _rows(file, model, missing, separator)
    outputs = net.apply(saved.params, x)
    frame = pd.concat([frame, _answers(model, outputs)], axis=1)
    _write(frame, out)
    if y is not None:
        measured = measure(model, outputs, y)
        said = ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
        warn(f"{len(y)} rows: {said}")


def _checkpoint(path: Path) -> Path:
    """The file itself, or that of a folder: what training ended with, else the best."""
    if not path.is_dir():
        return path
    names = (MODEL_FILE, train.checkpoint.BEST, train.checkpoint.LAST)
    for name in names:
        if (path / name).is_file():
            return path / name
    raise UserInputError(
        f"There is no checkpoint in {path}: none of {', '.join(names)}. Name a folder "
        "that 'diffkit train' wrote to."
    )


def _known(metadata: Any, model: Model, part: Part) -> tuple[Any, Any, Any]:
    """Rows of the data that the network was trained on."""
    data = load_data(metadata["options"])
    if data.features != model.features or data.classes != model.classes:
        raise UserInputError(
            f"The data set {data.name} is no longer what the network was trained on: "
            "its columns or classes have changed."
        )
    pairs = {"train": data.train, "validation": data.validation, "test": data.test}
    chosen = {
        name: pair
        for name, pair in pairs.items()
        if pair is not None and len(pair[0]) and part in (name, "all")
    }
    if not chosen:
        raise UserInputError(
            f"There are no {part} rows in {data.name} as the network was trained on "
            "it. Choose another --part."
        )
    x, y = (np.concatenate(arrays) for arrays in zip(*chosen.values(), strict=True))
    names = [name for name, (x, _) in chosen.items() for _ in range(len(x))]
    truth = _names(model, y) if model.classes else y[:, 0] * model.target_scale
    truth = truth if model.classes else truth + model.target_mean
    return pd.DataFrame({"part": names, model.target: truth}), x, y


def _rows(
    file: str, model: Model, missing: data_sets.Missing, separator: str
) -> tuple[Any, Any, Any]:
    """Rows of a CSV file by the names of the columns; the target may be there too."""
    table = data_sets.read_table(file, separator)
    table, raw = data_sets.complete_rows(table, model.features, missing)
    frame = pd.DataFrame({"line": table.lines})
    if model.target not in table.columns:
        return frame, model.scaled(raw), None
    frame[model.target] = table.frame[model.target].to_numpy()
    return frame, model.scaled(raw), _truth(table, model)


def _truth(table: data_sets.Table, model: Model) -> np.ndarray | None:
    """The target as the network knows it, where every row has one that it knows."""
    values = table.numbers(model.target)
    if not model.classes:
        y = (values[:, None] - model.target_mean) / model.target_scale
        return y if np.isfinite(y).all() else None
    text = table.frame[model.target].to_numpy(str)
    # Classes that are numbers have one name, however they are written.
    names = [
        f"{value:g}" if np.isfinite(value) and f"{value:g}" in model.classes else name
        for value, name in zip(values, text, strict=True)
    ]
    if not set(names) <= set(model.classes):
        return None
    return np.array([model.classes.index(name) for name in names])


def _answers(model: Model, outputs: np.ndarray) -> pd.DataFrame:
    """The prediction, and the probability of each class."""
    if not model.classes:
        numbers = outputs[:, 0] * model.target_scale + model.target_mean
        return pd.DataFrame({f"predicted {model.target}": numbers})
    p = model.probabilities(outputs)
    p = np.column_stack([1 - p, p]) if p.ndim == 1 else p
    columns: dict[str, Any] = {
        f"predicted {model.target}": _names(model, p.argmax(axis=1))
    }
    for k, name in enumerate(model.classes):
        columns[f"probability of {name}"] = p[:, k]
    return pd.DataFrame(columns)


def _names(model: Model, labels: np.ndarray) -> np.ndarray:
    return np.array(model.classes)[labels]


def _write(frame: pd.DataFrame, out: Path | None) -> None:
    text = frame.to_csv(index=False, lineterminator="\n")
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise ReportError(f"{out} cannot be written: {error.strerror}.") from error
