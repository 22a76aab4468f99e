"""Rows for the lesson: every number taken from them remembers where it stood.

A `Number` writes itself as ``<data>`` with the address of its row, so that a reader can
ask the page where a figure comes from, and a test can look each of them up again. An
address reads ``EXPERIMENT/METRIC?backend=…;PARAMETER=…#SAMPLE``; without a backend it
is that of reverse mode, ``autodiff``. All rows of a metric together are
``EXPERIMENT/METRIC?*#sum`` (or ``#count``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from diffkit.errors import DiffkitError, ReportError
from diffkit.measure.experiment import Found
from diffkit.measure.rows import CELL_METRIC, Row, Scalar
from diffkit.report import compact
from diffkit.report.chapters import Chapter
from diffkit.report.folder import mode_of
from diffkit.report.lookup import rows_of
from diffkit.report.numbers import SUPERSCRIPT
from diffkit.report.table import read_rows

Words = Callable[[float], str]


def short(value: float) -> str:
    """Five figures and a real minus sign.

    >>> short(-0.29276843), short(-0.0)
    ('−0.29277', '0')
    """
    return f"{value + 0.0:.5g}".replace("-", "−")


class GapError(DiffkitError):
    """Something that a section shows was not measured; says what to run."""

    def __init__(self, experiment: str, lacks: str, mode: str = "quick") -> None:
        self.experiment = experiment
        self.command = f"diffkit run {experiment} --{mode}"
        super().__init__(f"{experiment}: {lacks}. Run '{self.command}'.")


def typeset(text: str) -> str:
    """A number as programs write it, with a minus and a power of ten as readers do.

    >>> typeset("-6"), typeset("-1.5e-07 of 1e+98"), typeset("2-2-1")
    ('−6', '−1.5 × 10⁻⁷ of 1 × 10⁹⁸', '2-2-1')
    """
    if isinstance(text, Markup):
        return text  # Set by its section.
    text = re.sub(r"(?<![\w.,)])-(?=\d)", "−", text)
    return re.sub(r"(?<=\d)e([+-]\d+)\b", _power, text)


def _power(found: re.Match[str]) -> str:
    return f" × 10{str(int(found[1])).translate(SUPERSCRIPT)}"


@dataclass(frozen=True, slots=True)
class Number:
    """A value, how it is said, and the addresses of the rows that it comes from.

    ``how`` says what was done with several rows: ``min``, ``max``, ``sum``, ``ratio``
    (the first over the second), ``difference`` (the first less the second), ``count``
    (how many there are); ``value`` is one row as it stands.

    >>> number = Number(2.0, ("tiny/work_ratio?backend=a",), "value", "2.00×")
    >>> print(number)
    2.00×
    >>> print(number.__html__())
    <data value="2.0" data-from="tiny/work_ratio?backend=a">2.00×</data>
    """

    value: float
    sources: tuple[str, ...]
    how: str
    text: str

    def __str__(self) -> str:
        return typeset(self.text)

    def __float__(self) -> float:
        return float(self.value)

    def __html__(self) -> str:
        how = "" if self.how == "value" else f' data-how="{self.how}"'
        places = escape(" ".join(self.sources))
        return Markup(
            f'<data value="{self.value!r}" data-from="{places}"{how}>'
            f"{escape(typeset(self.text))}</data>"
        )

    def said(self, words: Words) -> Number:
        """The same number in other words.

        >>> Number(0.5, (), "value", "0.5").said("{:.0%}".format).text
        '50%'
        """
        return Number(self.value, self.sources, self.how, words(self.value))


def least(numbers: Iterable[Number]) -> Number:
    """The smallest of them, in its own words."""
    every = list(numbers)
    one = min(every, key=float)
    return Number(one.value, _places(every), "min", one.text)


def most(numbers: Iterable[Number]) -> Number:
    """The largest of them, in its own words."""
    every = list(numbers)
    one = max(every, key=float)
    return Number(one.value, _places(every), "max", one.text)


def total(numbers: Iterable[Number], words: Words) -> Number:
    """Their sum."""
    every = list(numbers)
    return _derived(sum(n.value for n in every), every, "sum", words)


def ratio(over: Number, under: Number, words: Words) -> Number:
    """The first over the second."""
    return _derived(over.value / under.value, [over, under], "ratio", words)


def difference(one: Number, other: Number, words: Words) -> Number:
    """The first less the second."""
    return _derived(one.value - other.value, [one, other], "difference", words)


def tally(numbers: Iterable[Number]) -> Number:
    """How many there are."""
    every = list(numbers)
    return _derived(len(every), every, "count", "{:g}".format)


def _derived(value: float, of: Sequence[Number], how: str, words: Words) -> Number:
    return Number(value, _places(of), how, words(value))


def _places(numbers: Sequence[Number]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place for n in numbers for place in n.sources))


def given(value: object) -> Markup:
    """A number that was chosen and not measured: a setting of the exercise.

    >>> print(given(0.1))
    <span class="given">0.1</span>
    """
    return Markup('<span class="given">{}</span>').format(value)


def address(row: Row, sample: int | None = None) -> str:
    """Where a value stands: ``EXPERIMENT/METRIC?backend=…;PARAMETER=…#SAMPLE``.

    What most have goes without saying: there are hundreds of addresses in a page.

    >>> from diffkit.measure import case
    >>> address(case("e", "autodiff", depth=4).row("work_value", 1), sample=3)
    'e/work_value?depth=4#3'
    """
    usual = {"backend": "autodiff", "seed": 0}
    facts = [("backend", row.backend), *row.parameters, ("seed", row.seed)]
    query = ";".join(
        urlencode([(name, value)])
        for name, value in facts
        if value not in (None, "") and usual.get(name) != value
    )
    text = f"{row.experiment}/{quote(row.metric)}" + (f"?{query}" if query else "")
    return text if sample is None else f"{text}#{sample}"


class Measured:
    """The rows of one experiment, asked for what a section shows.

    Whatever is asked for and was not measured raises `GapError`.
    """

    def __init__(self, name: str, rows: Sequence[Row], mode: str) -> None:
        self.name, self.rows, self.mode = name, rows, mode

    @property
    def command(self) -> str:
        """What measures all of it again."""
        return f"diffkit run {self.name} --{self.mode}"

    @cached_property
    def versions(self) -> frozenset[str]:
        """Versions of diffkit that measured; a row cut short does not say."""
        return frozenset(
            word.removeprefix("diffkit=")
            for row in self.rows
            for word in (row.versions or "").split()
            if word.startswith("diffkit=")
        )

    def having(
        self, metric: str, backend: str | None = None, **parameters: Scalar
    ) -> list[Row]:
        """Rows of a metric that have a value; at least one."""
        found = rows_of(self.rows, metric, backend, **parameters)
        if not found:
            raise GapError(
                self.name, f"no {_asked(metric, backend, parameters)}", self.mode
            )
        return found

    def row(self, metric: str, backend: str | None = None, **parameters: Scalar) -> Row:
        """The first such row."""
        return self.having(metric, backend, **parameters)[0]

    def samples(
        self, metric: str, backend: str | None = None, **parameters: Scalar
    ) -> tuple[float, ...]:
        """The samples of the first such row; at least one."""
        found = self.row(metric, backend, **parameters).samples
        if not found:
            asked = _asked(metric, backend, parameters)
            raise GapError(self.name, f"no samples of {asked}", self.mode)
        return found

    def number(
        self,
        metric: str,
        backend: str | None = None,
        *,
        sample: int | None = None,
        words: Words | None = None,
        **parameters: Scalar,
    ) -> Number:
        """One value, or with ``sample`` one of its samples, said by its unit."""
        row = self.row(metric, backend, **parameters)
        return self.said(row, sample=sample, words=words)

    def numbers(
        self,
        metric: str,
        backend: str | None = None,
        *,
        by: str,
        words: Words | None = None,
        **parameters: Scalar,
    ) -> dict[Scalar, Number]:
        """A value for each value of the parameter ``by``, in rising order."""
        found = {
            row[by]: self.said(row, words=words)
            for row in self.having(metric, backend, **parameters)
            if row.get(by) is not None
        }
        return dict(sorted(found.items(), key=lambda item: (str(type(item[0])), item)))

    def said(
        self, row: Row, *, sample: int | None = None, words: Words | None = None
    ) -> Number:
        """A row's value, or one of its samples, as a `Number`."""
        if sample is None:
            value = row.value
        else:
            # From the end where it is negative; never around it.
            sample += len(row.samples) if sample < 0 else 0
            there = 0 <= sample < len(row.samples)
            value = row.samples[sample] if there else None
        if value is None:
            raise GapError(self.name, f"{address(row, sample)} has no value", self.mode)
        text = words(value) if words else compact.show(row.metric, value)
        return Number(value, (address(row, sample),), "value", text)

    def whole(
        self, metric: str, how: Literal["sum", "count"], words: Words | None = None
    ) -> Number:
        """All values of a metric together; its address is ``EXPERIMENT/METRIC?*#HOW``.

        >>> from diffkit.measure import case
        >>> rows = [case("e", "null", n=n).row("work_seconds", n) for n in (1, 2)]
        >>> print(Measured("e", rows, "quick").whole("work_seconds", "sum").__html__())
        <data value="3.0" data-from="e/work_seconds?*#sum">3.00 s</data>
        """
        values = [row.value or 0.0 for row in self.having(metric)]
        value = math.fsum(values) if how == "sum" else float(len(values))
        said = words or (
            partial(compact.show, metric) if how == "sum" else "{:,.0f}".format
        )
        place = f"{self.name}/{quote(metric)}?*#{how}"
        return Number(value, (place,), "value", said(value))

    def stop(
        self, backend: str | None = None, **parameters: Scalar
    ) -> tuple[str, str] | None:
        """How a cell was stopped and why; None where it ran to its end."""
        for row in self.rows:
            asked = all(row.get(name) == value for name, value in parameters.items())
            asked = asked and backend in (None, row.backend)
            if asked and row.metric == CELL_METRIC and row.status != "ok":
                return row.status, row.message
        return None


class Data:
    """The data of all experiments under a folder of reports, read when asked for."""

    def __init__(self, reports: Path, experiments: Mapping[str, object]) -> None:
        self.reports = reports
        self._experiments = experiments
        self._read: dict[str, Measured] = {}
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Measured:
        self.used.add(name)
        if name not in self._read:
            self._read[name] = self._load(name)
        return self._read[name]

    def has(self, name: str) -> bool:
        """Whether the data of an experiment are there and can be read."""
        try:
            return bool(self[name].rows)
        except GapError:
            return False

    def command(self, name: str) -> str:
        """What measures an experiment, again or for the first time."""
        try:
            return self[name].command
        except GapError as gap:
            return gap.command

    @property
    def experiments(self) -> list[Found]:
        """The experiments that are known, measured or not."""
        return [one for one in self._experiments.values() if isinstance(one, Found)]

    def chapter(self, name: str) -> Chapter:
        """What an experiment finds in its rows; raises `GapError` where it cannot."""
        measured = self[name]
        found = self._experiments.get(name)
        if not isinstance(found, Found):
            raise GapError(name, "no experiment of that name is here", measured.mode)
        if any(row.versions is None for row in measured.rows):
            raise GapError(name, "a row of its data is cut short", measured.mode)
        experiment = found.experiment
        try:
            findings = experiment.findings(measured.rows)
        except Exception as error:
            # Its rows may be of another version of it.
            said = f"its findings cannot be made ({type(error).__name__}: {error})"
            raise GapError(name, said, measured.mode) from error
        return Chapter(name, experiment.question, verdicts=findings.verdicts)

    def _load(self, name: str) -> Measured:
        folder = self.reports / name
        try:
            rows = read_rows(folder / "data.csv")
        except ReportError as error:
            raise GapError(name, f"its data cannot be read ({error})") from error
        found = self._experiments.get(name)
        experiment = getattr(found, "experiment", None)
        mode = "quick"
        if experiment is not None:
            mode = mode_of(experiment, rows, folder / "README.md")
        return Measured(name, rows, mode)


def _asked(metric: str, backend: str | None, parameters: Mapping[str, Scalar]) -> str:
    words = [f"{name} {value}" for name, value in parameters.items()]
    by = [f"by {backend}"] if backend else []
    return " ".join([metric, *by, *(["with", ", ".join(words)] if words else [])])
