"""All claims with their verdicts: none forgotten, none invented, every link leads."""

import csv
import re
import tomllib
from importlib import import_module

import pytest

from diffkit import lesson
from diffkit.lesson import data
from diffkit.lesson.sections import SECTIONS, errata
from diffkit.report.table import read_rows
from tests.lesson.conftest import REPORTS, ROOT
from tests.lesson.markup import read
from tests.lesson.partial import linked


@pytest.fixture(scope="module")
def section(page):
    return next(s for s in page.every("section") if s.attributes.get("id") == "errata")


@pytest.fixture(scope="module")
def claims():
    with open(ROOT / "experiments" / "claims.toml", "rb") as file:
        return tomllib.load(file)["claims"]


@pytest.fixture(scope="module")
def articles(section):
    return {
        article.attributes["id"].removeprefix("errata-"): article
        for article in section.every("article")
    }


@pytest.fixture(scope="module")
def found(registry):
    """Verdicts by claim, from each experiment's own findings."""
    verdicts = {}
    for name in errata.EXPERIMENTS:
        rows = read_rows(REPORTS / name / "data.csv")
        for verdict in registry[name].experiment.findings(rows).verdicts:
            verdicts.setdefault(verdict.claim, []).append((name, verdict))
    return verdicts


def words_of(element):
    return [e.text for e in element.every() if "verdict-words" in e.classes]


def plain(text):
    return " ".join(text.replace("`", "").replace("**", "").split())


def test_every_claim_is_there_once_in_its_own_words(articles, claims):
    assert len(claims) == 36
    assert set(articles) == set(claims)
    for name, article in articles.items():
        (quoted,) = article.every("q")
        assert quoted.text == plain(claims[name]["text"])
        assert f"Said by {' '.join(claims[name]['sources'])}." in article.text


def test_measured_words_are_those_of_the_experiments(articles, found):
    for name, article in articles.items():
        expected = {plain(verdict.measured) for _, verdict in found[name]}
        assert {plain(text) for text in words_of(article)} == expected, name


def test_nothing_else_is_called_measured(section, articles, found):
    known = {plain(v.measured) for some in found.values() for _, v in some}
    others = [text for text in words_of(section) if plain(text) not in known]
    assert len(others) == 2
    strongest = [strength(some) for some in found.values()]
    counts = [strongest.count(h) for h in ("wrong", "conditional", "right", "measured")]
    said = next(text for text in others if text.startswith("Of "))
    assert list(map(int, re.findall(r"\d+", said))) == [36, *filter(None, counts)]
    reach = next(text for text in others if text.startswith("36 of 36 claims"))
    assert "reachable from this page" in reach


def strength(verdicts):
    given = {verdict.holds for _, verdict in verdicts}
    order = ("wrong", "conditional", "right", "measured")
    return next(holds for holds in order if holds in given)


def test_a_claim_stands_under_its_strongest_verdict(section, found):
    group = ""
    seen = []
    for element in section.every():
        if element.tag == "h3":
            group = element.text
        if element.tag == "article":
            name = element.attributes["id"].removeprefix("errata-")
            assert group == errata.GROUPS[strength(found[name])], name
            seen.append(name)
    assert len(seen) == 36


def test_every_verdict_says_which_command_measures_it(articles, found):
    for name, article in articles.items():
        commands = {code.text for code in article.every("code")}
        for experiment, _ in found[name]:
            assert f"diffkit run {experiment} --quick" in commands or (
                f"diffkit run {experiment} --full" in commands
            ), (name, experiment)


def test_links_lead_to_the_sections_that_name_the_claim(articles):
    others = [s for s in SECTIONS if s.name != "errata"]
    for name, article in articles.items():
        wanted = [f"#{s.name}" for s in others if name in s.claims]
        assert [a.attributes["href"] for a in article.every("a")] == wanted
        assert wanted or "This row is its place." in article.text


def test_the_experiments_are_those_that_answer_claims(registry, claims):
    asked = {
        name for name in registry if set(registry[name].experiment.claims) & set(claims)
    }
    assert set(errata.EXPERIMENTS) == asked | set(errata.OPTIONAL)


def test_cells_and_seconds_are_those_of_the_files(section):
    cells, seconds = 0, 0.0
    for name in errata.EXPERIMENTS:
        with open(REPORTS / name / "data.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["metric"] == "cell_seconds" and row["value"]:
                    cells += 1
                    seconds += float(row["value"])
    (item,) = (
        li for li in section.every("li") if "cells" in li.text and "inside" in li.text
    )
    first, second = (float(n.attributes["value"]) for n in item.every("data"))
    assert first == cells
    assert second == pytest.approx(seconds, rel=1e-12)


def test_machine_and_versions_are_those_of_the_rows(section):
    codes = {code.text for code in section.every("code")}
    with open(REPORTS / "xor" / "data.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert {row["machine"], row["versions"]} <= codes


@pytest.fixture
def without(registry, tmp_path, monkeypatch):
    """The section alone, built without the data of an experiment."""

    def without(name):
        monkeypatch.setattr(
            import_module("diffkit.lesson.build"), "SECTIONS", SECTIONS[-1:]
        )
        reports = linked(tmp_path)
        (reports / name / "data.csv").unlink()
        built = lesson.build(registry, reports)
        (section,) = read(built.html).every("section")
        return built, section

    return without


def test_without_an_experiment_its_claims_say_what_to_run(without):
    built, section = without("memory")
    gaps = [gap for gap in built.gaps if "Section A" in gap]
    assert len(gaps) == 1
    assert "Run 'diffkit run memory --quick'" in gaps[0]
    (article,) = (
        a for a in section.every("article") if a.attributes["id"] == "errata-C23"
    )
    assert "diffkit run memory --quick" in article.text
    assert "35 of 36 claims" in section.text
    assert len(list(section.every("article"))) == 36


def test_without_peers_there_is_no_gap(without):
    built, section = without("peers")
    assert not [gap for gap in built.gaps if "Section A" in gap]
    (item,) = (li for li in section.every("li") if "CasADi" in li.text)
    assert "not measured here" in item.text


def test_rows_of_another_version_of_an_experiment_are_a_gap(registry, monkeypatch):
    def broken(rows):
        raise KeyError("other rows")

    found = registry["xor"]
    other = type(found.experiment)(
        **{
            name: getattr(found.experiment, name)
            for name in found.experiment.__dataclass_fields__
            if name != "findings"
        },
        findings=broken,
    )
    experiments = {**registry.found, "xor": type(found)(other, found.path)}
    view = errata.view(data.Data(REPORTS, experiments), ())
    (gap,) = view.gaps
    assert "xor: its findings cannot be made" in gap
    assert "other rows" in gap


def test_a_claim_that_nobody_answers_is_a_gap(registry):
    experiments = {k: v for k, v in registry.found.items() if k != "xor"}
    view = errata.view(data.Data(REPORTS, experiments), ())
    assert "C25 is not answered yet: no experiment names it." in view.gaps
