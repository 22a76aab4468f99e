"""``diffkit train`` and ``diffkit predict`` from outside."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from diffkit import cli, nn, train
from diffkit.cli_training import epochs, model
from diffkit.train import data

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
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("diffkit: error: ")
    return lines[0]


def losses(path):
    """What is the same when the same training is run again: all but the seconds."""
    return pd.read_csv(path).drop(columns="seconds")


def write_students(path, rows=60, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["absence", "grades"])
    frame["dropout"] = np.where(frame["absence"] > frame["grades"], "yes", "no")
    frame.to_csv(path, index=False)
    return frame


def test_training_shows_each_epoch_and_writes_everything(run, tmp_path):
    code, out, err = run("train", "iris", "--epochs", 4, "--rate", 0.05)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("iris: 96 rows to train, 24 to validate, 30 to test.")
    assert re.search("epoch +step +train loss +validation loss", lines[1])
    assert [line.split()[:2] for line in lines[2:6]] == [
        [f"{i}/4", str(3 * i)] for i in range(1, 5)
    ]
    header = next(line for line in lines if line.startswith("part"))
    assert header.split() == ["part", "rows", "accuracy", "ROC", "AUC", "Brier", "ECE"]
    confusion = lines.index("test: true, by predicted  setosa  versicolor  virginica")
    counts = [line.split()[1:] for line in lines[confusion + 1 : confusion + 4]]
    assert np.array(counts, dtype=int).sum(axis=1).tolist() == [10, 10, 10]
    written = {path.name for path in (tmp_path / "runs" / "iris").iterdir()}
    assert written == {
        *("history.csv", "model.safetensors", "loss.svg", "loss.png"),
        *("calibration.svg", "calibration.png"),
    }
    frame = losses(tmp_path / "runs" / "iris" / "history.csv")
    assert list(frame) == ["epoch", "step", "split", "rows", "loss", "accuracy"]
    assert (frame["split"] == "batch").sum() == 12


def test_predictions_are_those_of_the_network(run, tmp_path):
    run("train", "iris", "--epochs", 3)
    code, out, err = run("predict", "runs/iris", "--part", "all")
    assert code == 0
    assert err.startswith("diffkit: 150 rows: accuracy 0.")
    frame = pd.read_csv(io.StringIO(out))
    assert frame["part"].value_counts().to_dict() == {
        "train": 96,
        "validation": 24,
        "test": 30,
    }
    flowers = data.iris(validation=0.2)
    saved = train.checkpoint.load(tmp_path / "runs/iris/model.safetensors")
    net = nn.mlp((4, 16, 3))
    params = net.init(np.random.default_rng(0))
    saved = train.checkpoint.load(
        tmp_path / "runs/iris/model.safetensors", like={"params": params}
    )
    z = net.apply(saved.params, flowers.test[0])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    test = frame[frame["part"] == "test"]
    columns = [f"probability of {name}" for name in flowers.classes]
    np.testing.assert_allclose(test[columns], p, rtol=1e-12)
    chosen = [flowers.classes[k] for k in p.argmax(axis=1)]
    assert test["predicted species"].tolist() == chosen
    truth = [flowers.classes[k] for k in flowers.test[1]]
    assert test["species"].tolist() == truth


def test_a_file_is_learnt_from_and_predicted_by_the_names_of_its_columns(run, tmp_path):
    frame = write_students(tmp_path / "students.csv")
    code, _, err = run(
        *("train", "--data", "students.csv", "--target", "dropout"),
        *("--epochs", 20, "--rate", 0.05, "--out", "kept"),
    )
    assert (code, err) == (0, "")
    # Other order, one column more, the truth of the first file.
    mixed = frame[["grades", "dropout", "absence"]].assign(name="someone")
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    code, out, err = run("predict", "kept", "--data", "mixed.csv")
    assert code == 0
    assert "60 rows: accuracy 0.9" in err or "60 rows: accuracy 1" in err
    ours = pd.read_csv(io.StringIO(out))
    assert ours["line"].tolist() == list(range(2, 62))
    assert ours["dropout"].tolist() == frame["dropout"].tolist()
    np.testing.assert_allclose(
        ours["probability of yes"], 1 - ours["probability of no"], atol=1e-15
    )
    frame[["absence", "grades"]].to_csv(tmp_path / "new.csv", index=False)
    code, out, err = run("predict", "kept", "--data", "new.csv", "--out", "p/new.csv")
    assert (code, out, err) == (0, "", "")
    new = pd.read_csv(tmp_path / "p" / "new.csv")
    assert new["predicted dropout"].tolist() == ours["predicted dropout"].tolist()


def test_numbers_are_predicted_in_their_own_unit(run, tmp_path):
    code, out, _ = run("train", "diabetes", "--epochs", 10)
    assert code == 0
    assert re.search(r"part +rows +RMSE +R²", out)
    assert (tmp_path / "runs/diabetes/predictions.png").exists()
    _, out, err = run("predict", "runs/diabetes")
    frame = pd.read_csv(io.StringIO(out))
    error = frame["predicted progression"] - frame["progression"]
    rmse = float(np.sqrt((error**2).mean()))
    assert 40 < rmse < 80
    assert f"RMSE {rmse:.4f}" in err
    truth = data.diabetes(validation=0.2, standardized=False).test[1][:, 0]
    np.testing.assert_allclose(frame["progression"], truth, rtol=1e-12)


@pytest.mark.parametrize(
    "words",
    [
        ["--loss", "mse"],
        ["--loss", "binary_cross_entropy"],
        ["--loss", "focal"],
        ["--loss", "cross_entropy", "--sizes", "2-8-2"],
        ["--loss", "nll", "--sizes", "2,8,2", "--activation", "gelu"],
        ["--loss", "kl_divergence", "--sizes", "2,8,2"],
        ["--loss", "mse", "--sizes", "2,8,2"],
        ["--loss", "cross_entropy_from_probabilities", "--sizes", "2,8,2"],
        ["--sizes", "2,1", "--dtype", "float32", "--noise", "0.05"],
        ["--optimizer", "nesterov", "--clip", "1", "--schedule", "plateau"],
        ["--optimizer", "adamw", "--schedule", "one_cycle", "--accumulate", "2"],
        ["--optimizer", "rmsprop", "--schedule", "step", "--shards", "2"],
        ["--schedule", "warmup_linear", "--drop-last", "--batch", "48"],
        ["--schedule", "warmup_cosine", "--patience", "2"],
        ["--backend", "symbolic", "--batch", "0"],
        ["--validation", "0", "--test", "0"],
    ],
)
def test_every_choice_trains_and_predicts(run, words):
    code, out, err = run("train", "moons", "--epochs", 3, *words)
    assert (code, err) == (0, "")
    assert ("rate" in out.splitlines()[1]) == (
        "--schedule" in words and "plateau" not in words
    )
    code, out, _ = run("predict", "runs/moons", "--part", "all")
    assert code == 0
    frame = pd.read_csv(io.StringIO(out))
    assert len(frame) == 400
    p = frame[["probability of 0", "probability of 1"]].to_numpy()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_digits_may_be_shifted(run):
    code, _, err = run("train", "digits", "--epochs", 1, "--shift", 1)
    assert (code, err) == (0, "")


def test_the_same_command_gives_the_same_bytes(run, tmp_path):
    for out in ("one", "two"):
        run("train", "moons", "--epochs", 3, "--out", out)
    assert losses(tmp_path / "one/history.csv").equals(
        losses(tmp_path / "two/history.csv")
    )
    for name in ("loss.svg", "loss.png", "calibration.svg", "calibration.png"):
        assert (tmp_path / "one" / name).read_bytes() == (
            tmp_path / "two" / name
        ).read_bytes()


def test_resuming_goes_on_as_if_never_interrupted(run, tmp_path):
    words = ("--sizes", "2,6,1", "--seed", 3, "--noise", 0.1, "--optimizer", "momentum")
    run("train", "moons", *words, "--epochs", 6, "--out", "whole")
    run("train", "moons", *words, "--epochs", 3, "--checkpoint-dir", "c")
    code, _, err = run(
        *("train", "--checkpoint-dir", "c", "--resume", "--epochs", 6, "--out", "rest")
    )
    assert (code, err) == (0, "")
    assert losses(tmp_path / "whole/history.csv").equals(
        losses(tmp_path / "rest/history.csv")
    )
    assert run("predict", "c")[0] == 0


def test_resuming_on_a_file_that_has_changed_is_refused(run, tmp_path):
    write_students(tmp_path / "students.csv")
    words = ("--data", "students.csv", "--target", "dropout", "--checkpoint-dir", "c")
    assert run("train", *words, "--epochs", 2)[0] == 0
    write_students(tmp_path / "students.csv", seed=1)
    code, _, err = run("train", "--checkpoint-dir", "c", "--resume", "--epochs", 4)
    assert code == 2
    assert "data" in one_line(err)


def test_resuming_with_other_options_is_refused(run):
    run("train", "moons", "--epochs", 2, "--checkpoint-dir", "c")
    code, _, err = run(*("train", "--checkpoint-dir", "c", "--resume", "--rate", "0.5"))
    assert code == 2
    assert "--rate is 0.5 and the training in c was begun with 0.01" in one_line(err)
    run(
        "train", "moons", "--epochs", 2, "--checkpoint-dir", "d", "--schedule", "cosine"
    )
    code, _, err = run("train", "--checkpoint-dir", "d", "--resume", "--epochs", 9)
    assert code == 2
    assert "laid out over 2 epochs" in one_line(err)


def test_ctrl_c_keeps_a_checkpoint_to_go_on_from(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "diffkit.cli", "train", "moons", "--batch", "8"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--epochs", "100000", "--checkpoint-dir", "c", "--out", "cut"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[:1] == ["3/100000"]:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "last.safetensors" in one_line(err)
    cut = losses(tmp_path / "cut" / "history.csv")
    done = int(cut["epoch"].max()) + 2
    again = [*("--checkpoint-dir", "c", "--resume", "--epochs", str(done))]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *again, "--out", "rest"]) == 0
    words = ["--batch", "8", "--epochs", str(done), "--out", "whole"]
    assert cli.main(["train", "moons", *words]) == 0
    assert losses(tmp_path / "rest/history.csv").equals(
        losses(tmp_path / "whole/history.csv")
    )


def test_a_full_disk_has_its_own_exit_code_and_the_network_is_kept(
    run, monkeypatch, tmp_path
):
    flush, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("train", "moons", "--epochs", 3, "--checkpoint-dir", "c")
    assert code == 3
    assert "the disk is full" in one_line(err)
    assert "The network as it stands is in runs/moons/model.safetensors" in err
    assert len(losses(tmp_path / "runs/moons/history.csv")) > 1
    assert run("predict", "runs/moons")[0] == 0
    assert list((tmp_path / "c").iterdir()) == []


def test_a_disk_that_stays_full_still_says_so(run, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("train", "moons", "--epochs", 3, "--checkpoint-dir", "c")
    assert code == 3
    assert "the disk is full" in one_line(err)


def test_divergence_names_the_step_and_keeps_the_history(run, tmp_path):
    code, _, err = run(
        *("train", "linear_regression", "--sizes", "1,1", "--batch", 0),
        *("--optimizer", "sgd", "--rate", 50, "--epochs", 400),
    )
    assert code == 1
    assert "diverged at step" in one_line(err)
    assert (tmp_path / "runs/linear_regression/history.csv").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "Name one data set"),
        (["iris", "--data", "x.csv"], "Name one data set"),
        (["irish"], "Did you mean 'iris'"),
        (["iris", "--sizes", "4,x,3"], "whole numbers"),
        (["iris", "--sizes", "4"], "two sizes or more"),
        (["iris", "--sizes", "5,3"], "has 4 feature columns. Begin with 4"),
        (["iris", "--sizes", "4,2"], "iris has 3 classes. End with 3"),
        (["iris", "--loss", "mes"], "Did you mean 'mse'"),
        (["iris", "--sizes", "4,1"], "two classes apart, and iris has 3"),
        (["moons", "--sizes", "2,2", "--loss", "focal"], "takes one output"),
        (["diabetes", "--loss", "cross_entropy"], "holds numbers. Use one of mse"),
        (["diabetes", "--sizes", "10,2"], "one number is predicted"),
        (["iris", "--activation", "tahn"], "Did you mean 'tanh'"),
        (["iris", "--optimizer", "adma"], "Did you mean 'adam'"),
        (["iris", "--schedule", "cosin"], "Did you mean 'cosine'"),
        (["iris", "--backend", "autodif"], "Did you mean 'autodiff'"),
        (["iris", "--epochs", "0"], "epochs must be a positive integer"),
        (["iris", "--batch", "97"], "batch_size is 97 and there are 96 rows"),
        (["iris", "--batch", "-1"], "batch_size must be"),
        (["iris", "--accumulate", "0"], "accumulate must be"),
        (["iris", "--rate", "-1"], "rate must be a positive number"),
        (["iris", "--rate", "fast"], "'fast' is not a valid float"),
        (["iris", "--validation", "1.5"], "validation must be a fraction"),
        (["iris", "--validation", "0", "--patience", "3"], "no validation"),
        (["iris", "--seed", "-1"], "seeds count from 0"),
        (["iris", "--shift", "1"], "iris has none"),
        (["iris", "--resume"], "--resume needs --checkpoint-dir"),
        (["--resume", "--checkpoint-dir", "no"], "There is no checkpoint to read"),
        (["--data", "no.csv", "--target", "y"], "There is no file no.csv"),
        (["--data", "good.csv"], "--data needs --target, the column to predict: absen"),
        (["--data", "good.csv", "--target", "drop"], "Did you mean 'dropout'"),
        (["--data", "gaps.csv", "--target", "y"], "1 of 3 rows of gaps.csv"),
        (["iris", "--out", "good.csv"], "Nothing was trained"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(run, tmp_path, words, said):
    write_students(tmp_path / "good.csv")
    (tmp_path / "gaps.csv").write_text("a,y\n1,0\n,1\n3,1\n")
    code, _, err = run("train", *words)
    assert code == 2
    assert said in one_line(err)


def test_predict_refuses_what_is_no_model_or_has_no_columns(run, tmp_path):
    write_students(tmp_path / "good.csv")
    code, _, err = run("predict", "nowhere")
    assert code == 2
    assert "no checkpoint to read at nowhere" in one_line(err)
    code, _, err = run("predict", tmp_path)
    assert code == 2
    assert "There is no checkpoint in" in one_line(err)
    code, _, err = run("predict", "good.csv")
    assert code == 2
    assert "no safetensors file" in one_line(err)
    train.checkpoint.save(
        tmp_path / "foreign.safetensors", train.Checkpoint({"w": np.ones(2)})
    )
    code, _, err = run("predict", "foreign.safetensors")
    assert code == 2
    assert "not written by 'diffkit train'" in one_line(err)
    run("train", "iris", "--epochs", 1)
    code, _, err = run("predict", "runs/iris", "--data", "good.csv")
    assert code == 2
    assert "no feature column 'sepal length (cm)'" in one_line(err)
    run("train", "iris", "--epochs", 1, "--validation", 0)
    code, _, err = run("predict", "runs/iris", "--part", "validation")
    assert code == 2
    assert "no validation rows in iris" in one_line(err)


def test_gaps_in_rows_to_predict_are_refused_or_dropped(run, tmp_path):
    frame = write_students(tmp_path / "students.csv")
    run("train", "--data", "students.csv", "--target", "dropout", "--epochs", 1)
    frame.loc[2, "grades"] = np.nan
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    code, _, err = run("predict", "runs/students", "--data", "gaps.csv")
    assert code == 2
    assert "line 4, in grades (1)" in one_line(err)
    code, out, _ = run("predict", "runs/students", "--data", "gaps.csv", *DROP)
    assert code == 0
    lines = pd.read_csv(io.StringIO(out))["line"]
    assert len(lines) == 59
    assert 4 not in set(lines)


DROP = ("--missing", "drop")


def test_debug_shows_where(run):
    code, _, err = run("train", "irish", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("diffkit: error: ")


@pytest.mark.parametrize("command", ["train", "predict"])
def test_help_names_commands_that_run(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"Examples:\s+diffkit {command}", out)


@pytest.mark.slow
def test_the_first_examples_of_the_help_run(run):
    text = run("train", "--help")[1]
    examples = re.findall(r"^ +diffkit (train .*)$", text, re.MULTILINE)
    quick = [line for line in examples if "students.csv" not in line]
    assert len(quick) == 4
    for line in quick:
        code, _, err = run(*line.split())
        assert (code, err) == (0, ""), line


def test_a_live_table_shows_the_last_epochs():
    shown = epochs.EpochTable(["accuracy"], True, lambda step: 0.5 / step, None)
    assert shown.header == [
        *("epoch", "step", "train loss", "validation loss"),
        *("train accuracy", "validation accuracy", "rate", "seconds", "best"),
    ]
    table = shown._table()
    assert len(table.columns) == len(shown.header)


def test_a_model_is_the_same_after_its_json():
    built = model.build(data.wine(), None, "relu", None)
    assert built.sizes == (13, 16, 3)
    again = model.from_json(json.loads(json.dumps(built.as_json())))
    assert again == built
    assert str(again.net()) == str(built.net())
