"""The fuzzing experiment: its cells and counts, and that its page follows from rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from diffkit import report
from diffkit.measure import accuracy
from diffkit.measure.experiment import MODES, load_experiment
from diffkit.measure.programs import random_program
from diffkit.ops import TABLE

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "fuzz.py")
EXPERIMENT = FOUND.experiment
FOLDER = ROOT / "reports" / "fuzz"


@pytest.mark.parametrize(
    "mode, programs", [("quick", 500), ("full", 50_000)], ids=MODES
)
def test_every_way_judges_as_many_programs_each_once(mode, programs):
    cases = [c for c in EXPERIMENT.cases(mode) if c["part"] == "programs"]
    seeds = [
        seed
        for case in cases
        for seed in range(case["first"], case["first"] + case["programs"])
    ]
    assert seeds == list(range(programs))
    ways = ("autodiff", "forward", "symbolic_shared", "finite_differences_central")
    judged = [row for row in measured("programs", 1) if row.metric == "programs_count"]
    assert [(row.backend, row.value) for row in judged] == [(way, 1) for way in ways]


def measured(part, programs=0):
    case = next(c for c in EXPERIMENT.cases("quick") if c["part"] == part)
    parameters = (("part", part), ("first", 0), ("programs", programs))
    return EXPERIMENT.measure(replace(case, parameters=parameters))


def small(way, part, programs=0):
    rows = measured(part, programs)
    return {row.metric: row.value for row in rows if row.backend == way}


@pytest.mark.parametrize("way", ["autodiff", "finite_differences_central"])
def test_outcomes_add_up_to_the_programs(way):
    rows = small(way, "programs", 40)
    outcomes = [f"{o}_count" for o in ("agrees", "wrong", "undecided", "refused")]
    assert sum(rows[name] for name in outcomes) == rows["programs_count"] == 40
    assert rows["wrong_count"] == 0
    assert rows["sum_count"] > 10


def test_rows_alone_have_a_value_and_a_derivative_each():
    rows = small("autodiff", "rows")
    for op in TABLE.values():
        if op.family == "elementwise":
            assert rows[f"{op.name}_value_ulps"] <= 4
            assert (f"{op.name}_derivative_ulps" in rows) == op.differentiable


def test_each_row_with_a_choice_of_forms_took_the_better_or_states_its_loss():
    rows = small("autodiff", "forms")
    for name in accuracy.OTHER_FORMS:
        better = rows[f"{name}_row_form_ulps"] < rows[f"{name}_other_form_ulps"]
        assert better == (TABLE[name].loss is None)


def test_programs_are_the_same_for_the_same_seed_and_differ_otherwise():
    listings = [random_program(seed).graph.listing() for seed in range(50)]
    assert listings == [random_program(seed).graph.listing() for seed in range(50)]
    assert len(set(listings)) > 40


def test_no_committed_program_is_wrong():
    rows = report.read_rows(FOLDER / "data.csv")
    mode = report.mode_of(EXPERIMENT, rows, FOLDER / "README.md")
    cells = [c for c in EXPERIMENT.cases(mode) if c["part"] == "programs"]
    wrong = [row for row in rows if row.metric == "wrong_count"]
    assert len(wrong) == 4 * len(cells) > 0
    assert all(row.value == 0 for row in wrong)
