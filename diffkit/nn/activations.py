"""Activations: layers without parameters, one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from diffkit.errors import unknown_name
from diffkit.functions import relu, sigmoid, softmax, softplus
from diffkit.nn.initializers import Rule
from diffkit.nn.layer import check_generator, check_none


@dataclass(frozen=True, slots=True)
class Activation:
    """A function between layers; the initialiser `rule` suits the weights before it.

    `options` are what the function was made with, so that two activations are equal
    when they compute the same.
    """

    name: str
    function: Callable[[Any], Any] = field(repr=False, compare=False)
    rule: Rule = "xavier"
    options: tuple[tuple[str, Any], ...] = ()

    stateful: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __str__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{self.name}({words})"

    @property
    def parameter_count(self) -> int:
        """None: 0."""
        return 0

    def initializer_before(self, following: Rule) -> Rule:
        """The rule that keeps variances level through this function."""
        return self.rule

    def features(self, given: int | None) -> int | None:
        """As many as it is given."""
        return given

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
    ) -> tuple[()]:
        """No parameters, and nothing drawn."""
        check_generator(rng)
        return ()

    def init_state(self, dtype: Any = np.float64) -> tuple[()]:
        """None."""
        return ()

    def masks(
        self,
        rng: np.random.Generator,
        batch: int | Sequence[int],
        dtype: Any = np.float64,
        *,
        features: int | None = None,
    ) -> tuple[()]:
        """None, and nothing drawn."""
        return ()

    def apply(self, params: Any, x: Any, state: Any = ()) -> Any:
        """The function of `x`."""
        check_none(self, parameters=params, state=state)
        return self.function(x)

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, tuple[()]]:
        """The same as in evaluation."""
        check_none(self, masks=masks)
        return self.apply(params, x, state), ()


def Tanh() -> Activation:
    """Hyperbolic tangent, with derivative 1 − tanh² x ≤ 1; Xavier weights before it.

    >>> Tanh().apply((), np.array([0.0])).tolist()
    [0.0]
    """
    return Activation("Tanh", np.tanh)


def ReLU() -> Activation:
    """max(x, 0), with derivative 0 or 1 and relu′(0) = 0; He weights before it.

    >>> ReLU().apply((), np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return Activation("ReLU", relu, "he")


def Sigmoid() -> Activation:
    """1/(1 + e⁻ˣ), with derivative σ(1 − σ) ≤ 1/4; Xavier weights before it."""
    return Activation("Sigmoid", sigmoid)


def Softplus() -> Activation:
    """log(1 + eˣ), a smooth relu whose derivative is σ(x); He weights before it."""
    return Activation("Softplus", softplus, "he")


def Softmax(axis: int = -1) -> Activation:
    """e^(xᵢ)/Σ e^(xⱼ) along `axis`; Xavier weights before it.

    For training, leave it out and give the logits to `losses.cross_entropy`, which is
    stable where the logarithm of a softmax is not.
    """
    return Activation("Softmax", partial(softmax, axis=axis), options=(("axis", axis),))


def Identity() -> Activation:
    """The input itself: a linear output layer; Xavier weights before it."""
    return Activation("Identity", _same)


def _same(x: Any) -> Any:
    return x


ACTIVATIONS: dict[str, Callable[[], Activation]] = {
    "tanh": Tanh,
    "relu": ReLU,
    "sigmoid": Sigmoid,
    "softplus": Softplus,
    "softmax": Softmax,
    "identity": Identity,
}


def get_activation(name: str) -> Activation:
    """An activation layer by its lower-case name.

    Raises UnknownNameError with the nearest name.

    >>> str(get_activation("relu"))
    'ReLU()'
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
