"""The training loop: batches in, parameters and a history out, by any backend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import optree

from diffkit.backends import Backend, get_backend
from diffkit.errors import (
    CheckpointError,
    DivergenceError,
    TrainingInterrupted,
    UserInputError,
)
from diffkit.train.batches import Batches
from diffkit.train.callbacks import Callback
from diffkit.train.checkpoint import LAST, check_folder, check_metadata, fitted, load
from diffkit.train.checkpoint_tree import encode
from diffkit.train.gradients import (
    Gradients,
    Threads,
    prepare_whole,
    shard_sizes,
)
from diffkit.train.history import History, Record, from_columns
from diffkit.train.inputs import (
    Pair,
    check_pair,
    check_params,
    check_validation,
    generator_from,
    positive_integer,
)
from diffkit.train.layout import Layout, layout_for
from diffkit.train.objective import Objective
from diffkit.train.parts import (
    InitUpdate,
    Network,
    check_hooks,
    check_metrics,
    check_parts,
)
from diffkit.train.plan import Augment, Plan
from diffkit.train.progress import progress_bar
from diffkit.train.remote import connect
from diffkit.train.run import Run
from diffkit.train.settings import check_same, settings_of
from diffkit.train.standing import (
    GENERATORS,
    Standing,
    drawn_states,
    from_checkpoint,
)
from diffkit.train.stopping import EarlyStopping
from diffkit.train.updates import updates_for


def fit(
    net: Network,
    loss: Callable[[Any, Any], Any],
    optimizer: InitUpdate,
    data: tuple[Any, Any],
    *,
    epochs: int,
    backend: str | Backend = "autodiff",
    batch_size: int | None = None,
    drop_last: bool = False,
    shuffle: bool = True,
    validation: float | tuple[Any, Any] | None = None,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Callback | Iterable[Callback] = (),
    accumulate: int = 1,
    shards: int = 1,
    client: Any = None,
    augment: Augment | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool | str | os.PathLike[str] = False,
    metadata: Mapping[str, Any] | None = None,
    rng: np.random.Generator | int = 0,
    params: Any = None,
    net_state: Any = None,
    on_divergence: Literal["raise", "stop"] = "raise",
    progress: bool = True,
) -> History:
    """Train `net` to make `loss(net.apply(params, x), y)` small.

    `data` is (x, y), samples along the first axis: x floating point, y floating point,
    booleans, or integer class labels. `batch_size=None` is full-batch descent;
    otherwise rows are shuffled anew in each epoch, and the last partial batch is one
    of its own size, or left out with `drop_last`. `validation` is a pair (x, y) or a
    fraction of the rows, drawn once. `params` (and `net_state`) go on from given ones;
    fresh ones are drawn by `net.init`. Everything runs in the precision of the
    parameters. A network with state or masks is trained by its `apply_training` and
    evaluated by its `apply`.

    `metrics` are functions (outputs, labels) -> number, measured on all training and
    validation rows after each epoch. `early_stopping` is an `EarlyStopping`; each of
    `callbacks` is called with an `EpochReport` after each epoch, and ends training by
    returning True. `augment(x, rng)` gives the rows to train on in place of a batch's.

    `accumulate=k` takes one step of the optimizer for every k batches, with their mean
    gradient weighted by rows: up to rounding that of one batch of all their rows
    (except through batch normalisation, which sees each batch apart). `shards=n`
    splits each batch into n parts whose gradients are found at the same time, on local
    threads, or on the workers of `client`, a `distributed.Client` or the address of
    its scheduler. Both need a loss that is a mean over rows.

    `checkpoint` is a folder: in it "last.safetensors" is replaced every
    `checkpoint_every` epochs and at the end, "best.safetensors" after each epoch with
    the best validation loss so far. `resume=True` goes on from the folder's last one
    (`resume=path` from any) to `epochs` in total, bit for bit as if never interrupted:
    give the same data, settings and `rng` again; `params` then only say the nesting and
    precision.
    `metadata` is JSON to keep in the checkpoints. Ctrl-C writes a checkpoint in the
    middle of the epoch and raises TrainingInterrupted, a KeyboardInterrupt, with the
    history; a CheckpointError for a full disk has the history too.

    `rng` is a generator or its seed. Initialisation, validation split, shuffling, masks
    and augmentation each get a generator spawned from it, so that giving parameters
    does not change the order of the batches, and every backend sees the same batches
    and masks.

    The gradient is traced, differentiated and compiled once per batch size, before the
    first step, by any `backend`. Neither data nor given parameters are modified. When
    the loss or a parameter stops being finite, a DivergenceError names the step and the
    largest gradient; `on_divergence="stop"` returns the history up to there. The
    progress bar is drawn on stderr, and only on a terminal.

    Raises UserInputError and its kinds for arguments that cannot be used, before any
    training; CheckpointError for one that cannot be read or written; DivergenceError;
    TrainingInterrupted; and whatever preparing the program raises.

    >>> from diffkit import losses, nn, optim
    >>> x = np.linspace(-1.0, 1.0, 20)[:, None]
    >>> line = fit(nn.mlp((1, 1)), losses.mse, optim.sgd(0.5), (x, 2 * x), epochs=99)
    >>> line.params[0]["weight"].round(6).tolist()
    [[2.0]]
    """
    epochs = positive_integer("epochs", epochs)
    accumulate = positive_integer("accumulate", accumulate)
    shards = positive_integer("shards", shards)
    every = positive_integer("checkpoint_every", checkpoint_every)
    if on_divergence not in ("raise", "stop"):
        raise UserInputError(
            f"on_divergence must be 'raise' or 'stop' and is {on_divergence!r}."
        )
    check_parts(net, loss, optimizer)
    measured, kept = check_metrics(metrics), check_metadata(metadata)
    called = check_hooks(early_stopping, callbacks, augment)
    if early_stopping is not None:
        early_stopping.check(measured, validation is not None)
    folder = check_folder(checkpoint)
    source = _source(resume, folder)
    saved = None if source is None else load(source)
    started = perf_counter()
    chosen = get_backend(backend)
    loaded = perf_counter()
    objective = Objective(net, loss)
    spawned = generator_from(rng).spawn(len(GENERATORS))
    generators: dict[str, np.random.Generator] = dict(
        zip(GENERATORS, spawned, strict=True)
    )
    if params is None:
        params = net.init(generators["init"])
        if saved is not None:
            params = _in_precision_of(saved.params, params)
    dtype = check_params(params)
    params = optree.tree_map(np.asarray, params)
    if net_state is None:
        net_state = objective.first_state(dtype)
    pair = check_pair(data, dtype)
    training, held_out = check_validation(validation, pair, dtype, generators["split"])
    batches = Batches(len(training[0]), batch_size, drop_last, shuffle)
    _check_parallel(objective, batches, shards, client)
    for part in (training, held_out):
        if part is not None:
            objective.check(params, net_state, part, max(batches.sizes))
    for what, many in (("accumulate", accumulate), ("shards", shards)):
        if many > 1:
            objective.check_mean(f"{what}={many}", params, net_state, training)

    layout = layout_for(optimizer, params)
    packed = layout.pack(params)
    state, records = optimizer.init(packed), []
    at = Standing(packed, net_state, state, drawn_states(generators))
    settings: dict[str, str] = {}
    if folder is not None or saved is not None:
        # What cannot be kept is found now, and not after an epoch.
        encode(layout.unpack_state(state), "optimizer_state", {})
        settings = settings_of(
            objective, optimizer, batches, accumulate, training, held_out
        )
    if saved is not None:
        like = {
            "params": params,
            "net_state": net_state,
            "optimizer_state": layout.unpack_state(state),
        }
        saved = fitted(saved, like)
        check_same(saved, settings, str(source))
        records = from_columns(saved.history, list(measured))
        at = from_checkpoint(saved, layout, state, len(records))
    checked = perf_counter()
    gradients = _gradients(
        objective, layout, batches, training, at, chosen, shards, client
    )
    updates = updates_for(optimizer, at.packed, at.optimizer_state, chosen)
    prepared = perf_counter()

    plan = Plan(
        objective=objective,
        optimizer=optimizer,
        layout=layout,
        gradients=gradients,
        updates=updates,
        training=training,
        held_out=held_out,
        batches=batches,
        epochs=epochs,
        accumulate=accumulate,
        metrics=measured,
        augment=augment,
        stopping=early_stopping,
        callbacks=called,
        folder=folder,
        every=every,
        settings=settings,
        metadata=kept,
    )
    phases = {
        "load": loaded - started,
        "check": checked - loaded,
        "prepare": prepared - checked,
    }
    return _trained(plan, generators, at, records, phases, on_divergence, progress)


def _trained(
    plan: Plan,
    generators: Mapping[str, np.random.Generator],
    at: Standing,
    records: list[Record],
    phases: Mapping[str, float],
    on_divergence: str,
    progress: bool,
) -> History:
    """Run the plan; whatever ends it early carries the history."""
    run = Run(plan, generators, at, records)
    if records:
        run.began -= records[-1][5]
    done = (at.epoch - 1) * len(plan.batches) + at.batch
    total = plan.epochs * len(plan.batches)
    # Overflow is reported as divergence, with its step; not as a warning before it.
    quiet = np.errstate(all="ignore")
    try:
        with quiet, progress_bar(progress, plan.epochs, total, done) as advance:
            ended = run.go(advance)
    except DivergenceError as problem:
        lost = run.records[-1][1]
        problem.history = history = run.history(phases, "divergence", lost)
        if on_divergence == "raise":
            raise
        return history
    except CheckpointError as problem:
        problem.history = run.history(phases, "checkpoint")
        raise
    except KeyboardInterrupt as interruption:
        history = run.history(phases, "interrupted")
        try:
            path = run.save(LAST)
        except CheckpointError as problem:
            problem.history = history
            raise
        where = f"; resume from {path}" if path else ""
        raise TrainingInterrupted(
            f"Training was interrupted after step {run.at.step} (epoch "
            f"{run.at.epoch}){where}.",
            history,
            path,
        ) from interruption
    finally:
        plan.gradients.close()
    return run.history(phases, ended)


def _source(resume: Any, folder: Path | None) -> Path | None:
    """The file to go on from, or None."""
    if resume is False or resume is None:
        return None
    if isinstance(resume, str | os.PathLike):
        return Path(resume)
    if resume is not True:
        raise UserInputError(
            f"resume is {resume!r}; it must be True, False or the path of a checkpoint."
        )
    if folder is None:
        raise UserInputError(
            "resume=True goes on from the last checkpoint in the folder `checkpoint`, "
            "and none was named. Give checkpoint=folder, or resume=path."
        )
    return folder / LAST


def _in_precision_of(saved: Any, params: Any) -> Any:
    """Parameters in the precision that the saved ones have."""
    leaves = optree.tree_leaves(saved)
    dtype = np.asarray(leaves[0]).dtype if leaves else np.float64
    return optree.tree_map(lambda leaf: np.asarray(leaf, dtype), params)


def _check_parallel(
    objective: Objective, batches: Batches, shards: int, client: Any
) -> None:
    if shards > 1 and objective.stateful:
        raise UserInputError(
            f"shards={shards} cannot train a network with state: batch normalisation "
            "needs the statistics of the whole batch, and each shard would see its "
            "own. Use shards=1, or layer normalisation."
        )
    if client is not None and objective.stateful:
        raise UserInputError(
            "client cannot train a network with state: batch normalisation's running "
            "statistics would stay on the workers. Train it here."
        )
    if shards > max(batches.sizes):
        raise UserInputError(
            f"shards={shards} of a batch of {max(batches.sizes)} rows leaves some "
            "without a row. Use fewer shards, or a larger batch."
        )


def _gradients(
    objective: Objective,
    layout: Layout,
    batches: Batches,
    training: Pair,
    at: Standing,
    backend: Backend,
    shards: int,
    client: Any,
) -> Gradients:
    if client is not None:
        return connect(client, objective, backend, layout, shards)
    sizes = [n for size in set(batches.sizes) for n in shard_sizes(size, shards)]
    sizes = sorted(set(sizes), reverse=True)
    params = layout.unpack(at.packed)
    whole = prepare_whole(
        objective, params, training, at.net_state, sizes, backend, layout
    )
    return whole if shards == 1 else Threads(whole, shards)
