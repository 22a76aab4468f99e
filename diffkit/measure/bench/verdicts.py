"""Ratios of two versions with intervals, and whether a change is too slow.

A side's time is its median over the median of the ruler beside it, so that a machine
that was slower for a while is not taken for slower code. The interval of the ratio
comes from drawing the rounds again, both sides and rulers of a round together; a
group's ratio is the geometric mean of its benchmarks'. A change is called slower only
when the whole interval lies beyond what is allowed: noise widens an interval, and so
makes the verdict more careful, not more frequent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diffkit.errors import UserInputError, unknown_name
from diffkit.measure.bench.record import Measured, Record
from diffkit.measure.bootstrap import (
    CONFIDENCE_OF_MANY,
    drawn_again,
    medians,
    percentile_interval,
)

Verdict = Literal["slower", "faster", "same", "unsure", "only one side"]
BASE, HEAD = "base", "head"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Head over base: the ratio, its interval and what it means under a limit.

    ``allowed`` is the slowdown that the limit permits, 0.25 for 25 %.
    """

    name: str
    ratio: float
    low: float
    high: float
    allowed: float
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every benchmark's and every group's ratio."""

    benchmarks: tuple[Ratio, ...]
    groups: tuple[Ratio, ...]

    @property
    def slower(self) -> tuple[Ratio, ...]:
        """What fails a gate: groups and benchmarks slower than they may be."""
        both = (*self.groups, *self.benchmarks)
        return tuple(ratio for ratio in both if ratio.verdict == "slower")


def judge(
    record: Record,
    max_slowdown: float,
    limits: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
) -> Judgement:
    """Compare the sides "base" and "head" of a record.

    ``max_slowdown`` is allowed everywhere but for the groups named in ``limits``.

    Raises `UserInputError` for a limit that is not positive or names no group.
    """
    limits = dict(limits or {})
    groups = list(dict.fromkeys(m.group for m in record.benchmarks.values()))
    for name, limit in {"": max_slowdown, **limits}.items():
        if name and name not in groups:
            raise unknown_name("group of benchmarks", name, groups)
        if not limit > 0:
            raise UserInputError(
                f"A slowdown of {limit:.0%} was allowed; the limit has to be above 0 % "
                "(25 % is a good one), because no two runs take the same time."
            )
    rng = np.random.default_rng(seed)
    drawn: dict[str, np.ndarray] = {}
    ratios: list[Ratio] = []
    for name, measured in record.benchmarks.items():
        allowed = limits.get(measured.group, max_slowdown)
        missing = [side for side in (BASE, HEAD) if side not in measured.samples]
        if missing:
            reason = measured.errors.get(missing[0], f"{missing[0]} has no samples")
            nan = float("nan")
            ratios.append(Ratio(name, nan, nan, nan, allowed, "only one side", reason))
            continue
        point, drawn[name] = _ratios(measured, rng)
        ratios.append(_judged(name, point, drawn[name], allowed))
    points = {ratio.name: ratio.ratio for ratio in ratios}
    together = []
    for group in groups:
        inside = [n for n in drawn if record.benchmarks[n].group == group]
        if inside:
            mean = float(np.exp(np.mean([np.log(points[n]) for n in inside])))
            means = np.exp(np.mean([np.log(drawn[n]) for n in inside], axis=0))
            allowed = limits.get(group, max_slowdown)
            together.append(_judged(group, mean, means, allowed))
    return Judgement(tuple(ratios), tuple(together))


def normalised(samples: Sequence[float], rulers: Sequence[float]) -> float:
    """A side's time in rulers: the median over the ruler's median."""
    return float(np.median(samples) / np.median(rulers))


def _ratios(measured: Measured, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """The ratio, and the same from rounds drawn again."""
    sides = {}
    rounds = min(len(measured.samples[side]) for side in (BASE, HEAD))
    drawn = drawn_again(rounds, rng)
    point = 1.0
    for side in (BASE, HEAD):
        samples = measured.samples[side][:rounds]
        rulers = measured.rulers[side][:rounds]
        sides[side] = medians(samples, drawn) / medians(rulers, drawn)
        time = normalised(samples, rulers)
        point = time if side == BASE else time / point
    return point, sides[HEAD] / sides[BASE]


def _judged(name: str, point: float, drawn: np.ndarray, allowed: float) -> Ratio:
    low, high = percentile_interval(drawn, CONFIDENCE_OF_MANY)
    slow = 1 + allowed
    verdict: Verdict = "same"
    if low > slow:
        verdict = "slower"
    elif high < 1 / slow:
        verdict = "faster"
    elif high > slow or low < 1 / slow:
        verdict = "unsure"
    return Ratio(name, point, low, high, allowed, verdict)
