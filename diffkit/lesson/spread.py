"""Which of many measured settings a page shows: it has to fit, whatever was measured.

A full run measures many more depths, widths and epochs than a quick one. Sections show
so many of them at the most, and always both ends; a row that is not shown stays in the
experiment's own page and data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def spread(values: Iterable[Item], most: int, *, early: bool = False) -> list[Item]:
    """At most so many of the values in their order, the first and the last among them.

    They lie evenly apart by place; with ``early`` their places grow by a factor, so
    that the first few values are all kept.

    >>> spread([1, 2, 4, 8, 16, 32, 64], 4)
    [1, 4, 16, 64]
    >>> spread(range(1, 41), 8, early=True)
    [1, 2, 3, 5, 8, 14, 24, 40]
    >>> spread([1, 2, 3], 4)
    [1, 2, 3]
    """
    every = list(values)
    if len(every) <= most:
        return every
    shares = [step / (most - 1) for step in range(most)]
    last = len(every) - 1
    places = [
        round(len(every) ** share) - 1 if early else round(last * share)
        for share in shares
    ]
    return [every[place] for place in dict.fromkeys(places)]
