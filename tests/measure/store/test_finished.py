"""A complete sweep is known without a look at its cells, until anything changes."""

import sqlite3
from contextlib import closing

import pytest

from diffkit import cli, measure
from tests.measure.tiny import write_project

SAID = "nothing to do"


@pytest.fixture
def project(tmp_path):
    """A project whose sweep is noted as complete, as the command does it."""
    write_project(tmp_path, ["ok", "too_large"])
    page = tmp_path / "reports" / "tiny"
    page.mkdir(parents=True)
    for path in (page / "data.csv", page / "figure.png", page.parent / "README.md"):
        path.write_text("as it was written\n")
    measure.RunStore(measure.store_path(tmp_path), mode="quick").close()
    measure.note_finished(
        tmp_path, ["tiny"], "quick", tmp_path / "reports", ["numpy"], SAID
    )
    return tmp_path


def said(project, mode="quick", names=("tiny",)):
    return measure.finished(project, names, mode, project / "reports")


def test_it_is_known_and_no_experiment_is_loaded(project, capsys, monkeypatch):
    def discover(root=None):
        raise AssertionError("an experiment was loaded")

    monkeypatch.chdir(project)
    monkeypatch.setattr(measure, "discover", discover)
    assert said(project) == SAID
    assert cli.main(["run", "tiny"]) == 0
    assert SAID in capsys.readouterr().out


def change_file(name):
    def change(project):
        path = project / name
        path.write_bytes(path.read_bytes() + b"\n")

    return change


def save_something(project):
    with closing(sqlite3.connect(measure.store_path(project))) as store, store:
        store.execute("UPDATE runs SET outcome = 'done'")
        store.execute("CREATE TABLE more (value)")


CHANGES = {
    "the experiment": change_file("experiments/tiny.py"),
    "claims": change_file("experiments/claims.toml"),
    "a helper of experiments": lambda project: (
        project / "experiments" / "_helper.py"
    ).write_text("A = 1\n"),
    "the table": change_file("reports/tiny/data.csv"),
    "a lost table": lambda project: (project / "reports/tiny/data.csv").unlink(),
    "a lost figure": lambda project: (project / "reports/tiny/figure.png").unlink(),
    "a lost index": lambda project: (project / "reports/README.md").unlink(),
    "the store": save_something,
    "a lost store": lambda project: measure.store_path(project).unlink(),
    "a store being written": lambda project: (
        measure.store_path(project)
        .with_name("results.sqlite-wal")
        .write_bytes(b"frames")
    ),
    "a record cut short": lambda project: next(
        (project / ".diffkit" / "finished").iterdir()
    ).write_bytes(b'{"state": "'),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_every_cell_is_looked_at(project, what):
    assert said(project)
    CHANGES[what](project)
    assert said(project) is None


def test_other_versions_and_machines_are_asked(project, monkeypatch):
    module = measure.finished.__module__
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.versions_text", lambda: "numpy=0")
        assert said(project) is None
    assert said(project)


def test_what_was_not_asked_for_is_not_known(project):
    assert said(project, "full") is None
    assert said(project, names=("tiny", "other")) is None
    assert measure.finished(project, ("tiny",), "quick", project / "others") is None
