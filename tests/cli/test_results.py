"""``diffkit results`` and ``compare-runs`` from outside."""

import csv
import io
import json
import re

import pytest

from diffkit import cli, measure, report


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command line in a temporary project; gives (code, stdout, stderr)."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "tiny.py").touch()
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def record_run(root, operations, factor=1.0, commit="abcd1234", machine="m"):
    """A run in the project's store, as a sweep leaves it."""
    store = measure.RunStore(measure.store_path(root), mode="quick", commit=commit)
    for depth in (1, 2):
        one = measure.case("cost", "autodiff", runtime="engine", depth=depth)
        rows = [
            one.row("tree_operations", operations * depth),
            one.row(
                "work_seconds",
                factor,
                samples=[factor * (1 + 0.01 * n) for n in range(-5, 6)],
            ),
            one.row("cell_seconds", 1.0),
        ]
        store.save(
            f"{commit}{depth}",
            [row.stamped(machine=machine, commit=commit, threads=1) for row in rows],
        )
    store.close()
    return store.run


@pytest.mark.parametrize("command", ["results", "compare-runs"])
def test_help_has_an_example(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"Examples?:\s+diffkit {command}", out)


def test_results_shows_what_meets_the_condition(run, tmp_path):
    record_run(tmp_path, 10**98)
    code, out, err = run("results", "--where", "metric='tree_operations' and depth=2")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("cost ")]
    assert line.split()[1:5] == ["depth=2", "autodiff", "engine", "tree_operations"]
    assert "2.00 × 10⁹⁸" in line
    assert "1 of 1 rows" in out


def test_older_measurements_are_mentioned(run, tmp_path):
    record_run(tmp_path, 1, commit="aaaa")
    record_run(tmp_path, 2, commit="bbbb")
    assert "2 of 2 rows; 2 older ones" in run("results", "--metric", "work_seconds")[1]
    out = run("results", "--metric", "work_seconds", "--every-run", "--limit", 3)[1]
    assert "3 of 4 rows" in out
    assert "6 of 6 rows" in run("results", "--run", "1")[1]
    assert "2.00 s" not in run("results", "--run", "last", "--json")[1]


def test_csv_and_json_have_every_digit(run, tmp_path):
    record_run(tmp_path, 3**200)
    asked = ("results", "--metric", "tree_operations")
    lines = list(csv.DictReader(io.StringIO(run(*asked, "--csv")[1])))
    assert [int(line["value"]) for line in lines] == [3**200, 2 * 3**200]
    assert [json.loads(line["parameters"])["depth"] for line in lines] == [1, 2]
    records = json.loads(run(*asked, "--json")[1])
    assert [record["value"] for record in records] == [3**200, 2 * 3**200]
    assert list(records[0]) == list(lines[0])


def test_runs_are_listed(run, tmp_path):
    record_run(tmp_path, 1, commit="aaaa")
    out = run("results", "--runs")[1]
    (line,) = [line for line in out.splitlines() if line.startswith("1 ")]
    assert "done" in line
    assert "quick" in line
    assert "aaaa" in line


@pytest.mark.parametrize(
    "words, said",
    [
        (["--where", "experimnt='cost'"], "Did you mean 'experiment'?"),
        (["--where", "1; DROP TABLE cells"], "is refused"),
        (["--experiment", "csot"], "Did you mean 'cost'?"),
        (["--run", "frist"], "is not the number of a run"),
        (["--run", "9"], "no run or commit '9'"),
        (["--csv", "--json"], "choose one of them"),
    ],
)
def test_results_refuses_what_it_cannot_answer(run, tmp_path, words, said):
    record_run(tmp_path, 1)
    code, out, err = run("results", *words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err


def test_without_a_store_it_says_what_makes_one(run):
    code, _, err = run("results")
    assert code == 2
    assert "'diffkit run' makes it" in err


def test_equal_counts_are_a_success(run, tmp_path):
    first = record_run(tmp_path, 10**98, commit="aaaa")
    second = record_run(tmp_path, 10**98, commit="bbbb", factor=2.0)
    code, out, err = run("compare-runs", first, second)
    assert (code, err) == (0, "")
    assert "2 cells on both sides, 2 counts equal" in out
    assert out.count("slower") == 3
    assert "2.00×" in out
    assert "times: 2 slower, 0 faster, 0 without a verdict" in out
    same = run("compare-runs", "aaaa", "1")[1]
    assert "0 slower, 0 faster, 2 without a verdict" in same


def test_counts_that_differ_are_exit_code_one(run, tmp_path):
    record_run(tmp_path, 10**98, commit="aaaa")
    record_run(tmp_path, 10**98 + 1, commit="bbbb", machine="another")
    code, out, err = run("compare-runs", "aaaa", "last")
    assert (code, err) == (1, "")
    assert "counts that differ: 2" in out
    assert "1.00 × 10⁹⁸  1.00 × 10⁹⁸     +1" in out
    assert "2.00 × 10⁹⁸  2.00 × 10⁹⁸     +2" in out
    assert "times are not compared" in out
    assert "slower" not in out


def test_two_files_are_compared(run, tmp_path):
    (tmp_path / "other").mkdir()
    record_run(tmp_path / "other", 5)
    record_run(tmp_path, 6)
    rows, _ = measure.stored_rows(measure.store_path(tmp_path))
    data = tmp_path / "reports" / "cost" / "data.csv"
    data.parent.mkdir(parents=True)
    data.write_text(report.to_csv(rows))
    other = measure.store_path(tmp_path / "other")
    code, out, _ = run("compare-runs", data, data.parent)
    assert (code, "2 counts equal" in out) == (0, True)
    code, out, _ = run("compare-runs", data, "last")
    assert (code, "2 counts equal" in out) == (0, True)
    code, out, _ = run("compare-runs", other, data)
    assert (code, "counts that differ: 2" in out) == (1, True)
    data.write_text(report.to_csv(rows[:0]))
    code, _, err = run("compare-runs", data, "1")
    assert code == 2
    assert "no cell in common" in err


def test_a_commit_that_is_not_there_lists_the_last_runs(run, tmp_path):
    record_run(tmp_path, 5, commit="aaaa")
    code, _, err = run("compare-runs", "1", "ffff")
    assert code == 2
    assert "no run or commit 'ffff'" in err
    assert "commit aaaa" in err
