"""Networks to measure, described by a few numbers and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit import losses, nn
from diffkit.backends import PEERS, get_backend
from diffkit.errors import UserInputError
from diffkit.measure.gradient import (
    GradientCost,
    Problem,
    measure_gradient,
    warm_up,
)
from diffkit.transform import prepare

#: Losses whose targets are classes, not numbers.
_PROBABILITIES = ("binary_cross_entropy", "binary_cross_entropy_with_logits", "focal")
_CLASSES = (
    "cross_entropy",
    "cross_entropy_from_probabilities",
    "focal_cross_entropy",
    "nll",
    "kl_divergence",
)
#: The last layer of losses that take no logits.
_OUTPUTS = {
    "binary_cross_entropy": "sigmoid",
    "cross_entropy_from_probabilities": "softmax",
    "nll": "log_softmax",
    "kl_divergence": "log_softmax",
}


@dataclass(frozen=True, slots=True)
class Network:
    """A fully connected network with a loss, on seeded normal data.

    ``sizes`` are the widths from input to output; the activation stands between layers.
    Raises `UserInputError` for sizes and batches that are not positive, and
    `UnknownNameError` for an unknown activation or loss.
    """

    sizes: tuple[int, ...]
    activation: str = "tanh"
    loss: str = "mse"
    batch: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1 or self.batch < 1:
            raise UserInputError(
                "A network needs two sizes or more, and a batch, all at least 1; sizes "
                f"{','.join(map(str, self.sizes))} and batch {self.batch} were given. "
                "For example: --sizes 4,16,3 --batch 32."
            )
        if self.loss in _CLASSES and self.sizes[-1] < 2:
            raise UserInputError(
                f"The loss {self.loss!r} needs two classes or more, and the last size "
                f"is {self.sizes[-1]}. Use binary_cross_entropy_with_logits for one."
            )
        nn.get_activation(self.activation)
        losses.get(self.loss)

    @property
    def name(self) -> str:
        """The network in one line."""
        return (
            f"{'-'.join(map(str, self.sizes))} {self.activation}, {self.loss}, batch "
            f"{self.batch}, seed {self.seed}"
        )

    def problem(self) -> Problem:
        """The loss as a function of (params, x, y), with seeded arguments."""
        rng = np.random.default_rng(self.seed)
        layers: list[Any] = []
        for wide, narrow in zip(self.sizes, self.sizes[1:], strict=False):
            if layers:
                layers.append(nn.get_activation(self.activation))
            layers.append(nn.Linear(wide, narrow))
        if self.loss in _OUTPUTS:
            layers.append(nn.get_activation(_OUTPUTS[self.loss]))
        net = nn.Sequential(*layers)
        loss = losses.get(self.loss)
        params = net.init(rng)
        x = rng.normal(size=(self.batch, self.sizes[0]))

        def function(params: Any, x: Any, y: Any) -> Any:
            return loss(net.apply(params, x), y)

        return Problem(function, (params, x, self._targets(rng)))

    def _targets(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.batch, self.sizes[-1])
        if self.loss in _CLASSES:
            return np.eye(shape[1])[rng.integers(shape[1], size=shape[0])]
        if self.loss in _PROBABILITIES:
            return rng.integers(2, size=shape).astype(float)
        return rng.normal(size=shape)


#: What costs are compared on: from two units to matrices that fill the cache.
COMPARED_NETWORKS: Mapping[str, Network] = {
    "2-8-1": Network((2, 8, 1), batch=4),
    "10-64-32-1": Network((10, 64, 32, 1), batch=32),
    "10-(32×50)-1": Network((10, *[32] * 50, 1), batch=32),
    "64-128-10": Network((64, 128, 10), batch=64),
    "784-512-512-10": Network((784, 512, 512, 10), batch=128),
    "1024×4": Network((1024,) * 5, batch=256),
}


def measure_network(
    network: Network,
    backend: str,
    options: Mapping[str, Any],
    samples: int = 31,
    budget_seconds: float = 1.0,
) -> GradientCost:
    """Measure one backend on one network; made to run in a process of its own."""
    warm_up()
    if backend in PEERS:  # its library is loaded once by a process, too
        x = np.ones((2, 2))
        chosen = get_backend(backend, **options)
        prepare(lambda w, x: np.mean(np.tanh(x @ w)), x, x, backend=chosen)(x, x)
    return measure_gradient(
        network.problem(),
        backend,
        options,
        samples=samples,
        budget_seconds=budget_seconds,
    )
