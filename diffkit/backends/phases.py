"""Seconds by phase, the same way in every backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Phases:
    """A stopwatch with named laps: `with phases("derive"): ...`.

    >>> phases = Phases()
    >>> with phases("derive"):
    ...     pass
    >>> list(phases.seconds)
    ['derive']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = perf_counter()
        try:
            yield
        finally:
            spent = perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
