"""Pages written from rows: templates hold words, rows hold every number."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from diffkit.errors import ReportError
from diffkit.measure.claims import FILE, Claim
from diffkit.measure.experiment import Experiment, Findings, Verdict
from diffkit.measure.rows import BOOKKEEPING, CELL_METRIC, HARNESS_METRIC, Row
from diffkit.report.compact import compact_tables
from diffkit.report.numbers import count, seconds
from diffkit.report.table import markdown_table
from diffkit.report.templates import template

#: A verdict in words.
HOLDS: Mapping[str, str] = {
    "right": "holds",
    "wrong": "**does not hold**",
    "conditional": "holds under conditions",
    "measured": "measured",
}


@dataclass(frozen=True, slots=True)
class Page:
    """The parts of one experiment's page, as Markdown; numbers are already words."""

    name: str
    question: str
    answer: str
    body: str
    tables: Mapping[str, str]
    verdicts: str
    stopped: str
    metrics: Mapping[str, str]
    provenance: str

    def markdown(self) -> str:
        """The page as a file of its own."""
        return template("page.md.j2").render(page=self)


def fill(template: str, facts: Mapping[str, Any], where: str) -> str:
    """Put facts into a template; raises `ReportError` for a number typed by hand.

    Digits may stand in ``code``, in links and inside placeholders only.

    >>> fill("It takes {ratio}.", {"ratio": "2.1×"}, "a page")
    'It takes 2.1×.'
    >>> fill("It takes 2.1×.", {}, "a page")
    Traceback (most recent call last):
    ...
    diffkit.errors.ReportError: a page has a number typed by hand: 'It takes 2.1×.'. ...
    """
    for line in template.splitlines():
        words = re.sub(r"`[^`]*`|\{[^{}]*\}|\]\([^)]*\)", "", line)
        if re.search(r"\d", words):
            raise ReportError(
                f"{where} has a number typed by hand: {line.strip()!r}. "
                "Take it from the rows and write {name} in its place."
            )
    try:
        return string.Formatter().vformat(template, (), facts)
    except KeyError as error:
        raise ReportError(
            f"{where} uses the fact {error.args[0]!r}, which the findings do not have. "
            f"They have: {', '.join(sorted(facts))}."
        ) from error


def compose(
    experiment: Experiment,
    findings: Findings,
    rows: Sequence[Row],
    mode: str,
    claims: Mapping[str, Claim],
) -> Page:
    """The page of one experiment; raises `ReportError` where words and rows disagree.

    Its tables are those of the experiment, or else its first metric by case.
    """
    facts = findings.facts
    tables = (
        compact_tables(rows, experiment.metrics)
        if experiment.tables is None
        else experiment.tables(rows)
    )
    answer = fill(experiment.answer, facts, f"The answer of {experiment.name!r}")
    return Page(
        name=experiment.name,
        question=experiment.question,
        answer=" ".join(answer.split()),
        body=fill(experiment.page, facts, f"The page of {experiment.name!r}").strip(),
        tables=dict(tables),
        verdicts=_verdicts(findings.verdicts, claims),
        stopped=stopped_table(rows),
        metrics={**experiment.metrics, **_bookkeeping(rows)},
        provenance=_provenance(experiment, rows, mode),
    )


def claimed(verdict: Verdict, claims: Mapping[str, Claim]) -> str:
    """What was claimed; raises `ReportError` for a claim that is not listed."""
    if verdict.claim not in claims:
        raise ReportError(
            f"A verdict answers {verdict.claim}, which experiments/{FILE} does not "
            f"list. It lists: {', '.join(claims) or 'nothing'}."
        )
    return claims[verdict.claim].text


def stopped_table(rows: Sequence[Row]) -> str:
    """A table of the cells that did not end well; empty when all did."""
    lines = [
        [
            row.backend.replace("_", " "),
            ", ".join(f"{name} {value}" for name, value in row.parameters),
            row.status.replace("_", " "),
            row.message,
        ]
        for row in rows
        if row.metric == CELL_METRIC and row.status != "ok"
    ]
    header = ["backend", "case", "how", "why"]
    return markdown_table(header, lines, numbers_from=4) if lines else ""


def _bookkeeping(rows: Sequence[Row]) -> dict[str, str]:
    written = {row.metric for row in rows}
    return {name: text for name, text in BOOKKEEPING.items() if name in written}


def _verdicts(verdicts: Sequence[Verdict], claims: Mapping[str, Claim]) -> str:
    if not verdicts:
        return ""
    return markdown_table(
        ["claim", "as claimed", "as measured", "verdict"],
        [[v.claim, claimed(v, claims), v.measured, HOLDS[v.holds]] for v in verdicts],
        numbers_from=4,
    )


def _provenance(experiment: Experiment, rows: Sequence[Row], mode: str) -> str:
    cells = [row for row in rows if row.metric == CELL_METRIC]
    well = sum(row.status == "ok" for row in cells)
    return "\n".join(
        [
            (
                f"* {count(len(rows))} rows from {count(len(cells))} cells, of which "
                f"{count(well)} ran to their end; the `{mode}` cases."
            ),
            *(f"* Machine: {text}" for text in _distinct(rows, "machine")),
            *(f"* Versions: {text}" for text in _distinct(rows, "versions")),
            *(f"* Commit: `{text}`" for text in _distinct(rows, "commit")),
            (
                f"* Every cell ran alone in a process of its own, {_threads(rows)}. "
                "Times are medians of the raw samples kept in [data.csv](data.csv); a "
                "ratio is taken from samples measured in turn within one process. "
                "Compare ratios, "
                "not times, with another machine."
            ),
            *_harness(rows),
            f"* Again: `diffkit run {experiment.name} --{mode}`",
        ]
    )


def _threads(rows: Sequence[Row]) -> str:
    several = any(row.threads > 1 for row in rows)
    return "with as many threads as its case names" if several else "with one thread"


def _harness(rows: Sequence[Row]) -> list[str]:
    """What the harness took beside its timed cells; nothing where it had none."""
    beside = [row for row in rows if row.metric == HARNESS_METRIC and row.value]
    if not beside:
        return []
    inside = {_cell(row): row.value for row in rows if row.metric == CELL_METRIC}
    spent = [row.value or 0.0 for row in beside]
    took = [inside.get(_cell(row)) or 0.0 for row in beside]
    shares = [100 * s / t for s, t in zip(spent, took, strict=True) if t]
    if not shares:
        return []
    return [
        (
            f"* The harness took {seconds(median(spent))} beside a timed cell (median "
            f"of {count(len(spent))}): {median(shares):.2g} % of the cell's time "
            f"(median; at most {max(shares):.2g} %), {100 * sum(spent) / sum(took):.2g}"
            " % of all cells' time together. It is in no measured number."
        )
    ]


def _cell(row: Row) -> tuple[Any, ...]:
    return row.backend, row.runtime, row.parameters, row.seed


def _distinct(rows: Sequence[Row], name: str) -> list[str]:
    return sorted({getattr(row, name) for row in rows} - {""})
