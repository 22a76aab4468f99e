"""The table of a profile; loaded only when one is made, for pandas takes a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from diffkit.engine.listing import Line

#: Two lines that are no instructions: they make the table add up to a whole call.
BETWEEN, AROUND = "(between instructions)", "(around the program)"
_NUMBERS = ("calls", "seconds", "flops", "bytes")
_NOTHING = {"calls": 1, "flops": 0, "bytes": 0}


def make_table(
    lines: Sequence[Line],
    seconds: np.ndarray,
    *,
    run_seconds: float,
    call_seconds: float,
    clock_seconds: float,
    by_op: bool,
    repeats: int,
) -> pd.DataFrame:
    """A table of lines, or of their sums by op, that adds up to a call.

    `seconds` of the lines and of the run still hold one reading of the clock each.
    """
    by_line = np.maximum(seconds - clock_seconds, 0.0)
    run = max(run_seconds - clock_seconds, 0.0)
    frame = pd.DataFrame(
        {
            "op": [line.op for line in lines],
            "node": [line.node for line in lines],
            "direction": [line.direction for line in lines],
            "shape": [line.shape for line in lines],
            "calls": np.ones(len(lines), np.int64),
            "seconds": by_line,
            "flops": np.array([line.flops for line in lines], np.int64),
            "bytes": np.array([line.bytes for line in lines], np.int64),
        }
    )
    if by_op:
        totals: Any = frame.groupby("op", sort=False)[list(_NUMBERS)].sum()
        costliest = totals.sort_values("seconds", ascending=False, kind="stable")
        frame = costliest.reset_index()
    rest = {BETWEEN: run - float(by_line.sum()), AROUND: call_seconds - run}
    for name, left in rest.items():
        words = dict.fromkeys(frame.columns.difference(_NUMBERS), "")
        frame.loc[len(frame)] = {**words, "op": name, **_NOTHING, "seconds": left}
    some = frame["seconds"].where(frame["seconds"] > 0)
    frame["gflop_per_second"] = frame["flops"] / some / 1e9
    frame["gbyte_per_second"] = frame["bytes"] / some / 1e9
    frame["share"] = frame["seconds"] / call_seconds
    frame.attrs |= {
        "call_seconds": call_seconds,
        "run_seconds": run,
        "clock_seconds": clock_seconds,
        "repeats": repeats,
    }
    return frame
