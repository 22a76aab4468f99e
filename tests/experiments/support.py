"""What every experiment's test asks: rows that can be stored, a page that follows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from diffkit import report
from diffkit.measure import CELL_METRIC, Case, Found, Row
from diffkit.measure.experiment import load_experiment
from diffkit.report import table

ROOT = Path(__file__).resolve().parents[2]


def found(name: str) -> Found:
    return load_experiment(ROOT / "experiments" / f"{name}.py")


def measured(experiment: Found, **parameters) -> tuple[Row, ...]:
    """Rows of the quick cases with these parameters, measured here and now."""
    chosen = [
        case
        for case in experiment.experiment.cases("quick")
        if all(dict(case.parameters).get(k) == v for k, v in parameters.items())
    ]
    assert chosen, parameters
    return tuple(row for case in chosen for row in cell(experiment, case))


def cell(experiment: Found, case: Case) -> list[Row]:
    rows = [*experiment.experiment.measure(case), case.row(CELL_METRIC, 0.0)]
    assert all(row.parameters == case.parameters for row in rows)
    assert len({row.metric for row in rows}) == len(rows)
    return rows


def value(rows: Sequence[Row], metric: str, backend: str | None = None, **parameters):
    """The one value of a metric."""
    (row,) = report.rows_of(rows, metric, backend, **parameters)
    assert row.value is not None
    return row.value


def check_page(
    experiment: Found, rows: Sequence[Row], *, timed: bool = False, whole: bool = True
) -> str:
    """Compose the page from rows that went through a file; every claim is answered.

    Figures are laid out and not rendered, which is most of the time of a report.
    Without `whole` only some of the cases were measured, and the page says so.
    """
    stored = table.from_csv(table.to_csv(rows))
    value = experiment.experiment
    assert any(case.timed for case in value.cases("quick")) == timed
    found = value.findings(stored)
    page = report.page.compose(value, found, stored, "quick", experiment.claims)
    text = "\n".join([page.answer, page.body, *page.tables.values(), page.verdicts])
    for claim in value.claims:
        assert f"| {claim} |" in page.verdicts
    assert "nan" not in text.split()
    lacks = "no result" in page.answer + page.body + page.verdicts
    assert not (whole and lacks)
    with report.figures.house_style():
        figure = value.figure(stored)
    assert all(
        axes.get_title(loc="left")
        for axes in figure.axes
        if axes.get_label() != "<colorbar>"
    )
    return text


def check_without(experiment: Found, rows: Sequence[Row]) -> None:
    """A page can be written whichever cell failed, and when all of them did."""
    parts = {(row.backend, row.parameters) for row in rows}
    for lost in [*sorted(parts, key=repr), None]:
        kept = [
            row
            for row in rows
            if lost is not None and (row.backend, row.parameters) != lost
        ]
        gone = [
            replace(row, status="error", message="planted", value=0.1)
            for row in rows
            if row.metric == CELL_METRIC
            and (lost is None or (row.backend, row.parameters) == lost)
        ]
        found = experiment.experiment.findings([*kept, *gone])
        report.page.compose(
            experiment.experiment, found, [*kept, *gone], "quick", experiment.claims
        )
    with report.figures.house_style():
        experiment.experiment.figure([])
