"""What training leaves behind: parameters, and a tidy table of losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ("epoch", "step", "split", "rows", "loss", "seconds")
Record = tuple[int, int, str, int, float, float]


@dataclass(frozen=True, slots=True)
class History:
    """The result of `fit`.

    `params` and `state` are those after the last step: the network's parameters and the
    optimizer's memory. `frame` has one row per loss:

    * split "batch": after each evaluation of a gradient; the loss of the batch of
      `rows` rows at the parameters before the step numbered `step`, from 1;
    * split "train": after each epoch, the mean of its batch losses weighted by rows;
    * split "validation": the loss of all validation rows, before the first step
      (epoch 0) and after each epoch.

    `seconds` is the wall-clock time since training began, in the frame, without the
    preparation; `phases` has the seconds spent in each phase. `programs` has the
    `info` of the prepared gradient for each batch size. `diverged_at` is the step at
    which the loss or a parameter stopped being finite, or None.
    """

    params: Any = field(repr=False)
    state: Any = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    phases: Mapping[str, float]
    programs: Mapping[int, Any] = field(repr=False)
    diverged_at: int | None = None

    def losses(self, split: str = "train") -> pd.Series:
        """The losses of one split, by epoch ("batch": by step)."""
        rows = self.frame[self.frame["split"] == split]
        index = np.asarray(rows["step" if split == "batch" else "epoch"])
        return pd.Series(np.asarray(rows["loss"]), index=index, name="loss")

    def __str__(self) -> str:
        last = self.frame.groupby("split", sort=False, observed=True)["loss"].last()
        losses = ", ".join(f"{name} {loss:.6g}" for name, loss in last.items())
        return f"History({self.frame['step'].max()} steps, last losses: {losses})"


def tidy(records: list[Record]) -> pd.DataFrame:
    """The rows as a table, splits as categories."""
    frame = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    splits = pd.CategoricalDtype(["batch", "train", "validation"])
    return frame.astype({"loss": float, "seconds": float, "split": splits})
