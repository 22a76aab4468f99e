"""Checkpoints: a whole training in one safetensors file, written atomically.

The arrays are the tensors of the file; everything else is JSON in its metadata, with a
version and a SHA-256 of all of it. Nothing in the file is ever executed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from diffkit.errors import CheckpointError, UserInputError, unknown_name
from diffkit.files import write_atomically
from diffkit.train.checkpoint_tree import Tensors, decode, encode, restored

FORMAT = "diffkit checkpoint"
#: Raised by one whenever an older diffkit could not read what is written.
VERSION = 1
LAST, BEST = "last.safetensors", "best.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training stands.

    `params`, `net_state` and `optimizer_state` are nested as the network and the
    optimizer nest them; `epoch` counts finished epochs and `step` the optimizer's
    steps; `generators` has the state of each random generator, `history` the rows of
    the history by column, `training` what else `fit` needs to go on, and `metadata`
    what its caller wanted kept: JSON, such as how to build the network again.
    """

    params: Any = field(repr=False)
    net_state: Any = field(default=(), repr=False)
    optimizer_state: Any = field(default=(), repr=False)
    epoch: int = 0
    step: int = 0
    generators: Mapping[str, Any] = field(default_factory=dict, repr=False)
    history: Mapping[str, Any] = field(default_factory=dict, repr=False)
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION


_PARTS = tuple(f.name for f in fields(Checkpoint) if f.name != "version")


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; the file at `path` is always a whole one, old or new.

    Written beside it, flushed to the disk, renamed over it, and the rename flushed too:
    a crash or a lost power supply at any moment leaves the one before.

    Raises CheckpointError when it cannot be written (its `errno` says why: ENOSPC for a
    full disk) or holds something that a checkpoint cannot.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(Path(folder, "net.safetensors"), Checkpoint({"w": np.eye(2)}))
    ...     load(path).params["w"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    path, data = Path(path), dumps(checkpoint)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as problem:
        raise _unwritable(path, len(data), problem) from problem
    return path


def load(
    path: str | os.PathLike[str], like: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Read a checkpoint and verify all of it.

    `like` names parts and gives values nested as they should be, such as
    {"params": net.init(rng)}: each is compared leaf by leaf, and takes on the nesting
    of the value given (the names of named tuples are not in the file).

    Raises CheckpointError for a file that is missing, truncated, changed, foreign,
    written by a newer diffkit, or does not fit `like`.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as problem:
        hint = f" In a folder it is {LAST} or {BEST}." if path.is_dir() else ""
        raise CheckpointError(
            f"There is no checkpoint to read at {path}: {problem.strerror}.{hint}"
        ) from problem
    return fitted(loads(data, str(path)), like or {})


def fitted(checkpoint: Checkpoint, like: Mapping[str, Any]) -> Checkpoint:
    """The same with the parts named in `like` nested as its values are (see `load`)."""
    parts = {name: getattr(checkpoint, name) for name in _PARTS}
    for name, value in like.items():
        if name not in parts:
            raise unknown_name("part of a checkpoint", name, parts)
        parts[name] = restored(name, parts[name], value)
    return Checkpoint(**parts, version=checkpoint.version)


def dumps(checkpoint: Checkpoint) -> bytes:
    """The bytes of the file."""
    tensors: Tensors = {}
    skeleton = {
        name: encode(getattr(checkpoint, name), name, tensors) for name in _PARTS
    }
    content = json.dumps(skeleton, allow_nan=False)
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "content": content,
        "sha256": _digest(content, tensors),
    }
    return _in_order(safetensors.numpy.save(tensors, header))


def _in_order(data: bytes) -> bytes:
    """The same file with its header's keys sorted: equal checkpoints, equal bytes."""
    end = 8 + int.from_bytes(data[:8], "little")
    sorted_header = json.dumps(json.loads(data[8:end]), sort_keys=True).encode()
    padded = sorted_header + b" " * (-len(sorted_header) % 8)
    return len(padded).to_bytes(8, "little") + padded + data[end:]


def loads(data: bytes, where: str = "the data") -> Checkpoint:
    """The checkpoint in the bytes of a file, verified."""
    try:
        # Copies: what is loaded are views of the bytes, which cannot be written to.
        loaded = safetensors.numpy.load(data)
        tensors: Tensors = {name: array.copy() for name, array in loaded.items()}
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError, KeyError) as problem:
        raise CheckpointError(
            f"{where} is no safetensors file, or a truncated one ({problem}). Use a "
            "checkpoint that diffkit wrote; if it was one, a copy of it broke off."
        ) from problem
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{where} is a safetensors file, and not a checkpoint of diffkit: it does "
            f"not say {FORMAT!r} in its metadata."
        )
    version = header.get("version", "")
    if not version.isdecimal() or int(version) > VERSION:
        raise CheckpointError(
            f"{where} has version {version or '?'} of the format and this diffkit "
            f"reads up to {VERSION}: it was written by a newer one. Upgrade diffkit."
        )
    content = header.get("content", "")
    if header.get("sha256") != _digest(content, tensors):
        raise CheckpointError(
            f"{where} is damaged: its SHA-256 is not the one that was written with "
            "it. Use an earlier checkpoint."
        )
    parts = {name: decode(part, tensors) for name, part in json.loads(content).items()}
    return Checkpoint(**parts, version=int(version))


def check_folder(folder: Any) -> Path | None:
    """The folder for checkpoints, made if need be, before anything is trained.

    Raises UserInputError for what is no path, CheckpointError for a folder that cannot
    be made or written to.
    """
    if folder is None:
        return None
    if not isinstance(folder, str | os.PathLike):
        raise UserInputError(
            f"checkpoint is {folder!r}; it must be the path of a folder, or None."
        )
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except OSError as problem:
        error = CheckpointError(
            f"Checkpoints cannot be kept in {path}: {problem.strerror}. Choose a "
            "folder that can be written to."
        )
        error.errno, error.filename = problem.errno, str(path)
        raise error from problem
    return path


def check_metadata(metadata: Any) -> dict[str, Any]:
    """The metadata as a dict; UserInputError unless it is one of JSON values."""
    try:
        return dict(json.loads(json.dumps(dict(metadata or {}), allow_nan=False)))
    except (TypeError, ValueError) as problem:
        raise UserInputError(
            f"metadata must be a dict of JSON values (text, numbers, lists, dicts): "
            f"{problem}."
        ) from None


def _digest(content: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(content.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _unwritable(path: Path, size: int, problem: OSError) -> CheckpointError:
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
    why = (
        f"the disk is full, and {size:,} bytes are needed"
        if full
        else problem.strerror or str(problem)
    )
    error = CheckpointError(
        f"The checkpoint {path} could not be written: {why}. What stood there before "
        "is as it was. Free some space or choose another folder."
    )
    error.errno, error.filename = problem.errno, str(path)
    return error
