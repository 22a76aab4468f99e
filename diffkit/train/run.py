"""A training under way: steps, epochs, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from time import perf_counter
from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.train.callbacks import EpochReport
from diffkit.train.checkpoint import BEST, LAST, save
from diffkit.train.divergence import check_finite, lost_loss
from diffkit.train.history import History, Record, tidy
from diffkit.train.inputs import Pair
from diffkit.train.layout import copied, weighted_mean
from diffkit.train.parts import metric_value
from diffkit.train.plan import Augment, Plan
from diffkit.train.standing import Standing, drawn_states, to_checkpoint
from diffkit.train.stopping import Best, EarlyStopping


@dataclass(slots=True)
class Run:
    """The one mutable thing here: where training stands.

    `at` is replaced whole, once a step is: an interruption anywhere leaves a standing
    that training can go on from.
    """

    plan: Plan
    generators: Mapping[str, np.random.Generator]
    at: Standing
    records: list[Record] = field(default_factory=list)
    began: float = field(default_factory=perf_counter)
    phases: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("gradient", "update", "validation", "checkpoint"), 0.0
        )
    )
    unmeasured: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.unmeasured = (nan,) * len(self.plan.metrics)

    def go(self, advance: Callable[[int, float], None]) -> str:
        """Train to the end; why it ended.

        Raises DivergenceError, CheckpointError, and KeyboardInterrupt; what stood
        before stays in `at`.
        """
        plan = self.plan
        if self.at.step == 0 and not self.records:
            measured = {"validation": self.evaluate(0, plan.held_out)}
            best, _ = self._compare(0, measured)
            self.at = self.at._replace(best=best, records=len(self.records))
        while self.at.epoch <= plan.epochs:
            if plan.stopping is not None and self.at.waited >= plan.stopping.patience:
                return "early stopping"
            self.train(advance)
            if self.end_epoch():
                return "callback"
        return "epochs"

    def train(self, advance: Callable[[int, float], None]) -> None:
        """The batches of one epoch that are still to do."""
        plan, first = self.plan, self.at.batch
        for name, state in self.at.drawn.items():
            self.generators[name].bit_generator.state = state
        parts: list[tuple[float, Any]] = []
        net_state, losses, rows = self.at.net_state, 0.0, 0
        last = len(plan.batches) - 1
        batches = plan.batches.rows(plan.training, self.generators["order"], first)
        start = perf_counter()
        for number, (x, y) in enumerate(batches, first):
            value, grads, net_state = self.differentiate(x, y, net_state, start)
            size = len(x)
            parts.append((size, grads))
            losses, rows = losses + size * value, rows + size
            if len(parts) == plan.accumulate or number == last:
                self.update(parts, net_state, number + 1, losses, rows)
                parts, losses, rows = [], 0.0, 0
            advance(self.at.epoch, value)
            start = perf_counter()

    def differentiate(
        self, x: np.ndarray, y: np.ndarray, net_state: Any, start: float
    ) -> tuple[float, Any, Any]:
        """Loss and packed gradient of one batch, at the parameters as they stand."""
        plan, at = self.plan, self.at
        if plan.augment is not None:
            x = _augmented(plan.augment, x, self.generators["augment"])
        masks = plan.objective.masks(self.generators["masks"], x)
        # Several gradients until a step: each needs a place of its own.
        room = plan.updates.gradient if plan.accumulate == 1 else None
        value, grads, net_state = plan.gradients(
            at.packed, x, y, net_state, masks, room
        )
        now = perf_counter()
        self.phases["gradient"] += now - start
        row = (at.epoch, at.step + 1, "batch", len(x), value, now - self.began)
        self.records.append(row + self.unmeasured)
        if not isfinite(value):
            batches = [record[4] for record in self.records if record[2] == "batch"]
            before = batches[-2] if len(batches) > 1 else None
            where = f"step {at.step + 1} (epoch {at.epoch})"
            raise lost_loss(where, value, before, plan.layout.unpack(grads))
        return value, grads, net_state

    def update(
        self,
        parts: list[tuple[float, Any]],
        net_state: Any,
        batch: int,
        losses: float,
        rows: int,
    ) -> None:
        """One step of the optimizer; training then stands after it."""
        plan, at = self.plan, self.at
        start = perf_counter()
        grads = parts[0][1] if len(parts) == 1 else weighted_mean(parts)
        packed, state = plan.updates(at.packed, at.optimizer_state, grads)
        drawn = at.drawn
        if plan.objective.stochastic or plan.augment is not None:
            drawn = {**drawn_states(self.generators), "order": drawn["order"]}
        self.at = Standing(
            packed,
            net_state,
            state,
            drawn,
            at.epoch,
            batch,
            at.step + 1,
            at.loss_sum + losses,
            at.rows + rows,
            len(self.records),
            at.best,
            at.waited,
        )
        self.phases["update"] += perf_counter() - start

    def end_epoch(self) -> bool:
        """Measure, keep the best and a checkpoint; whether a callback says stop."""
        plan, at = self.plan, self.at
        epoch = at.epoch
        mean = at.loss_sum / at.rows
        measured = {"train": {"loss": mean, **self.measure(plan.training)}}
        self.record(epoch, at.step, "train", at.rows, measured["train"])
        check_finite(epoch, at.step, plan.layout.unpack(at.packed))
        if plan.held_out is not None:
            measured["validation"] = self.evaluate(epoch, plan.held_out)
        best, improved = self._compare(epoch, measured)
        waited = 0 if improved else at.waited + 1
        state = at.optimizer_state
        observe = getattr(plan.optimizer, "observe", None)
        if observe is not None:
            state = observe(
                state, measured.get("validation", measured["train"])["loss"]
            )
        stopping = plan.stopping
        stop = stopping is not None and waited >= stopping.patience
        self.at = at._replace(
            optimizer_state=state,
            drawn=drawn_states(self.generators),
            epoch=epoch + 1,
            batch=0,
            loss_sum=0.0,
            rows=0,
            records=len(self.records),
            best=best,
            waited=waited,
        )
        if improved and plan.folder is not None:
            self.save(BEST)
        if stop or epoch == plan.epochs or epoch % plan.every == 0:
            self.save(LAST)
        if not (plan.callbacks and self._call_back(epoch, measured, improved)):
            return False
        self.save(LAST)
        return True

    def measure(self, data: Pair | None) -> dict[str, float]:
        """Each metric on all rows."""
        if data is None or not self.plan.metrics:
            return {}
        start = perf_counter()
        x, y = data
        outputs = self.outputs(x)
        found = {
            name: metric_value(name, metric, outputs, y)
            for name, metric in self.plan.metrics.items()
        }
        self.phases["validation"] += perf_counter() - start
        return found

    def outputs(self, x: np.ndarray) -> Any:
        """By plain NumPy: it needs no derivative."""
        params = self.plan.layout.unpack(self.at.packed)
        return self.plan.objective.outputs(params, x, self.at.net_state)

    def evaluate(self, epoch: int, data: Pair | None) -> dict[str, float]:
        """Loss and metrics of all validation rows."""
        if data is None:
            return {}
        start = perf_counter()
        x, y = data
        outputs = self.outputs(x)
        found = {"loss": float(self.plan.objective.loss(outputs, y))}
        for name, metric in self.plan.metrics.items():
            found[name] = metric_value(name, metric, outputs, y)
        self.phases["validation"] += perf_counter() - start
        self.record(epoch, self.at.step, "validation", len(x), found)
        return found

    def record(
        self, epoch: int, step: int, split: str, rows: int, found: Mapping[str, float]
    ) -> None:
        """One row of the history."""
        seconds = perf_counter() - self.began
        metrics = [found.get(name, nan) for name in self.plan.metrics]
        row = (epoch, step, split, rows, found["loss"], seconds, *metrics)
        self.records.append(row)

    def save(self, name: str) -> str | None:
        """A checkpoint of where training stands, if they are asked for."""
        plan, start = self.plan, perf_counter()
        if plan.folder is None:
            return None
        metrics = list(plan.metrics)
        path = save(
            plan.folder / name,
            to_checkpoint(
                *(self.at, plan.layout, self.records, metrics),
                *(plan.settings, plan.metadata),
            ),
        )
        self.phases["checkpoint"] += perf_counter() - start
        return str(path)

    def history(
        self, phases: Mapping[str, float], ended: str, diverged_at: int | None = None
    ) -> History:
        """What training leaves behind as it stands."""
        plan, at = self.plan, self.at
        params, net_state = plan.layout.unpack(at.packed), at.net_state
        if plan.stopping is not None and at.best is not None:
            params, net_state = at.best.params, at.best.net_state
        # A divergence's own rows are part of its history; half an epoch's end is not.
        records = self.records if diverged_at else self.records[: at.records]
        return History(
            copied(params),
            copied(plan.layout.unpack_state(at.optimizer_state)),
            tidy(records, list(plan.metrics)),
            {**phases, **self.phases},
            plan.gradients.infos,
            diverged_at,
            copied(net_state),
            at.best,
            ended,
        )

    def _compare(
        self, epoch: int, measured: Mapping[str, Mapping[str, float]]
    ) -> tuple[Best | None, bool]:
        """The best so far, and whether these parameters are it."""
        best, found = self.at.best, measured.get("validation")
        if not found:
            return best, False
        watch = self.plan.stopping or EarlyStopping()
        value = found[watch.monitor]
        if not watch.better(value, best.value if best else None):
            return best, False
        # A copy: the arrays that training stands in are written to again.
        params = copied(self.plan.layout.unpack(self.at.packed))
        return Best(epoch, value, params, self.at.net_state), True

    def _call_back(self, epoch: int, measured: Any, improved: bool) -> bool:
        plan, at = self.plan, self.at
        report = EpochReport(
            epoch,
            plan.epochs,
            at.step,
            perf_counter() - self.began,
            measured,
            improved,
            copied(plan.layout.unpack(at.packed)),
            copied(at.net_state),
        )
        # Each is called, whatever another one says.
        wishes = [callback(report) for callback in plan.callbacks]
        return any(wish is True for wish in wishes)


def _augmented(augment: Augment, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows to train on, shaped and in the precision of what they replace."""
    rows = np.asarray(augment(x, rng), dtype=x.dtype)
    if rows.shape != x.shape:
        raise ShapeError(
            f"augment gave rows of shape {rows.shape} for {x.shape}. It must keep the "
            "number of rows and their shape."
        )
    return rows
