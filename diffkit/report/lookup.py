"""Finding rows again: by metric, backend and the parameters of their case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diffkit.measure.rows import Row, Scalar


def rows_of(
    rows: Sequence[Row], metric: str, backend: str | None = None, **parameters: Scalar
) -> list[Row]:
    """Rows that have a value, of a metric and, where named, a backend and parameters.

    >>> from diffkit.measure import case
    >>> rows = [case("e", "autodiff", depth=d).row("work_value", d * d) for d in (2, 3)]
    >>> [row.value for row in rows_of(rows, "work_value", depth=3)]
    [9]
    """
    return [
        row
        for row in rows
        if row.metric == metric
        and row.value is not None
        and backend in (None, row.backend)
        and all(row.get(name) == wanted for name, wanted in parameters.items())
    ]


def said(value: float | None, words: Callable[[float], str] = "{:g}".format) -> str:
    """The value in words, or that there is none.

    >>> said(0.25), said(None)
    ('0.25', 'no result')
    """
    return "no result" if value is None else words(value)


def value_of(
    rows: Sequence[Row], metric: str, backend: str | None = None, **parameters: Scalar
) -> float | None:
    """The value of the first such row, or None where nothing was measured."""
    found = rows_of(rows, metric, backend, **parameters)
    return found[0].value if found else None


def samples_of(
    rows: Sequence[Row], metric: str, backend: str | None = None, **parameters: Scalar
) -> tuple[float, ...]:
    """The samples of the first such row; none where nothing was measured."""
    found = rows_of(rows, metric, backend, **parameters)
    return found[0].samples if found else ()


def until_outside(
    values: Sequence[float], low: float, high: float
) -> list[tuple[int, float]]:
    """(step, value) up to the first value outside of a range: a line that is cut there.

    >>> until_outside([4.0, 2.0, 0.5, 3.0], 1.0, 9.0)
    [(0, 4.0), (1, 2.0)]
    """
    points = []
    for step, value in enumerate(values):
        if not low <= value <= high:
            break
        points.append((step, value))
    return points
