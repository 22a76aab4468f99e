"""Pages written from rows: templates hold words, rows hold every number."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from diffkit.errors import ReportError
from diffkit.measure.claims import FILE, Claim
from diffkit.measure.experiment import Experiment, Findings, Verdict
from diffkit.measure.rows import CELL_METRIC, Row
from diffkit.report.numbers import count
from diffkit.report.table import markdown_table

_HOLDS = {
    "right": "holds",
    "wrong": "**does not hold**",
    "conditional": "holds under conditions",
    "measured": "measured",
}


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


def render(
    experiment: Experiment,
    findings: Findings,
    rows: Sequence[Row],
    mode: str,
    claims: Mapping[str, Claim],
) -> str:
    """The Markdown page of one experiment."""
    where = f"The page of {experiment.name!r}"
    facts = findings.facts
    parts = [
        "<!-- Written by diffkit from data.csv. Do not edit: run it again. -->",
        f"# {experiment.question}",
        f"**{_answer(experiment, findings)}**",
        f"![{experiment.question}](figure.svg)",
        fill(experiment.page, facts, where).strip(),
    ]
    if findings.verdicts:
        parts += [
            "## Claims",
            markdown_table(
                ["claim", "as claimed", "as measured", "verdict"],
                [
                    [v.claim, claimed(v, claims), v.measured, _HOLDS[v.holds]]
                    for v in findings.verdicts
                ],
                numbers_from=4,
            ),
        ]
    if stopped := stopped_table(rows):
        parts += ["## Cells that were stopped", stopped]
    if experiment.metrics:
        parts += [
            "## What the columns mean",
            "\n".join(
                f"* `{name}`: {meaning}" for name, meaning in experiment.metrics.items()
            ),
        ]
    parts += ["## How it was measured", _provenance(experiment, rows, mode)]
    return "\n\n".join(parts) + "\n"


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


def index(entries: Sequence[tuple[Experiment, Findings]]) -> str:
    """The Markdown index of all reports: question, answer, thumbnail."""
    lines = [
        [
            f"[{experiment.question}]({experiment.name}/README.md)",
            _answer(experiment, findings),
            (
                f'<img src="{experiment.name}/figure.png" width="240" '
                f'alt="Figure of {experiment.name}">'
            ),
        ]
        for experiment, findings in entries
    ]
    return (
        "\n\n".join(
            [
                "<!-- Written by diffkit. Do not edit: run `make report`. -->",
                "# What diffkit measured",
                (
                    "Each page is written from the `data.csv` beside it, which names "
                    "the machine, the versions and the commit of every row. "
                    "`make report` measures all of it again."
                ),
                markdown_table(["question", "answer", "figure"], lines, numbers_from=3),
            ]
        )
        + "\n"
    )


def _answer(experiment: Experiment, findings: Findings) -> str:
    """The answer in one line, as it stands in a table."""
    where = f"The answer of {experiment.name!r}"
    return " ".join(fill(experiment.answer, findings.facts, where).split())


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
                "* Every cell ran alone in a process of its own, with one thread. "
                "Times are medians of the raw samples kept in [data.csv](data.csv); a "
                "ratio is taken from samples measured in turn within one process. "
                "Compare ratios, "
                "not times, with another machine."
            ),
            f"* Again: `diffkit run {experiment.name} --{mode}`",
        ]
    )


def _distinct(rows: Sequence[Row], name: str) -> list[str]:
    return sorted({getattr(row, name) for row in rows} - {""})
