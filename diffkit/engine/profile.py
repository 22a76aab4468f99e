"""Where the time of a gradient goes: seconds, flops and bytes of every instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import lazy_loader
import numpy as np

from diffkit.engine.available import require_memory
from diffkit.engine.clocked import ClockedMachine
from diffkit.engine.listing import lines_of
from diffkit.engine.machine import Machine
from diffkit.errors import UserInputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

By = Literal["instruction", "op"]
WAYS = ("instruction", "op")
#: Runs before the first that counts: they load the code and touch the arenas.
WARMING = 3

# pandas is loaded when a table is made: a gradient must not cost its import.
_when_needed, _, _ = lazy_loader.attach("diffkit.engine", submodules=["profile_table"])


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
    not gradients. All three are run in turn, `repeats` times, in arenas of their own;
    figures are medians over the faster half of the runs.

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
            runs.append(total)
            clocks.append([min(empty, also_empty)])
            calls.append([seconds])
    return _when_needed("profile_table").make_table(
        lines,
        undisturbed(steps),
        run_seconds=float(undisturbed(runs)[0]),
        call_seconds=float(undisturbed(calls)[0]),
        clock_seconds=float(undisturbed(clocks)[0]),
        by_op=by == "op",
        repeats=repeats,
    )


def undisturbed(samples: Sequence[Sequence[float] | np.ndarray]) -> np.ndarray:
    """Medians over the faster half of the runs, by what a run takes altogether.

    Whatever else the machine does makes a run longer, and never shorter.

    >>> undisturbed([[1.0, 2.0], [1.0, 3.0], [9.0, 2.0], [1.0, 9.0]])
    array([1. , 2.5])
    """
    runs = np.array(samples, np.float64)
    fastest = np.argsort(runs.sum(axis=1), kind="stable")[: (len(runs) + 1) // 2]
    return np.median(runs[fastest], axis=0)
