"""What a training was, so that another one is not taken for its continuation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffkit.errors import CheckpointError
from diffkit.train.batches import Batches
from diffkit.train.checkpoint import Checkpoint
from diffkit.train.inputs import Pair
from diffkit.train.objective import Objective


def settings_of(
    objective: Objective,
    optimizer: Any,
    batches: Batches,
    accumulate: int,
    training: Pair,
    held_out: Pair | None,
) -> dict[str, str]:
    """What must be the same for a resumed training to be the same one, by name."""
    return {
        "network": _said(objective.net),
        "loss": _said(objective.loss),
        "optimizer": _said(optimizer),
        "batch_size": str(batches.batch_size),
        "drop_last": str(batches.drop_last),
        "shuffle": str(batches.shuffle),
        "accumulate": str(accumulate),
        "training data": _fingerprint(training),
        "validation data": _fingerprint(held_out),
    }


def check_same(saved: Checkpoint, settings: Mapping[str, str], source: str) -> None:
    """Raise CheckpointError, listing what differs, unless it is the same training."""
    before = saved.training.get("settings")
    if before is None:
        raise CheckpointError(
            f"{source} holds parameters, but not a training that can be resumed: fit "
            "did not write it. Load it and give params=checkpoint.params."
        )
    lines = [
        f"  {name}: was {before.get(name)}, is {now}"
        for name, now in settings.items()
        if before.get(name) != now
    ]
    if lines:
        raise CheckpointError(
            f"The training in {source} was another one:\n"
            + "\n".join(lines)
            + "\nResume with the same settings and rng, or start anew from its "
            "parameters with params=checkpoint.params."
        )


def _said(part: Any) -> str:
    """A part by its name: not by its address, which is another in each process."""
    said = str(part)
    if " at 0x" not in said:
        return said
    return getattr(part, "__qualname__", type(part).__qualname__)


def _fingerprint(data: Pair | None) -> str:
    if data is None:
        return "none"
    digest = hashlib.sha256()
    for array in data:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return f"{len(data[0])} rows, SHA-256 {digest.hexdigest()[:16]}"
