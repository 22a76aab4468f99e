"""A training as rows: its last losses, and the whole curve as their samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffkit.measure.rows import Case, Row
from diffkit.train import History


def curve_rows(
    case: Case, history: History, metrics: Sequence[str] = (), prefix: str = ""
) -> list[Row]:
    """Rows of one training.

    ``train_loss`` and ``validation_loss`` (which begins before the first step), then
    ``train_NAME`` and ``validation_NAME`` of each metric: the last finite value, every
    epoch as samples. ``diverged_count`` is 1 for a training that stopped being finite;
    its curves end before that, and one that never was finite has no row.
    """
    rows = []
    splits = ("train", "validation")
    for name in ("loss", *metrics):
        for split in splits:
            curve = finite(history.metric(name, split).to_numpy())
            if curve:
                metric = f"{prefix}{split}_{name}"
                rows.append(case.row(metric, curve[-1], samples=curve))
    diverged = int(history.diverged_at is not None)
    return [*rows, case.row(f"{prefix}diverged_count", diverged)]


def finite(values: np.ndarray | Sequence[float]) -> list[float]:
    """The values up to the first that is not finite.

    >>> finite([1.0, 2.0, float("inf"), 3.0])
    [1.0, 2.0]
    """
    array = np.asarray(values, dtype=float)
    bad = np.flatnonzero(~np.isfinite(array))
    return array[: bad[0] if len(bad) else len(array)].tolist()
