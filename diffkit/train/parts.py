"""What the trainer asks of a network and of an optimizer: interfaces, no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from diffkit.errors import UserInputError


class Network(Protocol):
    """Anything that draws parameters and applies itself to inputs.

    One with state or masks says so by `stateful` and `stochastic`, and has
    `init_state`, `masks` and `apply_training` too, as every layer of `nn` has.
    """

    def init(self, rng: np.random.Generator) -> Any:
        """Fresh parameters."""
        ...

    def apply(self, params: Any, x: Any) -> Any:
        """The predictions for a batch of inputs."""
        ...


class InitUpdate(Protocol):
    """Anything with the two functions of an optimizer."""

    @property
    def init(self) -> Callable[[Any], Any]:
        """The first state for these parameters."""
        ...

    @property
    def update(self) -> Callable[..., tuple[Any, Any]]:
        """(grads, state, params) -> (updates, state)."""
        ...


def check_parts(net: Any, loss: Any, optimizer: Any) -> None:
    """Raise UserInputError for a part that is not what its interface asks."""
    if not (hasattr(net, "init") and hasattr(net, "apply")):
        raise UserInputError(
            f"net is {net!r}, which has no init and apply. Give a network such as "
            "nn.Sequential(nn.Linear(4, 3))."
        )
    if not callable(loss):
        raise UserInputError(
            f"loss is {loss!r}; it must be a function (prediction, target) -> scalar, "
            "such as losses.mse, or losses.get(name) for one by name."
        )
    check_optimizer(optimizer)


def check_optimizer(optimizer: Any) -> None:
    """Raise UserInputError for what has not the two functions of an optimizer."""
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise UserInputError(
            f"optimizer is {optimizer!r}, which has no init and update. Give a value "
            "such as optim.adam(1e-3)."
        )


def check_metrics(metrics: Any) -> dict[str, Callable[[Any, Any], Any]]:
    """The metrics by name; raise UserInputError for what cannot be one."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise UserInputError(
            f"metrics is {metrics!r}; give functions by name, such as "
            '{"accuracy": train.metrics.accuracy}.'
        )
    for name, metric in metrics.items():
        if not isinstance(name, str) or not callable(metric):
            raise UserInputError(
                f"metrics[{name!r}] is {metric!r}; it must be a function (outputs, "
                "labels) -> number under a text name."
            )
        if name in _COLUMNS:
            raise UserInputError(
                f"A metric cannot be named {name!r}, which is a column of the history "
                "already. Choose another name."
            )
    return dict(metrics)


def metric_value(
    name: str, metric: Callable[[Any, Any], Any], outputs: Any, y: Any
) -> float:
    """One metric as a number; UserInputError for one that gives something else."""
    value = metric(outputs, y)
    if np.shape(value) != ():
        raise UserInputError(
            f"The metric {name!r} gave an array of shape {np.shape(value)}; a column "
            "of the history needs one number. Reduce it, with np.mean for example."
        )
    return float(value)


def check_hooks(early_stopping: Any, callbacks: Any, augment: Any) -> tuple[Any, ...]:
    """The callbacks as a tuple; UserInputError for a part that cannot be used."""
    if early_stopping is not None and not hasattr(early_stopping, "patience"):
        raise UserInputError(
            f"early_stopping is {early_stopping!r}; give a value such as "
            "train.EarlyStopping(patience=10)."
        )
    if augment is not None and not callable(augment):
        raise UserInputError(
            f"augment is {augment!r}; it must be a function (x, rng) -> x, such as "
            "train.data.with_noise."
        )
    several: Any = callbacks
    if callable(callbacks) or not hasattr(callbacks, "__iter__"):
        several = (callbacks,)
    called: tuple[Any, ...] = tuple(several)
    for callback in called:
        if not callable(callback):
            raise UserInputError(
                f"callbacks has {callback!r}; each must be a function that is given a "
                "train.EpochReport after each epoch."
            )
    return called


_COLUMNS = ("epoch", "step", "split", "rows", "loss", "seconds")
