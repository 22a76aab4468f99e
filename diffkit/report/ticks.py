"""Ticks of logarithmic axes: at what was measured, and at powers of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from diffkit.report.numbers import log10, power_of_ten

#: Places over more decades than this are not counts of something: a label at each
#: would be a long number.
_DECADES = 4


def tick_places(axes: Axes, ticks: Sequence[float]) -> None:
    """Tick at the measured places, thinned until the labels do not touch.

    Where they span many decades, powers of ten are ticked instead.
    """
    kept: list[float] = []
    if ticks and log10(ticks[-1] / ticks[0]) > _DECADES:
        first, last = math.ceil(log10(ticks[0])), math.floor(log10(ticks[-1]))
        places = range(first, last + 1, max(1, -(-(last - first) // 6)))
        axes.set_xticks([10.0**p for p in places], [power_of_ten(p) for p in places])
        axes.set_xticks([], minor=True)
        return
    if ticks:
        total = max(log10(ticks[-1] / ticks[0]), 1e-9)
        for tick in ticks:
            if not kept or log10(tick / kept[-1]) >= 0.055 * total:
                kept.append(tick)
    axes.set_xticks(kept, [f"{tick:g}" for tick in kept])
    axes.set_xticks([], minor=True)


def tick_powers(axes: Axes) -> None:
    """Label the (logarithmic) vertical axis with powers of ten."""
    low, high = axes.get_ylim()
    first, last = int(-(-low // 1)), int(high // 1)
    step = max(1, -(-(last - first) // 7))
    places = list(range(first, last + 1, step))
    if len(places) < 2:
        places = [first - 1, first, last + 1]
    if last - first <= 2:
        shown: list[tuple[float, str]] = []
        for digits in ((1, 2, 5), range(1, 10)):
            marks = [(p, m) for p in range(first - 1, last + 1) for m in digits]
            shown = [
                (p + log10(m), f"{m * 10.0**p:g}")
                for p, m in marks
                if low <= p + log10(m) <= high
            ]
            if len(shown) > 2:
                break
        axes.set_yticks([at for at, _ in shown], [text for _, text in shown])
    else:
        axes.set_yticks(places, [power_of_ten(place) for place in places])
    axes.set_ylim(low, high)
