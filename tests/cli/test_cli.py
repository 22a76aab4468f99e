"""The command line from outside: what is printed where, and the exit codes."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import diffkit as dk
from diffkit import cli, measure
from diffkit.cli_run import example_arguments
from diffkit.errors import MissingDependencyError, UserInputError
from tests.measure.tiny import calls, write_project

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command line in a temporary folder; gives (code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def one_line(err):
    """The error's one line; fails when there is more or less than one."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("diffkit: error: ")
    return lines[0]


@pytest.mark.parametrize(
    "command", ["", "list", "run", "compare", "check", "profile", "doctor"]
)
def test_help_has_an_example(run, command):
    code, out, err = run(*command.split(), "--help")
    assert code == 0
    assert err == ""
    assert re.search(rf"Examples?:\s+diffkit {command}", out)


def test_help_names_the_exit_codes(run):
    assert "130 interrupted" in run("--help")[1]


def test_a_command_that_does_not_exist_suggests_the_nearest(run):
    code, _, err = run("comare")
    assert code == 2
    assert "Did you mean 'compare'?" in one_line(err)


def test_an_option_that_does_not_exist_is_bad_usage(run):
    code, _, err = run("doctor", "--loud")
    assert code == 2
    assert "--loud" in one_line(err)


def test_list_names_experiments_and_whether_they_have_a_report(run, tmp_path):
    write_project(tmp_path, ["ok", "ok"])
    code, out, err = run("list")
    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("tiny"))
    assert "Does work grow with size?" in line
    assert line.split()[-3:] == ["2/4", "not", "yet"]


def test_run_writes_the_report_and_says_where(run, tmp_path):
    write_project(tmp_path, ["ok", "too_large"])
    code, out, err = run("run", "tiny", "--quick")
    assert (code, err) == (0, "")
    assert "2 cells (1 ok, 1 too large)" in out
    assert (tmp_path / "reports" / "tiny" / "data.csv").exists()
    assert "tiny/README.md" in (tmp_path / "reports" / "README.md").read_text()
    again = run("run", "all")
    assert again[0] == 0
    assert "all 2 cells of 1 experiment are finished, and nothing has" in again[1]
    shutil.rmtree(tmp_path / ".diffkit" / "finished")
    again = run("run", "all")
    assert again[0] == 0
    assert "2 kept from before" in again[1]
    assert "nothing new: pages are left as they are" in again[1]
    assert calls(tmp_path) == [1, 2]
    # The page of a mode is not that of another, and a lost figure is drawn again.
    (tmp_path / "reports" / "tiny" / "figure.png").unlink()
    assert "1 pages and the index" in run("run", "tiny")[1]
    assert (tmp_path / "reports" / "tiny" / "figure.png").exists()
    assert "1 pages and the index" in run("run", "tiny", "--full")[1]
    page = (tmp_path / "reports" / "tiny" / "README.md").read_text()
    assert "`diffkit run tiny --full`" in page


def test_a_raising_experiment_is_reported_and_the_exit_code_says_so(run, tmp_path):
    write_project(tmp_path, ["raises", "ok"])
    code, out, err = run("run", "tiny")
    assert code == 1
    assert "RuntimeError: planted" in err
    assert "(1 error, 1 ok)" in out
    assert "planted" in (tmp_path / "reports" / "tiny" / "README.md").read_text()
    # What failed is tried again.
    assert "nothing to do" not in run("run", "tiny")[1]
    assert calls(tmp_path) == [1, 2, 1]


def test_run_takes_workers_or_a_cluster_and_not_both(run, tmp_path):
    write_project(tmp_path, ["ok", "ok"])
    code, out, err = run("run", "all", "--workers", "2")
    assert (code, err) == (0, "")
    assert "[2/2] null size=" in out
    code, _, err = run("run", "all", "--workers", "2", "--dask", "tcp://127.0.0.1:1")
    assert code == 2
    assert "give one of them" in one_line(err)
    code, _, err = run("run", "all", "--workers", "0")
    assert code == 2


def test_an_unknown_experiment_suggests_the_nearest(run, tmp_path):
    write_project(tmp_path, ["ok"])
    code, _, err = run("run", "tinny")
    assert code == 2
    assert "Did you mean 'tiny'?" in one_line(err)


def test_a_report_folder_that_cannot_be_written_is_found_before_measuring(
    run, tmp_path
):
    write_project(tmp_path, ["ok"])
    (tmp_path / "blocked").write_text("a file")
    code, _, err = run("run", "tiny", "--output", tmp_path / "blocked")
    assert code == 2
    assert "Nothing was measured" in one_line(err)
    assert calls(tmp_path) == []


def test_a_damaged_cell_is_mentioned_and_measured_again(run, tmp_path):
    write_project(tmp_path, ["ok"])
    run("run", "tiny")
    with closing(sqlite3.connect(measure.store_path(tmp_path))) as planted, planted:
        planted.execute("UPDATE measurements SET message = 'changed'")
    code, _, err = run("run", "tiny")
    assert code == 0
    assert "damaged" in err
    assert "measured again" in err


def test_ctrl_c_says_how_to_go_on_and_keeps_what_is_finished(tmp_path):
    write_project(tmp_path, ["ok", "wait", "wait", "wait", "wait", "wait"])
    process = subprocess.Popen(
        [sys.executable, "-m", "diffkit.cli", "run", "tiny"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[2/6]"):
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "finished and kept. Run the same command again" in one_line(err)
    assert measure.list_runs(measure.store_path(tmp_path))[0].cells >= 2


def test_an_experiment_runs_alone(tmp_path):
    path = write_project(tmp_path, ["ok"])
    path.write_text(
        path.read_text() + "\nif __name__ == '__main__':\n"
        "    import sys\n    from diffkit.cli import run_file\n"
        "    sys.exit(run_file(__file__))\n"
    )
    done = subprocess.run(
        [sys.executable, str(path), "--quick"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "tiny" / "README.md").exists()


def test_compare_shows_every_backend_with_its_counts(run):
    code, out, err = run(
        "compare", "--sizes", "2,3,1", "--batch", "4", "--seconds", "60"
    )
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()[1:] if line.strip()}
    parameters = 2 * 3 + 3 + 3 + 1
    assert set(lines) >= {"autodiff", "forward", "finite_differences"}
    assert lines["finite_differences"].split()[-1] == str(2 * parameters)
    assert lines["forward"].split()[-1] == str(parameters)
    assert lines["autodiff"].split()[-1] == "1"
    values = {line.split()[2] for name, line in lines.items() if name != "backend"}
    assert len(values) == 1  # six figures of one and the same loss


def test_compare_shows_what_a_budget_stopped(run):
    code, out, _ = run(
        *("compare", "--sizes", "3,6,6,6,6,6,1", "--batch", "4"),
        *("--backends", "symbolic_expanded"),
    )
    assert code == 0
    assert "too large" in out


@pytest.mark.parametrize(
    "words, said",
    [
        (["--sizes", "4,x,3"], "whole numbers"),
        (["--sizes", "4"], "two sizes or more"),
        (["--sizes", "4,0,3"], "at least 1"),
        (["--batch", "0"], "at least 1"),
        (["--activation", "tahn"], "Did you mean 'tanh'?"),
        (["--loss", "mes"], "Did you mean 'mse'?"),
        (["--backends", "autodif"], "Did you mean 'autodiff'?"),
        (["--backends", ","], "names none"),
        (["--sizes", "4,1", "--loss", "cross_entropy"], "two classes"),
        (["--batch", "many"], "many"),
    ],
)
def test_compare_refuses_what_it_cannot_build(run, words, said):
    code, _, err = run("compare", *words)
    assert code == 2
    assert said in one_line(err)


MINE = """
import numpy as np

def square(w, x):
    return np.sum((x @ w) ** 2)

def kinked(w):
    return np.sum(np.abs(w))

def branches(w):
    return w[0] if w[0] > 0 else w[1]

def unlisted(w):
    return np.sum(w)

kinked.example_args = lambda: (np.array([0.5, -1.5]),)
EXAMPLE_ARGS = {
    "square": (np.ones(3), np.eye(3)),
    "branches": (np.ones(2),),
}
NOT_A_FUNCTION = 3
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize("function", ["square", "kinked"])
def test_check_says_which_entry_is_worst(run, mine, function):
    code, out, err = run("check", f"{mine}:{function}")
    assert (code, err) == (0, "")
    assert "agrees with exact" in out


def test_check_finds_a_module_in_the_current_folder(run, mine):
    assert run("check", f"{mine.stem}:square", "--argnums", "0,1")[0] == 0
    sys.modules.pop("mine", None)


def test_check_fails_when_the_gradient_is_not_good_enough(run, mine):
    code, _, err = run(
        *("check", f"{mine}:square", "--backend", "finite_differences"),
        *("--tolerance", "1e-15"),
    )
    assert code == 1
    assert "DISAGREES" in one_line(err)


@pytest.mark.parametrize(
    "target, said",
    [
        ("mine.py", "write module:function"),
        ("mine.py:sqare", "Did you mean 'square'?"),
        ("mine.py:unlisted", "unlisted.example_args"),
        ("mine.py:NOT_A_FUNCTION", "not a function"),
        ("mine.py:branches", "np.where"),
        ("absent.py:f", "no file"),
    ],
)
def test_check_refuses_what_it_cannot_check(run, mine, target, said):
    code, _, err = run("check", target)
    assert code == 2
    assert said in one_line(err)


def test_check_names_an_unknown_backend(run, mine):
    code, _, err = run("check", f"{mine}:square", "--backend", "autodif")
    assert code == 2
    assert "Did you mean 'autodiff'?" in one_line(err)
    code, _, err = run("check", f"{mine}:square", "--argnums", "first")
    assert code == 2
    assert "argument positions" in one_line(err)


def test_example_arguments_have_to_be_a_tuple():
    def f(w):
        return w

    f.example_args = np.ones(3)  # type: ignore[attr-defined]
    with pytest.raises(UserInputError, match="have to be a tuple"):
        example_arguments(None, f, "m:f")


def test_a_missing_package_is_one_line_with_the_command_to_install_it(
    run, monkeypatch, tmp_path
):
    write_project(tmp_path, ["ok"])

    def missing(*_, **__):
        raise MissingDependencyError("casadi", "This backend", "peers")

    monkeypatch.setattr(measure, "discover", missing, raising=False)
    code, _, err = run("list")
    assert code == 2
    assert "pip install 'diffkit[peers]'" in one_line(err)


def test_doctor_describes_machine_versions_and_caches(run, tmp_path):
    write_project(tmp_path, ["ok"])
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    for expected in ("machine", "numpy", "BLAS", "engine cache", "run store"):
        assert expected in out
    assert np.__version__ in out


def test_an_unexpected_error_is_one_line_and_debug_shows_the_traceback(
    run, monkeypatch
):
    def broken(*_, **__):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(measure, "discover", broken, raising=False)
    code, _, err = run("list")
    assert code == 1
    assert "ZeroDivisionError: planted" in one_line(err)
    code, _, err = run("list", "--debug")
    assert code == 1
    assert "Traceback" in err


def test_the_version_is_that_of_the_package(run):
    code, out, _ = run("--version")
    assert code == 0
    assert dk.__version__ in out


def test_help_loads_nothing_heavy():
    program = (
        "import sys; from diffkit.cli import main; main(['--help']);"
        "print([m for m in ('numpy', 'numba', 'sympy', 'pandas', 'matplotlib', 'scipy')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"
