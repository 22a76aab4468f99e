"""Two measurements of the same cases: counts exactly, times as ratios with intervals.

A cell of one side is matched with the cell of the other that measured the same case.
Whole numbers that were counted have to be equal. What carries samples, or is in
seconds, is a time: the ratio of the medians is given with a bootstrap interval, and a
verdict only where the interval excludes one. The interval knows the noise inside each
run, not what changed on the machine between the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from diffkit.measure.bootstrap import (
    CONFIDENCE_OF_MANY,
    drawn_again,
    medians,
    percentile_interval,
)
from diffkit.measure.rows import BOOKKEEPING, Row

Verdict = Literal["slower", "faster", ""]
#: Fewer samples say nothing about their own noise.
_LEAST_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """A counted number, or another figure, that is not the same on both sides."""

    cell: str
    metric: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class TimeRatio:
    """Median of the second side over that of the first, and its interval.

    ``low`` and ``high`` are NaN where there are too few samples for an interval.
    """

    cell: str
    metric: str
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Slower or faster where the interval excludes one, nothing elsewhere.

        >>> TimeRatio("c", "work_seconds", 1.4, 1.3, 1.5).verdict
        'slower'
        >>> TimeRatio("c", "work_seconds", 1.4, 0.9, 1.9).verdict
        ''
        """
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two sets of rows have in common, and what not.

    ``counts`` differ and should not; ``figures`` are other numbers that differ (errors,
    losses), which may depend on machine and versions; ``ended`` are measurements that
    only one side has a value of, with both statuses. ``only_before`` and ``only_after``
    are cells that the other side lacks. Times are None across machines.
    """

    cells: int
    equal_counts: int
    counts: tuple[Difference, ...]
    figures: tuple[Difference, ...]
    times: tuple[TimeRatio, ...] | None
    ended: tuple[tuple[str, str, str, str], ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    machines: tuple[tuple[str, ...], tuple[str, ...]]


def compare_rows(before: Iterable[Row], after: Iterable[Row]) -> Comparison:
    """Compare two measurements, cell by cell and metric by metric.

    Times are compared only when all rows of both sides come from one machine.
    """
    first, second = _by_cell(before), _by_cell(after)
    machines = _machines(first), _machines(second)
    same_machine = len({*machines[0], *machines[1]}) == 1
    both = [name for name in first if name in second]
    counts: list[Difference] = []
    figures: list[Difference] = []
    times: list[TimeRatio] = []
    ended: list[tuple[str, str, str, str]] = []
    equal = 0
    for name in both:
        one, other = first[name], second[name]
        for metric in dict.fromkeys((*one, *other)):
            a, b = one.get(metric), other.get(metric)
            if a is None or b is None or a.status != b.status:
                ended.append((name, metric[0], _status(a), _status(b)))
            elif a.value is None or b.value is None or metric[0] in BOOKKEEPING:
                # The time of a whole cell is one sample with its set-up in it.
                continue
            elif _is_time(a) or _is_time(b):
                if same_machine and a.value and b.value:
                    times.append(_ratio(name, a, b))
            elif a.value == b.value or (a.value != a.value and b.value != b.value):
                equal += _is_count(a)
            else:
                where = counts if _is_count(a) or _is_count(b) else figures
                where.append(Difference(name, metric[0], a.value, b.value))
    return Comparison(
        cells=len(both),
        equal_counts=equal,
        counts=tuple(counts),
        figures=tuple(figures),
        times=tuple(times) if same_machine else None,
        ended=tuple(ended),
        only_before=_missing(first, second),
        only_after=_missing(second, first),
        machines=machines,
    )


def bootstrap_ratio(
    before: Sequence[float], after: Sequence[float], *, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of median(after) / median(before), each side resampled.

    Both are NaN below five samples a side.
    """
    if min(len(before), len(after)) < _LEAST_SAMPLES:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    over = medians(after, drawn_again(len(after), rng))
    under = medians(before, drawn_again(len(before), rng))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = over / under
    return percentile_interval(ratios, CONFIDENCE_OF_MANY)


Metrics = Mapping[tuple[str, int], Row]


def _by_cell(rows: Iterable[Row]) -> dict[str, dict[tuple[str, int], Row]]:
    """Rows by case, then by metric; a metric that a case has twice, by its turn."""
    cells: dict[str, dict[tuple[str, int], Row]] = {}
    for row in rows:
        cell = cells.setdefault(_label(row), {})
        turn = sum(name == row.metric for name, _ in cell)
        cell[row.metric, turn] = row
    return cells


def _missing(
    first: Mapping[str, Metrics], second: Mapping[str, Metrics]
) -> tuple[str, ...]:
    return tuple(name for name in first if name not in second)


def _machines(cells: Mapping[str, Metrics]) -> tuple[str, ...]:
    found = {row.machine: None for cell in cells.values() for row in cell.values()}
    return tuple(found)


def _label(row: Row) -> str:
    """What was measured, in words: two rows with the same are of the same case.

    Parameters without a value are left out, as a CSV table does.
    """
    named = [
        f"{key}={value}"
        for key, value in sorted(row.parameters)
        if value is not None and value != ""
    ]
    seed = [f"seed={row.seed}"] if row.seed else []
    return " ".join([row.experiment, row.backend, row.runtime, *named, *seed])


def _status(row: Row | None) -> str:
    return "not measured" if row is None else row.status


def _is_time(row: Row) -> bool:
    return bool(row.samples) or row.metric.endswith("seconds")


def _is_count(row: Row) -> bool:
    return isinstance(row.value, int)


def _ratio(label: str, before: Row, after: Row) -> TimeRatio:
    one, other = before.samples or (before.value,), after.samples or (after.value,)
    first, second = [[float(x) for x in side if x is not None] for side in (one, other)]
    low, high = bootstrap_ratio(first, second)
    ratio = median(second) / median(first) if median(first) else math.nan
    return TimeRatio(label, before.metric, ratio, low, high)
