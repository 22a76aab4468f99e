"""How long a sweep will still take, from the cells that it has finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from diffkit.measure.rows import Case

Kind = tuple[str, bool]


class TimeLeft:
    """An estimate that learns: cells of one experiment, timed or counted, are alike.

    But for those of ``last_seconds``, which take what they took. ``workers`` counted
    cells run at once; timed ones run alone.
    """

    def __init__(
        self,
        cases: Iterable[Case],
        workers: int = 1,
        last_seconds: Mapping[Case, float] | None = None,
    ) -> None:
        self._workers = workers
        self._left = {case: (last_seconds or {}).get(case) for case in cases}
        self._taken: defaultdict[Kind, list[float]] = defaultdict(list)

    def did(self, case: Case, seconds: float, *, reused: bool) -> None:
        """A cell is finished; one from the store says nothing about the others."""
        self._left.pop(case, None)
        if not reused:
            self._taken[_kind(case)].append(seconds)

    @property
    def seconds(self) -> float | None:
        """None as long as nothing has been measured."""
        means = {kind: sum(taken) / len(taken) for kind, taken in self._taken.items()}
        if not means:
            return None
        usual = sum(means.values()) / len(means)
        return sum(
            (means.get(_kind(case), usual) if known is None else known)
            / (1 if case.timed else self._workers)
            for case, known in self._left.items()
        )


def _kind(case: Case) -> Kind:
    return case.experiment, case.timed
