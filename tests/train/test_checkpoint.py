import errno
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optree
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from diffkit import files, nn, optim
from diffkit.errors import CheckpointError, UnknownNameError, UserInputError
from diffkit.train import checkpoint
from diffkit.train.checkpoint import Checkpoint, dumps, load, loads, save
from diffkit.train.checkpoint_tree import encode

PARAMS = nn.mlp((4, 3, 2)).init(np.random.default_rng(0))


def sample(**changes):
    state = optim.adam().init(PARAMS)
    generator = np.random.Generator(np.random.MT19937(5))
    parts: dict[str, Any] = {
        "params": PARAMS,
        "optimizer_state": state,
        "epoch": 3,
        "step": 12,
        "generators": {
            "order": np.random.default_rng(3).bit_generator.state,
            "masks": generator.bit_generator.state,
        },
        "history": {"loss": np.array([1.0, np.nan, np.inf])},
        "training": {"best": None, "waited": 2, "loss_sum": 0.1 + 0.2},
        "metadata": {"sizes": [4, 3, 2], "name": "naïve"},
    }
    return Checkpoint(**{**parts, **changes})


def same(one, other):
    assert optree.tree_structure(one) == optree.tree_structure(other)
    pairs = zip(optree.tree_leaves(one), optree.tree_leaves(other), strict=True)
    for a, b in pairs:
        assert type(a) is type(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def test_what_is_saved_is_loaded(tmp_path):
    saved = sample()
    path = save(tmp_path / "deep" / "net.safetensors", saved)
    loaded = load(path, {"optimizer_state": saved.optimizer_state})
    for field in fields(Checkpoint):
        same(getattr(loaded, field.name), getattr(saved, field.name))
    assert isinstance(loaded.optimizer_state, optim.AdamState)
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]
    loaded.params[0]["weight"][0] = 5.0  # What is loaded is one's own.


def test_a_generator_goes_on_where_it_was(tmp_path):
    for kind in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        one = np.random.Generator(getattr(np.random, kind)(4))
        one.standard_normal(7)
        one.integers(0, 9, dtype=np.int32)
        path = save(tmp_path / kind, sample(generators={"a": one.bit_generator.state}))
        other = np.random.Generator(getattr(np.random, kind)(99))
        other.bit_generator.state = load(path).generators["a"]
        np.testing.assert_array_equal(one.random(50), other.random(50))


leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**130), 2**130)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.builds(
        lambda shape, kind: (
            np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
        ),
        st.lists(st.integers(0, 3), max_size=3),
        st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u1", "?"]),
    )
)
trees = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(tree=trees)
def test_any_nesting_comes_back(tree):
    same(loads(dumps(Checkpoint(tree))).params, tree)


def test_arrays_that_are_not_in_order_come_back():
    x = np.arange(12.0).reshape(3, 4)
    for array in (
        x.T,
        x[::-1],
        x[:, ::2],
        np.broadcast_to(x[0], (2, 4)),
        x.astype(">f8"),
    ):
        np.testing.assert_array_equal(loads(dumps(Checkpoint(array))).params, array)


def test_keys_with_a_slash_do_not_collide():
    tree = {"a/b": np.ones(1), "a": {"b": np.zeros(1)}}
    same(loads(dumps(Checkpoint(tree))).params, tree)


@pytest.mark.parametrize(
    "part, said",
    [
        ({1: np.ones(1)}, "params has the key 1"),
        ({"a": [object()]}, "params/a/0 is object"),
        ((np.array(["text"]),), "params/0 is an array of <U4"),
        (np.ones(1, complex), "complex128"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_named(part, said):
    with pytest.raises(CheckpointError, match=said):
        encode(part, "params", {})


def test_every_truncation_and_every_flipped_byte_is_found():
    data = dumps(Checkpoint({"w": np.arange(5.0)}, metadata={"a": 1}))
    for end in range(0, len(data), 7):
        with pytest.raises(CheckpointError, match="truncated"):
            loads(data[:end])
    with pytest.raises(CheckpointError, match="truncated"):
        loads(data + b"\0")
    for place in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[place] ^= 1
        try:
            found = loads(bytes(flipped))
        except CheckpointError:
            continue
        # Only white space between the header and the data says nothing.
        np.testing.assert_array_equal(found.params["w"], np.arange(5.0))
        assert found.metadata == {"a": 1}


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.ones(2)}))
    with pytest.raises(CheckpointError, match="not a checkpoint of diffkit"):
        load(path)
    path.write_bytes(b"PK\x03\x04 a pickle in a zip, as PyTorch writes it" * 9)
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load(path)
    with pytest.raises(CheckpointError, match=r"No such file"):
        load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"In a folder it is last.safetensors"):
        load(tmp_path)


def test_a_newer_file_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
        path = save(tmp_path / "new", sample())
    with pytest.raises(CheckpointError, match=r"version 2 .* reads up to 1.*Upgrade"):
        load(path)


class Named(NamedTuple):
    a: Any
    b: Any


@pytest.mark.parametrize(
    "like, said",
    [
        (
            ({"weight": np.ones((4, 3))}, (), PARAMS[2]),
            r"params\[0\]\['bias'\] is float",
        ),
        (
            PARAMS[:2],
            r"params\[2\]\['bias'\] is float64\[2\] in the .* and absent here",
        ),
        (
            nn.mlp((4, 5, 2)).init(np.random.default_rng(0)),
            r"float64\[3\].*float64\[5\]",
        ),
        (
            optree.tree_map(lambda a: a.astype(np.float32), PARAMS),
            r"is float64\[3\] in the checkpoint and float32\[3\] here",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_named(tmp_path, like, said):
    path = save(tmp_path / "net", sample())
    with pytest.raises(CheckpointError, match=said):
        load(path, {"params": like})


def test_the_nesting_of_named_tuples_is_given_back(tmp_path):
    tree = Named(np.ones(2), {"x": np.array(3)})
    path = save(tmp_path / "net", Checkpoint(tree))
    assert type(load(path).params) is tuple
    same(load(path, {"params": tree}).params, tree)
    with pytest.raises(UnknownNameError, match="Did you mean 'params'"):
        load(path, {"param": tree})


def test_metadata_is_json():
    assert checkpoint.check_metadata(None) == {}
    assert checkpoint.check_metadata({"sizes": (4, 3)}) == {"sizes": [4, 3]}
    for bad in ({"a": np.ones(1)}, {"a": float("nan")}, 5):
        with pytest.raises(UserInputError, match="metadata must be a dict of JSON"):
            checkpoint.check_metadata(bad)


needs_dev_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="no /dev/full on this system"
)


def no_space(*_):
    return Path("/dev/full").open("wb")


@needs_dev_full
def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    path = save(tmp_path / "net", sample(epoch=1))
    with monkeypatch.context() as full:
        # Whatever is written there, the kernel answers that no space is left.
        full.setattr(files, "open", no_space, raising=False)
        with pytest.raises(
            CheckpointError, match=r"the disk is full, and .* bytes"
        ) as e:
            save(path, sample(epoch=2))
    assert e.value.errno == errno.ENOSPC
    assert load(path).epoch == 1
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/net could not be written"):
        save(tmp_path / "file" / "net", sample())


# Writes a second checkpoint and is killed, as by `kill -9`, at one moment of it.
KILLED = """
import os, signal, sys
import numpy as np
from diffkit import files
from diffkit.train import checkpoint

path, moment = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Half:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.file.close()
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        die()

if moment == "half written":
    files.open = lambda *args: Half(open(*args))
elif moment == "before the flush":
    os.fsync = die
elif moment == "before the rename":
    os.replace = die
elif moment == "before the folder is flushed":
    files._flush_folder = die
checkpoint.save(path, checkpoint.Checkpoint({"w": np.full(1000, 2.0)}, epoch=2))
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
@pytest.mark.parametrize(
    "moment, epoch",
    [
        ("half written", 1),
        ("before the flush", 1),
        ("before the rename", 1),
        ("before the folder is flushed", 2),
    ],
)
def test_kill_9_leaves_a_whole_checkpoint(tmp_path, moment, epoch):
    path = save(tmp_path / "net", Checkpoint({"w": np.ones(1000)}, epoch=1))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), moment], check=False
    )
    assert done.returncode == -signal.SIGKILL
    found = load(path)
    assert found.epoch == epoch
    np.testing.assert_array_equal(found.params["w"], float(epoch))
    # What the dead process left is swept away by the next that writes.
    save(path, Checkpoint({"w": np.ones(3)}, epoch=3))
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


OFTEN = """
import sys, itertools
import numpy as np
from diffkit.train.checkpoint import Checkpoint, save
for epoch in itertools.count(1):
    save(sys.argv[1], Checkpoint({"w": np.full(200_000, float(epoch))}, epoch=epoch))
    if epoch == 1:
        print("begun", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
@pytest.mark.parametrize("seed", range(8))
def test_kill_9_at_any_moment(tmp_path, seed):
    path = tmp_path / "net"
    command = [sys.executable, "-c", OFTEN, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(np.random.default_rng(seed).uniform(0, 0.2))
        process.kill()
    found = load(path)
    np.testing.assert_array_equal(found.params["w"], float(found.epoch))


def test_equal_checkpoints_are_equal_bytes():
    first, *others = (dumps(sample(epoch=3)) for _ in range(8))
    assert all(other == first for other in others)
