"""What scripts are given holds numbers of rows only: read-outs cannot say others."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from fnmatch import fnmatch
from typing import Any

from tests.lesson.said import numbers
from tests.lesson.trace import EXACT

#: Places in a list, layers, steps: numbers that were counted by the page itself.
SMALL = 100


def rounded(number: float) -> float:
    """Four figures, as the page has them."""
    return float(f"{number:.4g}")


class Known:
    """Numbers that may be said: those of the experiments of a section."""

    def __init__(self, values: Iterable[float]) -> None:
        finite = {value for value in values if math.isfinite(value)}
        self.rounded = {rounded(value) for value in finite}
        self.sorted = sorted(finite)

    def has(self, number: float) -> bool:
        small = float(number).is_integer() and abs(number) <= SMALL
        return small or rounded(number) in self.rounded

    def near(self, low: float, high: float) -> bool:
        """Whether one lies between."""
        place = bisect_left(self.sorted, low)
        return place < len(self.sorted) and self.sorted[place] <= high


def strays(payload: Any, known: Known, allowed: Iterable[str] = ()) -> list[str]:
    """Paths of numbers that no row has, less those that a pattern allows."""
    return [
        f"{path} = {value!r}"
        for path, value in _leaves(payload, "")
        if not _is_known(value, known)
        and not any(fnmatch(path, pattern) for pattern in allowed)
    ]


def _is_known(value: Any, known: Known) -> bool:
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        return known.has(value)
    return all(_is_said(said, known) for said in _said(value))


def _said(text: str) -> Iterator[Any]:
    with localcontext(EXACT):
        yield from numbers(re.sub(r"[A-Za-z]+\d+", "", text))


def _is_said(said: Any, known: Known) -> bool:
    if said.power is not None:
        return True  # A magnitude, of which each is near something.
    value = said.value
    if value == value.to_integral_value() and abs(value) <= SMALL:
        return True
    # Words of a payload's number, which has four figures, are rounded twice.
    slack = said.within + abs(value) * Decimal("5e-4")
    low, high = sorted((value - slack, value + slack))
    return known.near(_float(low), _float(high))


def _float(value: Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(key, f"{path}.{key} (the key)")
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]")
    else:
        yield path, value
