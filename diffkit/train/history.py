"""What training leaves behind: parameters, and a tidy table of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from diffkit.train.stopping import Best

COLUMNS = ("epoch", "step", "split", "rows", "loss", "seconds")
SPLITS = ("batch", "train", "validation")
#: The columns' values, then those of the metrics.
Record = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The result of `fit`.

    `params` and `net_state` are the network's after the last step, or the best ones
    where early stopping was asked for; `state` is the optimizer's memory after the last
    step, nested as its `init(params)`. `frame` has one row per loss:

    * split "batch": after each evaluation of a gradient; the loss of the batch of
      `rows` rows at the parameters before the step numbered `step`, from 1;
    * split "train": after each epoch, the mean of its batch losses weighted by rows;
    * split "validation": the loss of all validation rows, before the first step
      (epoch 0) and after each epoch.

    Each metric is a column, measured on all rows of the split at the parameters after
    the epoch, NaN in rows of split "batch". The loss of split "train" is that of the
    parameters on the way; its metrics are those of the end.

    `seconds` is the wall-clock time since training began, in the frame, without the
    preparation; `phases` has the seconds spent in each phase. `programs` has the
    `info` of the prepared gradient for each batch size. `best` are the parameters with
    the best validation loss, where there is validation. `ended` says why training
    ended: "epochs", "early stopping", "callback", "divergence", "interrupted" or
    "checkpoint" (it could not be written). `diverged_at` is the step at which the loss
    or a parameter stopped being finite, or None.
    """

    params: Any = field(repr=False)
    state: Any = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    phases: Mapping[str, float]
    programs: Mapping[int, Any] = field(repr=False)
    diverged_at: int | None = None
    net_state: Any = field(default=(), repr=False)
    best: Best | None = None
    ended: str = "epochs"

    def losses(self, split: str = "train") -> pd.Series:
        """The losses of one split, by epoch ("batch": by step)."""
        return self.metric("loss", split)

    def metric(self, name: str, split: str = "validation") -> pd.Series:
        """One metric (or the "loss") of one split, by epoch ("batch": by step)."""
        rows = self.frame[self.frame["split"] == split]
        index = np.asarray(rows["step" if split == "batch" else "epoch"])
        return pd.Series(np.asarray(rows[name]), index=index, name=name)

    def __str__(self) -> str:
        last = self.frame.groupby("split", sort=False, observed=True)["loss"].last()
        losses = ", ".join(f"{name} {loss:.6g}" for name, loss in last.items())
        return f"History({self.frame['step'].max()} steps, last losses: {losses})"


def tidy(records: Sequence[Record], metrics: Sequence[str] = ()) -> pd.DataFrame:
    """The rows as a table, splits as categories."""
    frame = pd.DataFrame.from_records(records, columns=[*COLUMNS, *metrics])
    splits = pd.CategoricalDtype(list(SPLITS))
    floats = dict.fromkeys(["loss", "seconds", *metrics], float)
    return frame.astype({**floats, "split": splits})


def as_columns(
    records: Sequence[Record], metrics: Sequence[str]
) -> dict[str, np.ndarray]:
    """The rows as arrays by column, for a checkpoint."""
    columns = list(zip(*records, strict=True)) or [()] * (len(COLUMNS) + len(metrics))
    arrays = {}
    for name, column in zip([*COLUMNS, *metrics], columns, strict=True):
        if name == "split":
            column = [SPLITS.index(split) for split in column]
        kind = np.int64 if name in ("epoch", "step", "split", "rows") else np.float64
        arrays[name] = np.array(column, dtype=kind)
    return arrays


def from_columns(
    columns: Mapping[str, np.ndarray], metrics: Sequence[str]
) -> list[Record]:
    """The rows again; a metric that was not measured then is NaN."""
    length = len(columns["epoch"])
    lists = [columns[name].tolist() for name in COLUMNS]
    lists[2] = [SPLITS[i] for i in lists[2]]
    for name in metrics:
        known = columns.get(name, np.full(length, np.nan))
        lists.append(known.tolist())
    return list(zip(*lists, strict=True))
