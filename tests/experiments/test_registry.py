"""What holds for every experiment there is, whatever it asks."""

import re
from pathlib import Path

import pytest

from diffkit import report
from diffkit.measure import read_claims
from diffkit.measure.experiment import MODES, discover
from diffkit.measure.rows import BOOKKEEPING
from diffkit.report.chapters import chapter_of, read_chapter
from diffkit.report.figures import house_style

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"
REGISTRY = discover(ROOT)
CLAIMS = read_claims(ROOT / "experiments")
NAMES = list(REGISTRY)
MEASURED = [name for name in NAMES if (REPORTS / name / "data.csv").exists()]


def committed(name):
    return report.read_rows(REPORTS / name / "data.csv")


def cut_short(name):
    """Rows of sweeps that did not get far, by what is left of them."""
    cases = REGISTRY[name].experiment.cases("quick")
    sets = {
        "nothing": [],
        "every cell timed out": [
            case.row("cell_seconds", 9.0, status="timeout", message="stopped")
            for case in cases
        ],
    }
    if name in MEASURED:
        rows = committed(name)
        cells = list(dict.fromkeys((row.backend, row.parameters) for row in rows))
        for what, kept in (
            ("one cell", cells[:1]),
            ("every third cell", cells[::3]),
            ("all but the first half", cells[len(cells) // 2 :]),
        ):
            chosen = set(kept)
            sets[what] = [
                row for row in rows if (row.backend, row.parameters) in chosen
            ]
    return sets


def is_documented(metric, metrics):
    """Whether a metric is a key, is named in a meaning, or fits a key with a gap.

    A gap is an ellipsis or a part in capitals: ``prepare_…_seconds``, ``OP_ulps``,
    ``rate_R_steps_count``; what fills it may be a number.
    """
    texts = [*metrics, *(" ".join(metrics.values()).split("`")[1::2])]
    names = [name.strip() for text in texts for name in text.split(",")]
    return any(
        re.fullmatch(
            re.sub(r"…|(?<![a-zA-Z0-9])[A-Z]+(?![a-zA-Z0-9])", r"[\\w.+-]+", name),
            metric,
        )
        for name in names
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", MODES)
def test_cases_are_of_the_experiment_and_unique(name, mode):
    cases = REGISTRY[name].experiment.cases(mode)
    assert cases
    assert {case.experiment for case in cases} == {name}
    assert len({case.key("") for case in cases}) == len(cases)


@pytest.mark.parametrize("name", NAMES)
def test_quick_measures_no_more_than_full(name):
    quick, full = (REGISTRY[name].experiment.cases(mode) for mode in MODES)
    assert len(quick) <= len(full)


@pytest.mark.parametrize("name", NAMES)
def test_claims_are_listed_once_each(name):
    claims = REGISTRY[name].experiment.claims
    assert set(claims) <= set(CLAIMS)
    assert len(set(claims)) == len(claims)


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_that_did_not_get_far_still_has_a_page_and_a_figure(name):
    found = REGISTRY[name]
    for what, rows in cut_short(name).items():
        chapter = chapter_of(found, rows, "quick", draw=False)
        assert chapter.problem == "", what
        assert {verdict.claim for verdict in chapter.verdicts} <= set(
            found.experiment.claims
        )
        with house_style():
            assert found.experiment.figure(rows).axes is not None, what


@pytest.mark.parametrize("name", MEASURED)
def test_the_committed_page_follows_from_the_committed_data(name):
    chapter = read_chapter(REGISTRY[name], REPORTS, draw=False)
    assert chapter.problem == ""
    assert chapter.text == (REPORTS / name / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", MEASURED)
def test_every_claim_of_the_experiment_gets_a_verdict_and_no_other_does(name):
    chapter = read_chapter(REGISTRY[name], REPORTS, draw=False)
    given = [verdict.claim for verdict in chapter.verdicts]
    assert sorted(given) == sorted(REGISTRY[name].experiment.claims)


@pytest.mark.parametrize("name", MEASURED)
def test_every_measured_metric_is_explained(name):
    metrics = {**REGISTRY[name].experiment.metrics, **BOOKKEEPING}
    measured = {row.metric for row in committed(name)}
    assert [m for m in sorted(measured) if not is_documented(m, metrics)] == []


def test_a_metric_that_nobody_explains_is_found():
    metrics = {"prepare_…_seconds, OP_ulps": "by outcome: `agrees_count`"}
    for metric in ("prepare_trace_seconds", "tanh_ulps", "agrees_count"):
        assert is_documented(metric, metrics)
    for metric in ("prepare_seconds", "tanh_count", "other_count"):
        assert not is_documented(metric, metrics)


def test_every_claim_is_named_by_an_experiment():
    named = {c for name in NAMES for c in REGISTRY[name].experiment.claims}
    assert sorted(set(CLAIMS) - named) == []
