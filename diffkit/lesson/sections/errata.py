"""Errata and method: every claim with its verdict, how it was measured, and limits.

The section that names all the others: it links each claim to the section that shows
what it is about, so that it is made from their list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from diffkit.lesson.data import Data, GapError, Measured, Number, ratio, total
from diffkit.lesson.section import Section, View
from diffkit.lesson.words import words
from diffkit.measure.claims import Claim, read_claims, read_sources
from diffkit.measure.rows import CELL_METRIC, HARNESS_METRIC
from diffkit.report import numbers
from diffkit.report.chapters import Chapter
from diffkit.report.page import HOLDS
from diffkit.report.summaries import summary
from diffkit.report.verdicts import Answered, answers

NAME = "errata"
#: Those that give a verdict on a claim, and the peers.
EXPERIMENTS = (
    *("accuracy", "backward_trace", "batch_size", "cost_vs_depth", "data_parallel"),
    *("expression_growth", "extrapolation", "gradient_cost_ratio", "initialization"),
    *("landscapes", "learning_rate", "linear_regression", "loss_surface", "losses"),
    *("memory", "one_weight", "optimizers", "parameter_scaling", "peers", "pitfalls"),
    *("precision", "regularization", "schedules", "step_size", "student_dropout"),
    *("train_three_ways", "vanishing_gradients", "xor"),
)
#: Other libraries need not be installed: what is missing of these is no gap.
OPTIONAL = ("peers",)
#: The groups of the page: verdict -> heading.
GROUPS = {
    "wrong": "Claims that do not hold",
    "conditional": "Claims that hold under conditions",
    "right": "Claims that hold",
    "measured": "Questions that were open, and are measured",
    None: "Not answered yet",
}
ABSENT = Markup('<span class="absent">not measured here</span>')


def section(others: Sequence[Section]) -> Section:
    """The section, given those that stand before it."""
    claims = tuple(f"C{number}" for number in range(1, 37))
    return Section(
        NAME,
        "A",
        "Errata and method",
        EXPERIMENTS,
        claims,
        partial(view, others=tuple(others)),
    )


def view(data: Data, others: Sequence[Section]) -> View:
    """Claims by verdict, machines and cells, and where other ways win."""
    chapters, gaps = _chapters(data)
    claims, sources = _listed(data)
    experiments = [one.experiment for one in data.experiments]
    answered = answers(claims, experiments, chapters)
    said = {chapter.name for chapter in chapters}
    gaps += [
        _unanswered(item, data)
        for item in answered
        # An experiment that is missing is a gap once, not again for each claim.
        if not item.verdicts and set(item.waiting) <= said
    ]
    groups = [
        {
            "title": title,
            "claims": [
                _claim(item, others, data) for item in answered if item.holds == holds
            ],
        }
        for holds, title in GROUPS.items()
    ]
    return View(
        {
            "summary": summary(answered),
            "reach": _reach(answered),
            "groups": [group for group in groups if group["claims"]],
            # Without what stands in brackets: chapters are of no use here.
            "sources": [
                (letter, title.partition(" (")[0]) for letter, title in sources.items()
            ],
            **_method(data),
            "limits": _limits(data),
        },
        gaps=tuple(gaps),
    )


def _chapters(data: Data) -> tuple[list[Chapter], list[str]]:
    """What the experiments find, and a sentence for each that cannot say."""
    found: list[Chapter] = []
    gaps: list[str] = []
    first: GapError | None = None
    for name in EXPERIMENTS:
        try:
            found.append(data.chapter(name))
        except GapError as gap:
            first = first or gap
            if name not in OPTIONAL:
                gaps.append(str(gap))
    if first is not None and not found:
        raise first
    return found, gaps


def _unanswered(item: Answered, data: Data) -> str:
    what = f"{item.claim.name} is not answered yet"
    if not item.waiting:
        return f"{what}: no experiment names it."
    return f"{what}. Run '{data.command(item.waiting[0])}'."


def _listed(data: Data) -> tuple[dict[str, Claim], dict[str, str]]:
    folders = {one.path.parent for one in data.experiments}
    claims = {k: v for folder in folders for k, v in read_claims(folder).items()}
    sources = {k: v for folder in folders for k, v in read_sources(folder).items()}
    if not claims:
        raise GapError(EXPERIMENTS[0], "no list of claims lies beside the experiments")
    return claims, sources


def _claim(item: Answered, others: Sequence[Section], data: Data) -> dict[str, Any]:
    claim = item.claim
    return {
        "name": claim.name,
        "text": words(claim.text),
        "sources": " ".join(claim.sources),
        "holds": words(HOLDS[item.holds]) if item.holds else "not answered yet",
        "verdicts": [
            {
                "measured": verdict.measured,
                "holds": words(HOLDS[verdict.holds]),
                "command": data.command(name),
            }
            for name, verdict in item.verdicts
        ],
        "several": len(item.verdicts) > 1,
        "waiting": [data.command(name) for name in item.waiting],
        "shown": [one for one in others if claim.name in one.claims],
    }


def _reach(answered: Sequence[Answered]) -> str:
    """How many claims have a verdict in a place of this page."""
    there = sum(item.holds is not None for item in answered)
    return (
        f"{there} of {len(answered)} claims are reachable from this page: each below "
        "with what was measured, the command that measures it, and the section that "
        "shows it."
    )


def _method(data: Data) -> dict[str, Any]:
    """Machines, versions, and cells by experiment."""
    measured = [data[name] for name in EXPERIMENTS if data.has(name)]
    cells = [one for one in measured if _whole(one, CELL_METRIC, "count")]
    beside = [one for one in cells if _whole(one, HARNESS_METRIC, "sum")]
    return {
        "machines": _distinct(measured, "machine"),
        "versions": _distinct(measured, "versions"),
        "threads": _distinct(measured, "threads"),
        "cells": total(
            (one.whole(CELL_METRIC, "count") for one in cells), "{:,.0f}".format
        ),
        "seconds": total(
            (one.whole(CELL_METRIC, "sum") for one in cells), numbers.seconds
        ),
        "lines": [
            [
                one.name.replace("_", " "),
                one.whole(CELL_METRIC, "count"),
                one.whole(CELL_METRIC, "sum"),
                _share(one) if one in beside else ABSENT,
                Markup("<code>{}</code>").format(one.command),
            ]
            for one in cells
        ],
    }


def _whole(rows: Measured, metric: str, how: Any) -> Number | None:
    try:
        return rows.whole(metric, how)
    except GapError:
        return None


def _share(rows: Measured) -> Number | Markup:
    """What the harness took for each second of the cells, where all were timed."""
    cells, timed = (rows.whole(m, "count") for m in (CELL_METRIC, HARNESS_METRIC))
    if float(cells) != float(timed):
        return ABSENT
    return ratio(
        rows.whole(HARNESS_METRIC, "sum"),
        rows.whole(CELL_METRIC, "sum"),
        "{:.2%}".format,
    )


def _distinct(measured: Sequence[Measured], what: str) -> list[str]:
    said = {getattr(row, what) for one in measured for row in one.rows}
    return sorted(str(text) for text in said if text)


def _limits(data: Data) -> dict[str, Number | Markup]:
    """Figures of where backprop does not win; each may be missing."""

    def times(name: str, metric: str, backend: str, **parameters: Any) -> Number:
        return data[name].number(metric, backend, words=numbers.times, **parameters)

    def smallest(backend: str) -> Number:
        rows = data["parameter_scaling"]
        least = min(
            (row for row in rows.having("parameters_count", backend)),
            key=lambda row: row.value or 0.0,
        )
        network = least["network"]
        return ratio(
            times(rows.name, "gradient_ratio", backend, network=network),
            rows.number("parameters_count", backend, network=network),
            numbers.times,
        )

    asked: dict[str, Callable[[], Number]] = {
        "forward_each": lambda: smallest("forward"),
        "forward_many": lambda: times(
            "parameter_scaling", "gradient_ratio", "forward", network="10-64-32-1"
        ),
        "reverse_many": lambda: times(
            "parameter_scaling", "gradient_ratio", "autodiff", network="10-64-32-1"
        ),
        "scipy": lambda: data["peers"].number(
            "primal_evaluations", "scipy", network="2-8-1"
        ),
        "symbols": lambda: times(
            "cost_vs_depth", "gradient_ratio", "symbolic_shared", depth=1
        ),
        "reverse_one": lambda: times(
            "cost_vs_depth", "gradient_ratio", "autodiff", depth=1
        ),
        "casadi": lambda: times("peers", "gradient_ratio", "casadi", network="2-8-1"),
        "casadi_compiled": lambda: times(
            "peers", "gradient_ratio", "casadi_compiled", network="2-8-1"
        ),
        "casadi_large": lambda: times(
            "peers", "gradient_ratio", "casadi", network="10-64-32-1"
        ),
        "memory": lambda: _saved(data["memory"], "workspace_bytes", numbers.times),
        "operations": lambda: _saved(data["memory"], "run_operations", "{:.0%}".format),
    }
    return {name: _or_absent(number) for name, number in asked.items()}


def _saved(rows: Measured, metric: str, words: Callable[[float], str]) -> Number:
    """The deepest network without checkpoints, over it with √n of them."""
    deepest = max(
        rows.having(metric, sweep="depth", checkpoint="sqrt"),
        key=lambda row: row["depth"],
    )
    kept = rows.row(metric, sweep="depth", checkpoint="none", depth=deepest["depth"])
    return ratio(rows.said(kept), rows.said(deepest), words)


def _or_absent(number: Callable[[], Number]) -> Number | Markup:
    try:
        return number()
    except GapError:
        return ABSENT
