"""The memory experiment: its counts by hand, and that its page follows from rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from diffkit import measure
from diffkit.measure import laws
from diffkit.measure.experiment import load_experiment
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "memory.py")
EXPERIMENT = FOUND.experiment


def rows_of(checkpoint, **sizes):
    case = next(c for c in EXPERIMENT.cases("quick") if c["checkpoint"] == checkpoint)
    parameters = {**dict(case.parameters), **sizes}
    return EXPERIMENT.measure(replace(case, parameters=tuple(parameters.items())))


def values(checkpoint, **sizes):
    return {row.metric: row.value for row in rows_of(checkpoint, **sizes)}


def test_everything_kept_is_one_value_a_layer_and_a_few_that_come_and_go():
    width, batch = 8, 64
    value = width * batch * 8  # bytes of one layer's activations
    for depth in (8, 32):
        kept = values("none", depth=depth, width=width, batch=batch)
        assert depth * value <= kept["workspace_bytes"] <= (depth + 6) * value
        assert kept["recomputed_operations"] == 0
        # Product, bias and tanh of each layer; product and bias of the last one.
        assert kept["primal_bytes"] >= (3 * depth + 2) * value


def test_checkpoints_do_exactly_the_operations_that_they_do_again():
    sizes = {"depth": 32, "width": 8, "batch": 64}
    kept, saved = values("none", **sizes), values("sqrt", **sizes)
    again = saved["recomputed_operations"]
    assert saved["run_operations"] - kept["run_operations"] == again
    assert 0 < again < kept["primal_operations"]
    assert saved["workspace_bytes"] < kept["workspace_bytes"] / 2


def test_root_n_checkpoints_turn_the_law_of_depth_from_one_to_about_a_half():
    depths = (32, 64, 128, 256)

    def exponent(checkpoint):
        found = [
            values(checkpoint, depth=d, width=8, batch=512)["workspace_bytes"]
            for d in depths
        ]
        return laws.fit_law("power", depths, found).rate.value

    assert exponent("none") == pytest.approx(1.0, abs=0.06)
    assert exponent("sqrt") == pytest.approx(0.5, abs=0.1)


def test_an_interval_longer_than_the_network_is_a_row_that_says_so():
    (row,) = rows_of("384", depth=8)
    assert row.status == "too_large"
    assert "keeps nothing" in row.message


def test_the_page_follows_from_rows_and_copes_with_none(tmp_path):
    rows = [
        row
        for depth in (8, 16, 32)
        for checkpoint in ("none", "sqrt")
        for row in rows_of(checkpoint, sweep="depth", depth=depth, width=4, batch=8)
    ]
    page = write_page(FOUND, rows, tmp_path).read_text()
    assert "√n checkpoints need" in page
    assert "C23" in page
    assert write_page(FOUND, [], tmp_path / "none").exists()


def test_tables_hold_every_point_of_the_sweeps():
    rows = [
        measure.case(
            EXPERIMENT.name, "autodiff", sweep="depth", checkpoint=name, depth=depth
        ).row("workspace_bytes", size)
        for name, depth, size in (
            ("none", 8, 4096),
            ("sqrt", 8, 2048),
            ("none", 16, 8192),
        )
    ]
    (title, table), *others = EXPERIMENT.tables(rows).items()
    assert title == "Bytes of intermediates by depth"
    assert not others
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
    ]
    assert cells[0] == ["depth", "8", "16"]
    assert cells[2:] == [
        ["everything kept", "4.00 KiB", "8.00 KiB"],
        ["√n checkpoints", "2.00 KiB", "–"],
    ]
