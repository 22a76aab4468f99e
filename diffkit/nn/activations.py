"""Activations: layers without parameters, one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from diffkit.errors import UserInputError, unknown_name
from diffkit.functions import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from diffkit.nn.initializers import He, Rule
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

    def __str__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{self.name}({words})"

    @property
    def parameter_count(self) -> int:
        """None: 0."""
        return 0

    @property
    def stateful(self) -> bool:
        """It has no state."""
        return False

    @property
    def stochastic(self) -> bool:
        """Nothing in it is random."""
        return False

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


def LeakyReLU(slope: float = 0.01) -> Activation:
    """Leaky relu: x above 0, slope·x below; He weights for that slope before it.

    The derivative at 0 is `slope`, as in PyTorch.

    >>> LeakyReLU(0.1).apply((), np.array([-1.0, 2.0])).tolist()
    [-0.1, 2.0]
    """
    slope = _finite("LeakyReLU", "slope", slope)
    function = partial(leaky_relu, slope=slope)
    return Activation("LeakyReLU", function, He(slope), (("slope", slope),))


def ELU(alpha: float = 1.0) -> Activation:
    """Exponential: x above 0, α(eˣ − 1) below, smooth for α = 1; He weights before it.

    >>> ELU().apply((), np.array([-1000.0, 2.0])).tolist()
    [-1.0, 2.0]
    """
    alpha = _finite("ELU", "alpha", alpha)
    return Activation("ELU", partial(elu, alpha=alpha), "he", (("alpha", alpha),))


def SiLU() -> Activation:
    """x·σ(x), also called swish; He weights before it.

    >>> SiLU().apply((), np.array([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """
    return Activation("SiLU", silu, "he")


def GELU(approximate: str = "none") -> Activation:
    """x·Φ(x) with the normal distribution Φ, by erf or "tanh"; He weights before it.

    Raises UnknownNameError for another form than "none" (exact) and "tanh".

    >>> GELU().apply((), np.array([1.0])).round(4).tolist()
    [0.8413]
    """
    if approximate not in ("none", "tanh"):
        raise unknown_name("form of GELU", approximate, ("none", "tanh"))
    function = partial(gelu, approximate=approximate)
    options = () if approximate == "none" else (("approximate", approximate),)
    return Activation("GELU", function, "he", options)


def Softplus() -> Activation:
    """log(1 + eˣ), a smooth relu whose derivative is σ(x); He weights before it.

    PyTorch's Softplus returns x itself above its threshold of 20, where it is off by
    up to 2e-9; this one has no threshold.
    """
    return Activation("Softplus", softplus, "he")


def Softmax(axis: int = -1) -> Activation:
    """e^(xᵢ)/Σ e^(xⱼ) along `axis`; Xavier weights before it.

    For training, leave it out and give the logits to `losses.cross_entropy`, which is
    stable where the logarithm of a softmax is not.
    """
    function = partial(softmax, axis=axis)
    return Activation("Softmax", function, options=(("axis", axis),))


def LogSoftmax(axis: int = -1) -> Activation:
    """xᵢ − log Σ e^(xⱼ) along `axis`, stable for any x; Xavier weights before it.

    Its outputs are what `losses.nll` takes.

    >>> LogSoftmax().apply((), np.array([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    function = partial(log_softmax, axis=axis)
    return Activation("LogSoftmax", function, options=(("axis", axis),))


def Identity() -> Activation:
    """The input itself: a linear output layer; Xavier weights before it."""
    return Activation("Identity", _same)


def _same(x: Any) -> Any:
    return x


def _finite(activation: str, name: str, value: Any) -> float:
    if isinstance(value, int | float | np.number) and np.isfinite(value):
        return float(value)
    raise UserInputError(
        f"{activation}({name}={value!r}): {name} must be a finite number."
    )


ACTIVATIONS: dict[str, Callable[[], Activation]] = {
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "silu": SiLU,
    "gelu": GELU,
    "gelu_tanh": partial(GELU, "tanh"),
    "sigmoid": Sigmoid,
    "softplus": Softplus,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
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
