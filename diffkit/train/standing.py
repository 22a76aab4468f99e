"""Where training stands: one immutable value, from which it can go on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from diffkit.train.checkpoint import Checkpoint
from diffkit.train.history import Record, as_columns
from diffkit.train.layout import Layout
from diffkit.train.stopping import Best

#: Generators in the order they are spawned in; the later ones came later, so that the
#: earlier draw the same numbers as before them.
GENERATORS: tuple[str, ...] = ("init", "split", "order", "masks", "augment")
#: Those that training itself draws from.
DRAWN = ("order", "masks", "augment")


class Standing(NamedTuple):
    """After a whole step of the optimizer, never between two.

    `epoch` is the epoch being trained, from 1, `batch` how many of its batches are
    done, `loss_sum` and `rows` what its mean loss is made from. `drawn` has the states
    of the generators: that of the order as it was before the epoch, of the others as
    they are now. `records` counts the rows of history that belong to it. A named tuple,
    because one is made in each step.
    """

    packed: Any
    net_state: Any
    optimizer_state: Any
    drawn: Mapping[str, Any]
    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    rows: int = 0
    records: int = 0
    best: Best | None = None
    waited: int = 0


def to_checkpoint(
    at: Standing,
    layout: Layout,
    records: Sequence[Record],
    metrics: Sequence[str],
    settings: Mapping[str, str],
    metadata: Mapping[str, Any],
) -> Checkpoint:
    """The standing as a checkpoint."""
    best = at.best and {
        "epoch": at.best.epoch,
        "value": at.best.value,
        "params": at.best.params,
        "net_state": at.best.net_state,
    }
    return Checkpoint(
        params=layout.unpack(at.packed),
        net_state=at.net_state,
        optimizer_state=layout.unpack_state(at.optimizer_state),
        epoch=at.epoch - 1,
        step=at.step,
        generators=at.drawn,
        history=as_columns(records[: at.records], metrics),
        training={
            "batch": at.batch,
            "loss_sum": at.loss_sum,
            "rows": at.rows,
            "best": best,
            "waited": at.waited,
            "settings": dict(settings),
        },
        metadata=metadata,
    )


def from_checkpoint(
    saved: Checkpoint, layout: Layout, packed_state: Any, records: int
) -> Standing:
    """The standing again; `packed_state` shows how the optimizer's state is packed."""
    training, best = saved.training, saved.training["best"]
    return Standing(
        packed=layout.pack(saved.params),
        net_state=saved.net_state,
        optimizer_state=layout.pack_state(saved.optimizer_state, packed_state),
        drawn=saved.generators,
        epoch=saved.epoch + 1,
        batch=training["batch"],
        step=saved.step,
        loss_sum=training["loss_sum"],
        rows=training["rows"],
        records=records,
        best=best and Best(**best),
        waited=training["waited"],
    )


def drawn_states(generators: Mapping[str, np.random.Generator]) -> dict[str, Any]:
    """The states of the generators that training draws from."""
    return {name: generators[name].bit_generator.state for name in DRAWN}
