"""Networks, losses and optimizers by name, for the command line; and back from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from diffkit import losses, nn, optim
from diffkit.errors import UserInputError, unknown_name
from diffkit.optim import schedules
from diffkit.train import metrics
from diffkit.train.data import Dataset

#: Losses of classes: what the network ends with, and the form that targets take.
_CLASSES: Mapping[str, tuple[str, str]] = {
    "cross_entropy": ("identity", "labels"),
    "focal_cross_entropy": ("identity", "labels"),
    "cross_entropy_from_probabilities": ("softmax", "labels"),
    "nll": ("log_softmax", "labels"),
    "kl_divergence": ("log_softmax", "one_hot"),
}
#: Losses of one output that stands for class 1 of two.
_COLUMN: Mapping[str, tuple[str, str]] = {
    "binary_cross_entropy_with_logits": ("identity", "column"),
    "focal": ("identity", "column"),
    "binary_cross_entropy": ("sigmoid", "column"),
}
#: Losses of numbers. On classes they take the probabilities for numbers.
_NUMBERS = ("mse", "mae", "huber")

Rate = Any
OPTIMIZERS: Mapping[str, Callable[[Rate], optim.Optimizer]] = {
    "sgd": optim.sgd,
    "momentum": optim.momentum,
    "averaged_momentum": optim.averaged_momentum,
    "nesterov": optim.nesterov,
    "adagrad": optim.adagrad,
    "rmsprop": optim.rmsprop,
    "adam": optim.adam,
    "adamw": optim.adamw,
}
SCHEDULES = (
    "constant",
    "step",
    "cosine",
    "warmup_cosine",
    "warmup_linear",
    "one_cycle",
    "plateau",
)
#: The part of all steps that a warm-up takes, and the steps of a step schedule.
_WARMUP, _STAIRS = 0.1, 3


@dataclass(frozen=True, slots=True)
class Model:
    """All that is needed to build a trained network again and feed it raw rows.

    It is JSON by `as_json` and back by `from_json`; floats keep every digit.
    """

    sizes: tuple[int, ...]
    activation: str
    loss: str
    output: str
    form: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    target: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    target_mean: float
    target_scale: float
    dtype: str

    @property
    def name(self) -> str:
        """Sizes, activation and loss in one line."""
        sizes = "-".join(map(str, self.sizes))
        hidden = f" {self.activation}" if len(self.sizes) > 2 else ""
        return f"{sizes}{hidden}, {self.loss}"

    def net(self) -> nn.Sequential:
        """The network."""
        return nn.mlp(self.sizes, self.activation, self.output)

    def loss_function(self) -> losses.Loss:
        """The loss, as the trainer wants it."""
        return losses.get(self.loss)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Labels or numbers in the form that the loss takes."""
        if self.form == "column":
            return y.reshape(len(y), -1).astype(self.dtype)
        if self.form == "one_hot":
            return np.eye(self.sizes[-1], dtype=self.dtype)[y]
        return y

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Raw rows as the network was trained on them."""
        return ((x - np.array(self.mean)) / np.array(self.scale)).astype(self.dtype)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """What the outputs say of the classes: (rows,) for one output, else (rows, k).

        An output that a loss of numbers left a little outside is taken for its end.
        """
        if self.output == "identity":
            return metrics.probabilities(outputs)
        p = np.exp(outputs) if self.output == "log_softmax" else outputs
        return p[:, 0] if p.shape[1] == 1 else p

    def metrics(self) -> dict[str, metrics.Metric]:
        """What is measured on outputs after each epoch."""
        if not self.classes:
            return {"r_squared": metrics.r_squared}
        threshold = 0.5 if self.output == "sigmoid" else 0.0
        return {"accuracy": lambda z, y: metrics.accuracy(z, y, threshold)}

    def as_json(self) -> dict[str, Any]:
        """Nested lists, text and numbers."""
        return asdict(self)


def from_json(saved: Any) -> Model:
    """The model again; UserInputError for what `as_json` never wrote."""
    try:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in saved.items()
        }
        return Model(**fields)
    except (AttributeError, TypeError):
        raise UserInputError(
            "The checkpoint does not say what network it belongs to: it was not "
            "written by 'diffkit train'. Load it from Python with train.load."
        ) from None


def build(
    data: Dataset, sizes: Sequence[int] | None, activation: str, loss: str | None
) -> Model:
    """The model for these data; sizes and loss are chosen where they are None.

    Raises UserInputError for sizes or a loss that do not fit the data, UnknownNameError
    for names that do not exist.
    """
    nn.get_activation(activation)
    width, count = len(data.features), len(data.classes)
    loss = loss or _usual_loss(data, sizes)
    losses.get(loss)
    single = loss in _COLUMN or (not count) or (loss in _NUMBERS and count == 2)
    if sizes is None:
        sizes = (width, 16, 1 if single else count)
    sizes = tuple(sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise UserInputError(
            f"--sizes {_said(sizes)}: give two sizes or more, all at least 1, such as "
            f"{width},16,{1 if single else count}."
        )
    if sizes[0] != width:
        raise UserInputError(
            f"--sizes {_said(sizes)} begins with {sizes[0]} and {data.name} has "
            f"{width} feature columns. Begin with {width}."
        )
    output, form = _ending(data, loss, sizes)
    return Model(
        sizes=sizes,
        activation=activation,
        loss=loss,
        output=output,
        form=form,
        features=data.features,
        classes=data.classes,
        target=data.target,
        mean=tuple(data.mean.tolist()),
        scale=tuple(data.scale.tolist()),
        target_mean=data.target_mean,
        target_scale=data.target_scale,
        dtype=str(data.train[0].dtype),
    )


def _usual_loss(data: Dataset, sizes: Sequence[int] | None) -> str:
    if not data.classes:
        return "mse"
    one = sizes[-1] == 1 if sizes else len(data.classes) == 2
    return "binary_cross_entropy_with_logits" if one else "cross_entropy"


def _ending(data: Dataset, loss: str, sizes: tuple[int, ...]) -> tuple[str, str]:
    """What the network ends with and the form of the targets, or an error."""
    count, last = len(data.classes), sizes[-1]
    if not count:
        if loss not in _NUMBERS:
            raise UserInputError(
                f"The loss {loss!r} is for classes, and {data.target!r} of {data.name} "
                f"holds numbers. Use one of {', '.join(_NUMBERS)}."
            )
        _check_outputs(sizes, 1, "one number is predicted")
        return "identity", "column"
    if loss in _COLUMN or (loss in _NUMBERS and last == 1):
        if count != 2:
            raise UserInputError(
                f"One output with the loss {loss!r} tells two classes apart, and "
                f"{data.name} has {count}. Use cross_entropy and {count} outputs."
            )
        _check_outputs(sizes, 1, f"{loss} takes one output")
        return _COLUMN.get(loss, ("sigmoid", "column"))
    _check_outputs(sizes, count, f"{data.name} has {count} classes")
    return _CLASSES.get(loss, ("softmax", "one_hot"))


def _check_outputs(sizes: tuple[int, ...], wanted: int, why: str) -> None:
    if sizes[-1] != wanted:
        raise UserInputError(
            f"--sizes {_said(sizes)} ends with {sizes[-1]}, and {why}. End with "
            f"{wanted}, or choose another --loss."
        )


def optimizer_for(
    name: str, rate: float, schedule: str, steps: int, clip: float | None
) -> tuple[optim.Optimizer, Callable[[int], float] | None]:
    """The optimizer over `steps` steps, and its rate by step where that is fixed.

    Warm-up takes a tenth of the steps, and "step" divides the rate by 10 after each
    third of them. Raises UnknownNameError for names that do not exist.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    if schedule not in SCHEDULES:
        raise unknown_name("schedule", schedule, SCHEDULES)
    plan = _plan(schedule, rate, max(steps, 2))
    made = OPTIMIZERS[name](rate if plan is None else plan)
    if schedule == "plateau":
        made = optim.chain(made, optim.reduce_on_plateau())
    if clip is not None:
        made = optim.chain(optim.clip_by_global_norm(clip), made)
    return made, plan


def _plan(name: str, rate: float, steps: int) -> Any:
    warmup = max(1, round(_WARMUP * steps))
    plans: dict[str, Callable[[], Any]] = {
        "step": lambda: schedules.Step(rate, every=max(1, -(-steps // _STAIRS))),
        "cosine": lambda: schedules.Cosine(rate, steps),
        "warmup_cosine": lambda: schedules.WarmupCosine(rate, warmup, steps),
        "warmup_linear": lambda: schedules.WarmupLinear(rate, warmup, steps),
        "one_cycle": lambda: schedules.OneCycle(rate, steps),
    }
    return plans[name]() if name in plans else None


def _said(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes))
