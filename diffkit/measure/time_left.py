"""How long a sweep will still take, from the cells that it has finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from diffkit.measure.rows import Case

Kind = tuple[str, bool]


class TimeLeft:
    """An estimate that learns: cells of one experiment, timed or counted, are alike.

    ``workers`` counted cells run at once; timed ones run alone.
    """

    def __init__(self, cases: Iterable[Case], workers: int = 1) -> None:
        self._workers = workers
        self._left: defaultdict[Kind, int] = defaultdict(int)
        self._taken: defaultdict[Kind, list[float]] = defaultdict(list)
        for case in cases:
            self._left[_kind(case)] += 1

    def did(self, case: Case, seconds: float, *, reused: bool) -> None:
        """A cell is finished; one from the store says nothing about the others."""
        kind = _kind(case)
        self._left[kind] -= 1
        if not reused:
            self._taken[kind].append(seconds)

    @property
    def seconds(self) -> float | None:
        """None as long as nothing has been measured."""
        means = {kind: sum(taken) / len(taken) for kind, taken in self._taken.items()}
        if not means:
            return None
        usual = sum(means.values()) / len(means)
        return sum(
            count * means.get(kind, usual) / (1 if kind[1] else self._workers)
            for kind, count in self._left.items()
        )


def _kind(case: Case) -> Kind:
    return case.experiment, case.timed
