"""The case's numbers, maps and gaps: what is drawn and said is what was recorded."""

import re
from collections import Counter

import numpy as np
import pytest

from diffkit.lesson import data, heat_map
from diffkit.lesson.sections import student
from diffkit.train.data import dropout_risk
from tests.lesson.conftest import REPORTS
from tests.lesson.markup import payloads
from tests.lesson.partial import changed, linked


@pytest.fixture(scope="module")
def facts(registry):
    return student.view(data.Data(REPORTS, registry.found)).facts


@pytest.fixture(scope="module")
def section(page):
    return next(s for s in page.every("section") if s.attributes.get("id") == "student")


@pytest.fixture(scope="module")
def payload(page):
    return payloads(page)["student"]


def test_the_first_thing_said_is_that_students_are_made_up(section):
    first = next(section.every("p"))
    assert "synthetic" in first.text
    assert "no real student" in first.text


def test_the_true_risk_of_the_map_is_that_of_its_formula(payload):
    absence, change = np.meshgrid(payload["absence"], payload["change"], indexing="ij")
    grid = np.stack([absence.ravel(), change.ravel(), 0 * absence.ravel()], axis=1)
    mapped = payload["maps"][payload["mapped"].index("true risk")]
    assert len(mapped) == 13 * 13
    assert mapped == pytest.approx(dropout_risk(grid), rel=5e-4)


def test_every_cell_of_a_map_is_drawn_once_in_its_band(section, payload):
    (svg,) = (s for s in section.every("svg") if s.attributes["id"] == "student-maps")
    groups = list(svg.every("g"))
    assert len(groups) == len(payload["maps"])
    for group, values in zip(groups, payload["maps"], strict=True):
        drawn = {}
        for path in group.every("path"):
            (look,) = path.classes
            runs = re.findall(r"M(\d+) (\d+)h(\d+)v1H\d+z", path.attributes["d"])
            for column, line, wide in (map(int, run) for run in runs):
                for k in range(column, column + wide):
                    assert (12 - line, k) not in drawn
                    drawn[12 - line, k] = look
        assert len(drawn) == len(values)
        for (row, column), look in drawn.items():
            share = values[13 * row + column]
            assert look == f"heat{min(int(share * 10), 9)}", (row, column, share)


def test_bands_cover_all_shares():
    shares = np.linspace(0, 1, 1001)
    found = Counter(heat_map.band(float(share)) for share in shares)
    assert sorted(found) == list(range(heat_map.BANDS))
    assert min(found.values()) == 100


def test_a_threshold_reaches_less_the_higher_it_is(payload):
    assert payload["thresholds"] == sorted(payload["thresholds"])
    for shares in (*payload["reached"], *payload["alarms"]):
        assert len(shares) == len(payload["thresholds"])
        assert shares == sorted(shares, reverse=True)
        assert 0 <= shares[-1] <= shares[0] <= 1


def test_overfitting_ends_above_its_lowest_validation_loss(facts):
    lines = {line[0]: [float(number) for number in line[1:]] for line in facts["ends"]}
    train, validation, lowest = lines["overfitted"]
    assert train < lowest < validation
    fit_train, fit_validation, fit_lowest = lines["network"]
    assert fit_validation - fit_lowest < validation - lowest
    assert train < fit_train


def test_both_pairs_share_a_scale(section):
    scales = {
        svg.attributes["id"]: svg.attributes["data-y"]
        for svg in section.every("svg")
        if "data-y" in svg.attributes
    }
    assert scales["student-network"] == scales["student-overfitted"]
    assert scales["student-none"] == scales["student-early_stopping"]


@pytest.mark.parametrize(
    "experiment, lost",
    [
        ("student_dropout", "map_value"),
        ("student_dropout", "map_change_value"),
        ("student_dropout", "reached_value"),
        ("student_dropout", "mean_test_brier_value"),
        ("student_dropout", "observed_value"),
        ("regularization", "mean_validation_evaluated_loss"),
    ],
)
def test_without_rows_the_section_says_what_to_run(
    registry, tmp_path, experiment, lost
):
    reports = linked(tmp_path)
    changed(reports, experiment, lambda text: text.replace(f",{lost},", ",gone_value,"))
    with pytest.raises(data.GapError, match=lost) as caught:
        student.view(data.Data(reports, registry.found))
    assert caught.value.command.startswith(f"diffkit run {experiment} --")


def test_a_map_of_another_size_is_a_gap(registry, tmp_path):
    reports = linked(tmp_path)

    def shorter(text):
        return re.sub(r"(map_change_value,13,ok,,)\S+ ", r"\1", text)

    changed(reports, "student_dropout", shorter)
    with pytest.raises(data.GapError, match="169 places for 156"):
        student.view(data.Data(reports, registry.found))
