"""The training loop: batches in, parameters and a history out, by any backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from time import perf_counter
from typing import Any, Literal

import numpy as np
import optree

from diffkit.backends import Backend, get_backend
from diffkit.errors import DivergenceError, ShapeError, UserInputError
from diffkit.prepared import Prepared
from diffkit.train.batches import Batches
from diffkit.train.history import History, Record, tidy
from diffkit.train.inputs import (
    Pair,
    check_pair,
    check_params,
    check_validation,
    generator_from,
    positive_integer,
)
from diffkit.train.parts import InitUpdate, Network, check_parts
from diffkit.train.progress import progress_bar
from diffkit.transform import prepare


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
    rng: np.random.Generator | int = 0,
    params: Any = None,
    on_divergence: Literal["raise", "stop"] = "raise",
    progress: bool = True,
) -> History:
    """Train `net` to make `loss(net.apply(params, x), y)` small.

    `data` is (x, y), samples along the first axis: x floating point, y floating point,
    booleans, or integer class labels. `batch_size=None` is full-batch descent;
    otherwise rows are shuffled anew in each epoch, and the last partial batch is one
    of its own size, or left out with `drop_last`. `validation` is a pair (x, y) or a
    fraction of the rows, drawn once. `params` go on from given parameters; fresh ones
    are drawn by `net.init`. Everything runs in the precision of the parameters.

    `rng` is a generator or its seed. Initialisation, validation split and shuffling
    each get a generator spawned from it, so that giving parameters does not change the
    order of the batches, and every backend sees the same batches.

    The gradient is traced, differentiated and compiled once per batch size, before the
    first step, by any `backend`. Neither data nor given parameters are modified. When
    the loss or a parameter stops being finite, a DivergenceError names the step and the
    largest gradient; `on_divergence="stop"` returns the history up to there. The
    progress bar is drawn on stderr, and only on a terminal.

    Raises UserInputError and its kinds for arguments that cannot be used, before any
    training; DivergenceError; and whatever preparing the program raises.
    """
    epochs = positive_integer("epochs", epochs)
    if on_divergence not in ("raise", "stop"):
        raise UserInputError(
            f"on_divergence must be 'raise' or 'stop' and is {on_divergence!r}."
        )
    check_parts(net, loss, optimizer)
    started = perf_counter()
    chosen = get_backend(backend)
    loaded = perf_counter()
    for_init, for_split, for_order = generator_from(rng).spawn(3)
    if params is None:
        params = net.init(for_init)
    dtype = check_params(params)
    params = optree.tree_map(np.asarray, params)
    state = optimizer.init(params)
    pair = check_pair(data, dtype)
    training, held_out = check_validation(validation, pair, dtype, for_split)
    batches = Batches(len(training[0]), batch_size, drop_last, shuffle)

    def objective(params: Any, x: Any, y: Any) -> Any:
        return loss(net.apply(params, x), y)

    for part in (training, held_out):
        if part is not None:
            _try_out(objective, params, part, max(batches.sizes))
    checked = perf_counter()
    programs = _prepare(objective, params, training, batches, chosen)
    prepared = perf_counter()

    run = _Run(objective, optimizer, params, state, programs)
    diverged_at = None
    # Overflow is reported as divergence, with its step; not as a warning before it.
    quiet = np.errstate(all="ignore")
    with quiet, progress_bar(progress, epochs, len(batches)) as advance:
        try:
            run.validate(0, held_out)
            for epoch in range(1, epochs + 1):
                run.train(epoch, training, batches, for_order, advance)
                run.validate(epoch, held_out)
        except DivergenceError:
            if on_divergence == "raise":
                raise
            diverged_at = run.step
    phases = {
        "load": loaded - started,
        "check": checked - loaded,
        "prepare": prepared - checked,
        **run.phases,
    }
    infos = {size: program.info for size, program in programs.items()}
    frame = tidy(run.records)
    return History(run.params, run.state, frame, phases, infos, diverged_at)


@dataclass(slots=True)
class _Run:
    """The one mutable thing here: where training stands."""

    objective: Callable[..., Any]
    optimizer: InitUpdate
    params: Any
    state: Any
    programs: dict[int, Prepared]
    step: int = 0
    began: float = field(default_factory=perf_counter)
    records: list[Record] = field(default_factory=list)
    phases: dict[str, float] = field(
        default_factory=lambda: {"gradient": 0.0, "update": 0.0, "validation": 0.0}
    )

    def train(
        self,
        epoch: int,
        data: Pair,
        batches: Batches,
        rng: np.random.Generator,
        advance: Callable[[float], None],
    ) -> None:
        """One epoch of steps, then its mean loss."""
        x, y = data
        total = rows = 0.0
        for where in batches.epoch(rng):
            batch = x[where], y[where]
            size = len(batch[0])
            value = self.take_step(epoch, batch)
            total, rows = total + size * value, rows + size
            advance(value)
        self.record(epoch, "train", int(rows), total / rows)
        for name, leaf in _named(self.params):
            if not np.isfinite(leaf).all():
                raise DivergenceError(
                    f"Training diverged in epoch {epoch}: {name} is no longer finite "
                    f"after step {self.step}. {_ADVICE}"
                )

    def take_step(self, epoch: int, batch: Pair) -> float:
        """Gradient, update, new parameters; the loss before the step."""
        self.step += 1
        start = perf_counter()
        value, grads = self.programs[len(batch[0])](self.params, *batch)
        value, middle = float(value), perf_counter()
        self.record(epoch, "batch", len(batch[0]), value)
        if not isfinite(value):
            raise self.divergence(epoch, value, grads)
        updates, self.state = self.optimizer.update(grads, self.state, self.params)
        self.params = optree.tree_map(_added, self.params, updates)
        self.phases["gradient"] += middle - start
        self.phases["update"] += perf_counter() - middle
        return value

    def validate(self, epoch: int, data: Pair | None) -> None:
        """The loss of all validation rows, by plain NumPy: it needs no derivative."""
        if data is None:
            return
        start = perf_counter()
        value = float(self.objective(self.params, *data))
        self.phases["validation"] += perf_counter() - start
        self.record(epoch, "validation", len(data[0]), value)

    def record(self, epoch: int, split: str, rows: int, loss: float) -> None:
        seconds = perf_counter() - self.began
        self.records.append((epoch, self.step, split, rows, loss, seconds))

    def divergence(self, epoch: int, value: float, grads: Any) -> DivergenceError:
        sizes = {name: np.max(np.abs(leaf)) for name, leaf in _named(grads)}
        # NaN first: it is what spreads.
        largest = max(sizes, key=lambda name: (np.isnan(sizes[name]), sizes[name]))
        before = [record[4] for record in self.records if record[2] == "batch"][:-1]
        said = f" A step before it was {before[-1]:.6g}." if before else ""
        return DivergenceError(
            f"Training diverged at step {self.step} (epoch {epoch}): the loss is "
            f"{value}.{said} The largest gradient is {sizes[largest]:.3g}, of "
            f"{largest}. {_ADVICE}"
        )


_ADVICE = (
    "Use a smaller rate, check the scale of the inputs, or a loss that takes logits."
)


def _added(p: Any, u: Any) -> Any:
    """In the precision of the parameter, which the program was prepared for."""
    return np.add(p, u, dtype=p.dtype)


def _named(tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    accessors, leaves, _ = optree.tree_flatten_with_accessor(tree)
    for accessor, leaf in zip(accessors, leaves, strict=True):
        yield accessor.codify("params"), np.asarray(leaf)


def _try_out(objective: Callable[..., Any], params: Any, data: Pair, size: int) -> None:
    """One forward pass over all rows in plain NumPy, where values are known.

    Labels out of range and shapes that do not fit are found here, by name, before
    anything is traced.
    """
    x, y = data
    for i in range(0, len(x), size):
        with np.errstate(all="ignore"):
            value = objective(params, x[i : i + size], y[i : i + size])
        if np.shape(value) != ():
            raise ShapeError(
                f"The loss has shape {np.shape(value)}; training needs one number. Use "
                "reduction='mean' or 'sum'."
            )


def _prepare(
    objective: Callable[..., Any],
    params: Any,
    data: Pair,
    batches: Batches,
    backend: Backend,
) -> dict[int, Prepared]:
    """One program for each size of batch that will occur."""
    x, y = data
    return {
        size: prepare(
            objective, params, x[:size], y[:size], backend=backend, nonfinite="allow"
        )
        for size in dict.fromkeys(batches.sizes)
    }
