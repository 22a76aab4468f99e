"""Where the time of a gradient goes: seconds, flops and bytes of every instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import lazy_loader as lazy
import numpy as np

from diffkit.engine.available import require_memory
from diffkit.engine.clocked import ClockedMachine
from diffkit.engine.listing import Line, lines_of
from diffkit.engine.machine import Machine
from diffkit.errors import UserInputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd
else:
    # Loaded when a table is made: a gradient must not cost its import.
    pd: Any = lazy.load("pandas")

By = Literal["instruction", "op"]
WAYS = ("instruction", "op")
#: Two lines that are no instructions: they make the table add up to a whole call.
BETWEEN, AROUND = "(between instructions)", "(around the program)"
#: Runs before the first that counts: they load the code and touch the arenas.
WARMING = 3


def profile_machine(
    machine: Machine,
    leaves: Sequence[np.ndarray],
    call: Callable[[], object],
    primal: Sequence[int],
    repeats: int,
    by: By = "instruction",
) -> pd.DataFrame:
    """Time a program's instructions one by one, its whole run, and a whole call.

    `call` is the public call that runs the program; `primal` are the outputs that are
    not gradients. All three are run in turn, `repeats` times, in arenas of their own,
    and every figure is a median.

    Raises UserInputError for a number of repeats below 1, UnknownNameError for another
    `by`, ClockError where there is no clock, ArenaTooLargeError where two more arenas
    do not fit into memory.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise UserInputError(
            f"repeats was {repeats!r}; it is how often the program is run and timed, a "
            "whole number from 1 on."
        )
    if by not in WAYS:
        raise unknown_name("way to group a profile", by, WAYS)
    require_memory(2 * machine.arena_bytes, "A profile runs the program in two arenas")
    lines = lines_of(machine, primal)
    end = len(machine.program.table)
    apart = ClockedMachine(machine, [line.stop for line in lines])
    whole = ClockedMachine(machine, [end])
    steps, runs, clocks, calls = [], [], [], []
    for turn in range(WARMING + repeats):
        parts, empty = apart.run(leaves)
        total, also_empty = whole.run(leaves)
        start = perf_counter()
        call()
        seconds = perf_counter() - start
        if turn >= WARMING:
            steps.append(parts)
            runs.append(total[0])
            clocks += [empty, also_empty]
            calls.append(seconds)
    clock = float(np.median(clocks))
    by_line = np.maximum(np.median(np.array(steps), axis=0) - clock, 0.0)
    run = max(float(np.median(runs)) - clock, 0.0)
    return _table(lines, by_line, run, float(np.median(calls)), clock, repeats, by)


def _table(
    lines: Sequence[Line],
    seconds: np.ndarray,
    run: float,
    call: float,
    clock: float,
    repeats: int,
    by: By,
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "op": [line.op for line in lines],
            "node": [line.node for line in lines],
            "direction": [line.direction for line in lines],
            "shape": [line.shape for line in lines],
            "calls": np.ones(len(lines), np.int64),
            "seconds": seconds,
            "flops": np.array([line.flops for line in lines], np.int64),
            "bytes": np.array([line.bytes for line in lines], np.int64),
        }
    )
    if by == "op":
        # By name, as the table of instructions has it; the costliest first.
        totals: Any = frame.groupby("op", sort=False)[list(_NUMBERS)].sum()
        costliest = totals.sort_values("seconds", ascending=False, kind="stable")
        frame = costliest.reset_index()
    rest = {BETWEEN: run - float(seconds.sum()), AROUND: call - run}
    for name, left in rest.items():
        words = dict.fromkeys(frame.columns.difference(_NUMBERS), "")
        frame.loc[len(frame)] = {**words, "op": name, **_NOTHING, "seconds": left}
    safe = frame["seconds"].where(frame["seconds"] > 0)
    frame["gflop_per_second"] = frame["flops"] / safe / 1e9
    frame["gbyte_per_second"] = frame["bytes"] / safe / 1e9
    frame["share"] = frame["seconds"] / call
    frame.attrs |= {
        "call_seconds": call,
        "run_seconds": run,
        "clock_seconds": clock,
        "repeats": repeats,
    }
    return frame


_NUMBERS = ("calls", "seconds", "flops", "bytes")
_NOTHING = {"calls": 1, "flops": 0, "bytes": 0}
