"""Real processes of real checkouts, sampled in turn."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from diffkit import report
from diffkit.cli import main
from diffkit.errors import ExperimentError, ReportError, UserInputError
from diffkit.measure import bench
from diffkit.measure.bench import worker
from diffkit.measure.bench.session import Worker

ROOT = Path(__file__).resolve().parents[3]
FAST = ("value_and_grad null 2-8-1", "value null 2-8-1")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the package, to be changed."""
    root = tmp_path_factory.mktemp("head") / "tree"
    shutil.copytree(
        ROOT / "diffkit",
        root / "diffkit",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return root


def samples(record, side):
    return [len(m.samples[side]) for m in record.benchmarks.values()]


def test_two_sides_are_sampled_alike():
    record = bench.measure_sides(
        {"base": ROOT, "head": ROOT}, FAST, rounds=3, launches=2, sample_seconds=1e-4
    )
    assert samples(record, "base") == samples(record, "head") == [6, 6]
    for measured in record.benchmarks.values():
        assert all(seconds > 0 for seconds in measured.samples["base"])
        assert len(measured.rulers["head"]) == 6
    judged = bench.judge(record, 0.25)
    assert [ratio.name for ratio in judged.benchmarks] == list(FAST)


def test_the_worker_answers_line_by_line_and_failing_is_an_answer():
    requests = [
        {"do": "list"},
        {"do": "sample", "name": worker.RULER, "repetitions": 2},
        {"do": "sample", "name": "nothing", "repetitions": 2},
    ]
    sink = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(r) + "\n" for r in requests)), sink)
    names, ruler, failed = map(json.loads, sink.getvalue().splitlines())
    assert names["names"] == list(worker.BENCHMARKS)
    assert ruler["seconds"] > 0
    assert "KeyError" in failed["error"]


def test_every_task_and_way_is_a_benchmark_on_the_grid():
    groups = {b.group for b in worker.BENCHMARKS.values()}
    assert groups == {f"{t} {w}" for t in worker.TASKS for w in worker.WAYS}
    assert len(worker.BENCHMARKS) == (
        len(worker.TASKS)
        * (len(worker.WAYS) * len(worker.NETWORKS) - len(worker.LEFT_OUT))
    )


def test_a_process_that_dies_is_named(checkout):
    process = Worker(checkout)
    process._process.kill()
    with pytest.raises(ExperimentError, match="ended with code"):
        process.ask(do="list")
    process.close()


def test_a_version_without_the_names_is_an_error_of_its_side(tmp_path, checkout):
    old = tmp_path / "old"
    shutil.copytree(checkout / "diffkit", old / "diffkit")
    path = old / "diffkit" / "backends" / "registry.py"
    path.write_text(path.read_text().replace('"null"', '"nothing"'))
    record = bench.measure_sides(
        {"base": old, "head": checkout},
        FAST[:1],
        rounds=3,
        launches=1,
        sample_seconds=1e-4,
    )
    assert "null" in record.benchmarks[FAST[0]].errors["base"]
    assert len(record.benchmarks[FAST[0]].samples["head"]) == 3
    (ratio,) = bench.judge(record, 0.25).benchmarks
    assert ratio.verdict == "only one side"


@pytest.mark.slow
def test_a_planted_slowdown_of_forty_per_cent_is_caught(checkout, tmp_path):
    """Every call of the head waits for 0.4 of the time it took."""
    slow = tmp_path / "slow"
    shutil.copytree(checkout / "diffkit", slow / "diffkit")
    path = slow / "diffkit" / "prepared.py"
    text = path.read_text()
    marker = "    def __call__(self, *args: Any) -> tuple[Any, Any]:\n"
    assert text.count(marker) == 1
    # As long again as 0.4 of the call, whatever the machine: it times itself.
    planted = marker + (
        "        from time import perf_counter as now\n"
        "        start = now()\n"
        "        found = self._call(*args)\n"
        "        until = now() + 0.4 * (now() - start)\n"
        "        while now() < until:\n"
        "            pass\n"
        "        return found\n\n"
        "    def _call(self, *args: Any) -> tuple[Any, Any]:\n"
    )
    path.write_text(text.replace(marker, planted))
    # The null backend needs no engine, which every copy would have to compile.
    name = FAST[0]
    judged = []
    for head in (slow, checkout):
        record = bench.measure_sides(
            {"base": checkout, "head": head}, (name,), rounds=40, launches=3
        )
        judged.append(bench.judge(record, 0.25))
    caught, unchanged = judged
    assert {ratio.name for ratio in caught.slower} == {name, name.rsplit(" ", 1)[0]}, (
        caught
    )
    assert unchanged.slower == (), unchanged


@pytest.mark.slow
def test_thirty_real_runs_of_unchanged_code_raise_no_alarm():
    """One long session, cut into thirty runs that are judged one by one."""
    runs, rounds = 30, 12
    record = bench.measure_sides(
        {"base": ROOT, "head": ROOT}, FAST, rounds=runs * rounds, launches=1
    )
    for run in range(runs):
        cut = slice(run * rounds, (run + 1) * rounds)
        part = {
            name: bench.Measured(
                m.group,
                {side: kept[cut] for side, kept in m.samples.items()},
                {side: kept[cut] for side, kept in m.rulers.items()},
            )
            for name, m in record.benchmarks.items()
        }
        one = bench.Record("m", "f", "v", record.sides, part)
        assert bench.judge(one, 0.25).slower == (), run


def test_records_and_histories_come_back_as_they_were(tmp_path):
    record = bench.measure_sides(
        {"head": ROOT}, FAST, rounds=3, launches=1, sample_seconds=1e-4
    )
    bench.write_record(record, tmp_path / "one.json")
    assert bench.read_record(tmp_path / "one.json") == record
    entry = bench.entry_of(record, "head", "2026-11-28")
    bench.write_history((entry, entry), tmp_path / "history.json")
    assert bench.read_history(tmp_path / "history.json") == (entry, entry)
    assert bench.read_history(tmp_path / "none.json") == ()
    both = bench.merged(record, record)
    assert set(both.sides) == {"base", "head"}
    assert {r.ratio for r in bench.judge(both, 0.25).benchmarks} == {1.0}


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99}', "[1]", "nothing"])
def test_files_that_are_something_else_are_refused_and_left(tmp_path, text):
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(UserInputError, match="left as it is"):
        bench.read_history(path)
    with pytest.raises(UserInputError, match="is not a record"):
        bench.read_record(path)
    assert path.read_text() == text


def test_a_record_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    record = bench.Record("m", "f", "v", {}, {})
    with pytest.raises(ReportError, match="cannot be written"):
        bench.write_record(record, tmp_path / "file" / "one.json")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"names": ["nothing"]}, "no benchmark nothing"),
        ({"names": []}, "none was named"),
        ({"rounds": 2}, "give no interval"),
        ({"launches": 0}, "give no interval"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(options, said):
    with pytest.raises(UserInputError, match=said):
        bench.measure_sides({"head": ROOT}, **{"names": FAST, **options})


def test_a_folder_and_a_revision_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserInputError, match="not a checkout"):
        bench.measure_sides({"head": tmp_path}, FAST)
    with (
        pytest.raises(UserInputError, match="cannot be checked out"),
        bench.checked_out(ROOT, "no-such-revision"),
    ):
        pass


def git(root, *words):
    subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t", *words],
        check=True,
        capture_output=True,
    )


def test_the_command_line_compares_a_revision_with_the_folder(
    checkout, tmp_path, monkeypatch, capsys
):
    root = tmp_path / "project"
    shutil.copytree(checkout / "diffkit", root / "diffkit")
    (root / "experiments").mkdir()
    (root / "experiments" / "one.py").write_text("")
    git(root.parent, "init", "-q", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "one")
    monkeypatch.chdir(root)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    words = ["--only", FAST[0], "--rounds", "3", "--launches", "1"]
    # Three rounds are not many: the limit is wide, so that only the path is tested.
    code = main(["bench", "gate", "--base", "HEAD", "--max-slowdown", "900%", *words])
    assert code == 0
    text = summary.read_text()
    assert "**Nothing is slower than allowed.**" in text
    assert f"| {FAST[0]} |" in text
    assert "10.00" in text
    assert "value_and_grad null" in capsys.readouterr().out
    assert not list((root / ".git" / "worktrees").glob("*"))


def test_a_history_becomes_an_offline_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    history, page = tmp_path / "history.json", tmp_path / "trends.html"
    words = ["bench", "run", "--only", FAST[0], "--rounds", "3", "--launches", "1"]
    for _ in range(2):
        assert main([*words, "--history", str(history), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.count("<img src=") == 1
    assert text.count('scope="col"') == 3
    assert "http" not in text.replace("http-equiv", "")
    assert main([*words, "--page", str(page)]) == 2
    assert "--history" in capsys.readouterr().err
    assert "Nothing has been measured" in report.trends.trends_page(())


@pytest.mark.parametrize(
    "words, said",
    [
        (["gate", "--base", "HEAD", "--max-slowdown", "fast"], "write a percentage"),
        (["gate", "--base", "HEAD", "--limit", "prepare"], "write GROUP=40%"),
        (["compare", "HEAD", "after.json"], "compare two records, or two revisions"),
        (["compare", "HEAD", "--only", "nothing"], "No benchmark's name contains"),
        (["compare", "a.json", "b.json"], "is not a record"),
    ],
)
def test_bad_words_are_refused(words, said, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["bench", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_normal_time_is_the_median_over_the_rulers():
    assert bench.normalised([3.0, 1.0, 2.0], [4.0, 4.0, 5.0]) == 0.5
    assert np.isfinite(bench.normalised([1e-9], [1e-3]))
