"""Addresses of the page, looked up in the CSV that they name.

The reader is the standard library's, not the package's: what the lesson took for a
row's value is compared with what the file says.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from tests.lesson.markup import Element
from tests.lesson.said import numbers

# A row's samples are one cell: thousands of numbers.
csv.field_size_limit(1 << 28)

#: Enough digits for the integers of trees of formulas.
EXACT = Context(prec=400, Emax=10_000_000, Emin=-10_000_000)
Place = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Line:
    """A row's value and samples, as written."""

    value: str
    samples: str


class Tables:
    """Every ``data.csv`` under a folder, read once and found by address."""

    def __init__(self, reports: Path) -> None:
        self.reports = reports
        self._found: dict[str, dict[Place, list[Line]]] = {}

    def lines(self, experiment: str) -> dict[Place, list[Line]]:
        if experiment not in self._found:
            self._found[experiment] = self._read(experiment)
        return self._found[experiment]

    def _read(self, experiment: str) -> dict[Place, list[Line]]:
        found: dict[Place, list[Line]] = defaultdict(list)
        with open(
            self.reports / experiment / "data.csv", encoding="utf-8", newline=""
        ) as file:
            table = csv.reader(file)
            header = next(table)
            end = header.index("backend")
            names = header[1:end]
            metric, value, samples = map(header.index, ("metric", "value", "samples"))
            seed = header.index("seed")
            for line in table:
                if line[value] == "":
                    continue  # It was stopped: there is no number to take.
                parameters = tuple(
                    sorted(
                        (name, cell)
                        for name, cell in (
                            *zip(names, line[1:end], strict=True),
                            ("seed", line[seed] if line[seed] != "0" else ""),
                        )
                        if cell != ""
                    )
                )
                place = (line[metric], line[end], parameters)
                found[place].append(Line(line[value], line[samples]))
        return found

    def written(self, address: str) -> str | Decimal:
        """The number at an address, as the file writes it; raises `LookupError`.

        An address that ends in ``?*#sum`` or ``?*#count`` is of all rows of the metric.
        """
        place, _, sample = address.partition("#")
        path, _, query = place.partition("?")
        experiment, _, metric = path.partition("/")
        if query == "*":
            return self._whole(experiment, unquote(metric), sample)
        asked = dict(
            parse_qsl(
                query, keep_blank_values=True, strict_parsing=bool(query), separator=";"
            )
        )
        backend = asked.pop("backend", "autodiff")
        parameters = tuple(sorted((k, v) for k, v in asked.items() if v != ""))
        lines = self.lines(experiment).get((unquote(metric), backend, parameters), [])
        every = {
            line.samples.split()[int(sample)] if sample else line.value
            for line in lines
        }
        if len(every) != 1:
            raise LookupError(f"{address} is found {len(every)} times")
        return every.pop()

    def _whole(self, experiment: str, metric: str, how: str) -> Decimal:
        values = [
            Decimal(line.value)
            for (what, _, _), lines in self.lines(experiment).items()
            for line in lines
            if what == metric
        ]
        if not values:
            raise LookupError(f"{experiment} has no {metric}")
        return {"sum": sum(values, Decimal(0)), "count": Decimal(len(values))}[how]

    def known(self, experiment: str) -> Iterator[float]:
        """All numbers of an experiment: values, samples, parameters, in metrics too."""
        for (metric, backend, parameters), lines in self.lines(experiment).items():
            for text in (metric, backend, *(cell for _, cell in parameters)):
                for part in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text):
                    yield float(part)
            # Epochs of a training are counted, and each of them has its losses.
            for last in (cell for name, cell in parameters if name == "epochs"):
                yield from map(float, range(1, int(last) + 1))
            for line in lines:
                for part in (line.value, *line.samples.split()):
                    yield _float(part)


def faults(page: Element, tables: Tables) -> list[str]:
    """What is wrong with the numbers that say where they come from."""
    with localcontext(EXACT):
        return [
            f"{element.section}: {fault}: <data value={element.attributes['value']} "
            f"data-from={element.attributes['data-from'][:200]}>{element.text}</data>"
            for element in page.every("data")
            for fault in _faults(element, tables)
        ]


def _faults(element: Element, tables: Tables) -> Iterator[str]:
    addresses = element.attributes["data-from"].split()
    how = element.attributes.get("data-how", "value")
    stated = element.attributes["value"]
    try:
        found = [tables.written(address) for address in addresses]
    except (LookupError, OSError, ValueError, KeyError) as error:
        yield f"no such row ({error})"
        return
    try:
        expected = _RECOMPUTED[how](found)
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        yield f"{how} of {len(found)} rows cannot be computed ({error!r})"
        return
    if not _same(stated, expected, found):
        yield f"the rows give {_short(expected)}"
    if not agrees(element.text, stated):
        yield "the words say another number"


def agrees(words: str, value: str) -> bool:
    """Whether the first number of the words is the value, rounded as they show it.

    >>> agrees("2.10 ms", "0.0021"), agrees("2.10 ms", "0.0022"), agrees("−3", "-3.2")
    (True, False, True)
    """
    if value in ("inf", "-inf", "nan"):
        return words in {"inf": ("∞", "infinite"), "-inf": ("−∞",), "nan": ()}[value]
    said = next(numbers(words), None)
    return said is not None and said.agrees(Decimal(value))


def _one(found: list[str]) -> str | Decimal:
    (value,) = found
    return value


def _extreme(found: list[str], sign: int) -> str:
    return sorted(found, key=Decimal)[-1 if sign > 0 else 0]


def _ratio(found: list[str]) -> Decimal:
    over, under = map(Decimal, found)
    return over / under


def _difference(found: list[str]) -> Decimal:
    one, other = map(Decimal, found)
    return one - other


_RECOMPUTED = {
    "value": _one,
    "min": lambda found: _extreme(found, -1),
    "max": lambda found: _extreme(found, 1),
    "sum": lambda found: sum(map(Decimal, found), Decimal(0)),
    "ratio": _ratio,
    "difference": _difference,
    "count": lambda found: Decimal(len(found)),
}


def _same(stated: str, expected: str | Decimal, found: list[str]) -> bool:
    """Equal; what was computed in floating point may differ by its rounding."""
    if isinstance(expected, str):
        # 3 and 3.0 are one number; a float is written so that it is read back.
        return stated == expected or Decimal(stated) == Decimal(expected)
    scale = max(abs(expected), *(abs(Decimal(value)) for value in found))
    return abs(Decimal(stated) - expected) <= scale * Decimal("1e-12")


def _short(value: str | Decimal) -> str:
    return f"{Decimal(value):.12g}"


def _float(text: str) -> float:
    try:
        return float(text)
    except OverflowError:  # An integer beyond the range.
        return math.inf
