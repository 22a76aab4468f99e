"""An interrupted and resumed training is the undisturbed one, bit for bit."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import files, losses, nn, optim, train
from diffkit.errors import (
    CheckpointError,
    DivergenceError,
    TrainingInterrupted,
    UserInputError,
)
from diffkit.train import checkpoint, updates

# NumPy runs the arithmetic where the engine's speed is not the matter: it loads faster.
PLAIN = dk.get_backend("autodiff", runtime="numpy")
FRESH = np.random.default_rng(6)
X = FRESH.normal(size=(50, 4))
Y = FRESH.integers(0, 3, size=50)


def everything_random():
    """Masks and running statistics: all that a resumed run must keep."""
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 3)
    )


def noisy(x, rng):
    return x + 0.1 * rng.standard_normal(x.shape)


def accuracy(outputs, labels):
    return np.mean(outputs.argmax(axis=1) == labels)


def settings(**changes):
    rate = optim.schedules.OneCycle(0.05, 60)
    usual = {
        "net": everything_random(),
        "loss": losses.cross_entropy,
        "optimizer": optim.chain(
            optim.clip_by_global_norm(1.0),
            optim.adamw(rate),
            optim.reduce_on_plateau(0.5, patience=0),
        ),
        "data": (X, Y),
        "epochs": 6,
        "batch_size": 8,
        "validation": 0.2,
        "metrics": {"accuracy": accuracy},
        "augment": noisy,
        "backend": PLAIN,
        "rng": 5,
    }
    return {**usual, **changes}


ADAM = optim.adam(0.02)
SINGLE = everything_random().init(np.random.default_rng(1), np.float32)
VARIANTS = {
    "everything": {},
    "accumulated": {"accumulate": 3},
    "stopping early": {"early_stopping": train.EarlyStopping(2), "epochs": 30},
    "leaf by leaf": {
        "optimizer": optim.Optimizer(ADAM.init, ADAM.update, "a stranger's")
    },
    "single precision": {"params": SINGLE},
    "on the engine": {"backend": "autodiff"},
    "no masks": {"net": nn.mlp((4, 5, 3)), "augment": None},
    "finite differences": {"augment": None, "backend": "finite_differences"},
}


def same(one, other):
    for name in ("params", "net_state", "state"):
        a, b = getattr(one, name), getattr(other, name)
        assert optree.tree_structure(a) == optree.tree_structure(b)
        for x, y in zip(optree.tree_leaves(a), optree.tree_leaves(b), strict=True):
            np.testing.assert_array_equal(x, y, strict=True)
    frames = [history.frame.drop(columns="seconds") for history in (one, other)]
    assert frames[0].equals(frames[1])
    assert one.frame["seconds"].is_monotonic_increasing
    assert one.ended == other.ended
    assert (one.best is None) == (other.best is None)
    if one.best is not None:
        assert (one.best.epoch, one.best.value) == (other.best.epoch, other.best.value)


class Interrupting:
    """A loss that is interrupted as by Ctrl-C at one of its evaluations."""

    def __init__(self, loss, at):
        self.loss, self.left = loss, at

    def __str__(self):
        return str(self.loss)

    def __call__(self, *args):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.loss(*args)


@pytest.mark.parametrize("name", VARIANTS)
def test_stopped_after_any_epoch_and_resumed(name, tmp_path):
    options = settings(**VARIANTS[name])
    undisturbed = train.fit(**options)
    for epochs in (1, 2, 4):
        folder = tmp_path / str(epochs)
        train.fit(**{**settings(**VARIANTS[name]), "epochs": epochs}, checkpoint=folder)
        options.pop("params", None)  # Their precision is the checkpoint's.
        resumed = train.fit(**options, checkpoint=folder, resume=True)
        same(resumed, undisturbed)


class InterruptedGradients:
    """Ctrl-C in the middle of finding a gradient, at the call with this number."""

    def __init__(self, monkeypatch, at):
        whole, self.left = train.gradients.Whole, at

        def call(this, *args):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return original(this, *args)

        original = whole.__call__
        monkeypatch.setattr(whole, "__call__", call)


@pytest.mark.parametrize(
    "name", ["everything", "accumulated", "leaf by leaf", "on the engine"]
)
@pytest.mark.parametrize("at", [1, 4, 5, 13])
def test_interrupted_within_an_epoch_and_resumed(name, at, tmp_path, monkeypatch):
    options = settings(**VARIANTS[name])
    undisturbed = train.fit(**options)
    with monkeypatch.context() as disturbed:
        InterruptedGradients(disturbed, at)
        with pytest.raises(TrainingInterrupted, match=r"resume from .*last.safe") as e:
            train.fit(**options, checkpoint=tmp_path)
    assert isinstance(e.value, KeyboardInterrupt)
    history = e.value.history
    assert isinstance(history, train.History)
    assert history.ended == "interrupted"
    # Whole steps only: what was being accumulated is done again.
    steps = len(history.losses("batch"))
    assert steps == (at - 1) - ((at - 1) % 5) % options.get("accumulate", 1)
    assert e.value.checkpoint == str(tmp_path / "last.safetensors")
    same(train.fit(**options, checkpoint=tmp_path, resume=True), undisturbed)


@pytest.mark.parametrize("kind", [updates.ByEngine, updates.ByUpdate])
@pytest.mark.parametrize("when", ["before", "after"])
def test_interrupted_within_an_update_and_resumed(kind, when, tmp_path, monkeypatch):
    """After it, too: the arithmetic is done, and training was not told."""
    backend = "autodiff" if kind is updates.ByEngine else PLAIN
    options = settings(backend=backend)
    undisturbed, original = train.fit(**options), kind.__call__
    for at in (1, 2, 7, 8):
        left = [at]

        def interrupted(this, *args, left=left):
            left[0] -= 1
            if left[0] == 0 and when == "before":
                raise KeyboardInterrupt
            after = original(this, *args)
            if left[0] == 0:
                raise KeyboardInterrupt
            return after

        folder = tmp_path / str(at)
        with monkeypatch.context() as disturbed:
            disturbed.setattr(kind, "__call__", interrupted)
            with pytest.raises(TrainingInterrupted, match=rf"after step {at - 1} "):
                train.fit(**options, checkpoint=folder)
        same(train.fit(**options, checkpoint=folder, resume=True), undisturbed)


def test_interrupted_at_the_end_of_an_epoch_and_resumed(tmp_path):
    options = settings()
    undisturbed = train.fit(**options)
    for at in (8, 9, 10, 11):  # Evaluations of metrics, before and after validation.
        left = [at]

        def interrupted(outputs, labels, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return accuracy(outputs, labels)

        folder, metrics = tmp_path / str(at), {"accuracy": interrupted}
        with pytest.raises(TrainingInterrupted):
            train.fit(**{**options, "metrics": metrics}, checkpoint=folder)
        same(train.fit(**options, checkpoint=folder, resume=True), undisturbed)


def test_many_interruptions(tmp_path, monkeypatch):
    options = settings()
    undisturbed = train.fit(**options)
    resume, times = False, 0
    while True:
        with monkeypatch.context() as disturbed:
            InterruptedGradients(disturbed, 4)
            try:
                resumed = train.fit(**options, checkpoint=tmp_path, resume=resume)
                break
            except TrainingInterrupted:
                resume, times = True, times + 1
    assert times == 9
    same(resumed, undisturbed)


def test_without_a_folder_an_interruption_keeps_its_history(monkeypatch):
    InterruptedGradients(monkeypatch, 7)
    with pytest.raises(TrainingInterrupted, match=r"after step 6 \(epoch 2\)\.$") as e:
        train.fit(**settings())
    assert e.value.checkpoint is None
    history = e.value.history
    assert isinstance(history, train.History)
    assert len(history.losses("batch")) == 6


def no_space(*_):
    return Path("/dev/full").open("wb")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_keeps_the_training_in_memory(tmp_path, monkeypatch):
    undisturbed = train.fit(**settings(epochs=3))

    def full(path, saved):
        if saved.epoch == 3:
            with monkeypatch.context() as patched:
                patched.setattr(files, "open", no_space, raising=False)
                return save(path, saved)
        return save(path, saved)

    save = checkpoint.save
    monkeypatch.setattr(train.run, "save", full)
    with pytest.raises(CheckpointError, match="disk is full") as e:
        train.fit(**settings(), checkpoint=tmp_path)
    assert e.value.errno == errno.ENOSPC
    history = e.value.history
    assert isinstance(history, train.History)
    assert history.ended == "checkpoint"
    for a, b in zip(
        optree.tree_leaves(history.params),
        optree.tree_leaves(undisturbed.params),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    monkeypatch.undo()
    resumed = train.fit(**settings(), checkpoint=tmp_path, resume=True)
    same(resumed, train.fit(**settings()))


def test_the_files_of_a_training(tmp_path):
    options = settings(epochs=5, metadata={"sizes": [4, 6, 3]})
    history = train.fit(**options, checkpoint=tmp_path, checkpoint_every=2)
    assert sorted(os.listdir(tmp_path)) == ["best.safetensors", "last.safetensors"]
    last = checkpoint.load(tmp_path / "last.safetensors")
    best = checkpoint.load(tmp_path / "best.safetensors")
    assert (last.epoch, last.step, last.metadata) == (5, 25, {"sizes": [4, 6, 3]})
    assert history.best is not None
    assert best.epoch == history.best.epoch
    x, y = X[:7], Y[:7]
    for saved, params, state in (
        (last, history.params, history.net_state),
        (best, history.best.params, history.best.net_state),
    ):
        net = options["net"]
        found = losses.cross_entropy(net.apply(saved.params, x, saved.net_state), y)
        assert found == losses.cross_entropy(net.apply(params, x, state), y)
    assert history.best.value == history.losses("validation").min()
    # Any of the two can be gone on from.
    options["epochs"] = 7
    again = train.fit(**options, resume=tmp_path / "best.safetensors")
    same(again, train.fit(**options))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"optimizer": optim.sgd(0.1)}, "does not fit: optimizer_state"),
        ({"net": nn.mlp((4, 9, 3)), "augment": None}, r"does not fit: params\["),
        ({"batch_size": 10}, "batch_size: was 8, is 10"),
        ({"accumulate": 2}, "accumulate: was 1, is 2"),
        ({"data": (X + 1, Y)}, "training data: was 40 rows"),
        ({"rng": 6}, "validation data: was 10 rows"),
        ({"loss": lambda p, t: losses.cross_entropy(p, t)}, "loss: was cross_entropy"),
    ],
)
def test_another_training_is_not_resumed(changes, said, tmp_path):
    train.fit(**settings(epochs=1), checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=said):
        train.fit(**settings(**changes), checkpoint=tmp_path, resume=True)


def test_what_cannot_be_kept_is_said_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot be kept in .*file"):
        train.fit(**settings(), checkpoint=tmp_path / "file")
    strange = optim.Optimizer(lambda params: object(), ADAM.update)
    with pytest.raises(CheckpointError, match="optimizer_state is object"):
        train.fit(**settings(optimizer=strange), checkpoint=tmp_path)


def test_what_cannot_be_resumed_is_said(tmp_path):
    with pytest.raises(UserInputError, match="none was named"):
        train.fit(**settings(), resume=True)
    with pytest.raises(CheckpointError, match="There is no checkpoint to read"):
        train.fit(**settings(), checkpoint=tmp_path, resume=True)
    path = checkpoint.save(tmp_path / "net", checkpoint.Checkpoint({"w": np.ones(2)}))
    with pytest.raises(CheckpointError, match="does not fit"):
        train.fit(**settings(), resume=path)


def test_a_divergence_keeps_the_last_checkpoint_and_the_history(tmp_path):
    options = settings(
        optimizer=optim.sgd(1e308), net=nn.Sequential(nn.Linear(4, 3)), augment=None
    )
    with pytest.raises(DivergenceError) as e:
        train.fit(**options, checkpoint=tmp_path)
    history = e.value.history
    assert isinstance(history, train.History)
    assert history.ended == "divergence"
    assert not (tmp_path / "last.safetensors").exists()


SCRIPT = """
import sys
import numpy as np
import diffkit as dk
from diffkit import losses, nn, optim, train

rng = np.random.default_rng(0)
x, y = rng.normal(size=(4000, 4)), rng.integers(0, 3, size=4000)

def begun(report):
    if report.epoch == 1:
        print("begun", flush=True)

def fit(**options):
    return train.fit(
        nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 3)),
        losses.cross_entropy, optim.adam(0.01), (x, y), batch_size=4,
        backend=dk.get_backend("autodiff", runtime="numpy"), callbacks=[begun],
        checkpoint=sys.argv[1], rng=1, **options,
    )

if __name__ == "__main__":
    fit(epochs=1000)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_real_signal(number, tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, said = process.communicate()
    last = checkpoint.load(tmp_path / "last.safetensors")
    if number == signal.SIGINT:
        assert "TrainingInterrupted: Training was interrupted after step" in said
        assert last.step >= 1000
    else:
        assert process.returncode == -signal.SIGKILL
        assert last.step % 1000 == 0
    assert sorted(last.params[0]) == ["bias", "weight"]
