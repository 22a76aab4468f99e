"""How far to step: rules with their formulas and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

from diffkit.backends.finite_differences.stencils import CENTRAL
from diffkit.errors import UserInputError, unknown_name


def _positive(what: str, size: object) -> None:
    number = isinstance(size, int | float) and not isinstance(size, bool)
    if not number or not 0.0 < float(size) < np.inf:  # type: ignore[arg-type]
        raise UserInputError(
            f"{what} of finite differences was {size!r}. It is a positive, finite "
            "number, or a rule by its name: 'auto', "
            + ", ".join(repr(name) for name in RULES)
            + "."
        )


@dataclass(frozen=True, slots=True)
class Fixed:
    """h = size for every entry, whatever its value."""

    size: float

    def __post_init__(self) -> None:
        _positive("The step", self.size)

    def steps(self, x: np.ndarray, order: int) -> np.ndarray:
        """One step for each entry, in x's precision."""
        return np.full(x.shape, self.size, x.dtype)


@dataclass(frozen=True, slots=True)
class Relative:
    """h = size·|x|; by default size = ε^(1/(1+p)), ε the unit roundoff, p the order.

    Right for a quantity without a natural unit. An entry that is exactly zero has no
    such step, and is refused (Dennis and Schnabel, 1983, section 5.4).
    """

    size: float | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            _positive("The relative step", self.size)

    def steps(self, x: np.ndarray, order: int) -> np.ndarray:
        """One step for each entry, in x's precision."""
        size = self.size or _optimal(x.dtype, order)
        return (size * np.abs(x)).astype(x.dtype)


@dataclass(frozen=True, slots=True)
class Scaled:
    """h = ε^(1/(1+p))·max(|x|, typical): truncation hᵖ against rounding ε/h.

    Best for a function whose value and derivatives of order 1 and p+1 are of one size
    in units of `typical` (Dennis and Schnabel, 1983, section 5.4; Nocedal and Wright,
    2006, section 8.1).
    """

    typical: float = 1.0

    def __post_init__(self) -> None:
        _positive("The typical size", self.typical)

    def steps(self, x: np.ndarray, order: int) -> np.ndarray:
        """One step for each entry, in x's precision."""
        scale = _optimal(x.dtype, order)
        return (scale * np.maximum(np.abs(x), self.typical)).astype(x.dtype)


@dataclass(frozen=True, slots=True)
class Automatic:
    """h = κ·ε^(1/(1+p))·max(|x|, 1)/b: the scaled step, for how sharply programs bend.

    This is `step="auto"`, and evaluates nothing. b is what the program itself says of
    its scale in an input (`graph.bends`: the degree, for a power), 1 for a linear
    program and 8 at most, as nothing was measured. κ is 1 for the orders 1 and 2; from
    order 4 on derivatives grow as factorials, k!, where the scale is the distance to a
    singularity (Cauchy's estimate), and κ = (2/(p·c·(p+1)!))^(1/(1+p)) with the
    truncation error c·hᵖ·f⁽ᵖ⁺¹⁾: 0.66, 0.51 and 0.42 for the orders 4, 6 and 8.
    """

    bend: float = 1.0

    def steps(self, x: np.ndarray, order: int) -> np.ndarray:
        """One step for each entry, in x's precision."""
        size = _optimal(x.dtype, order)
        if order in CENTRAL and order > 2:
            leading = order * CENTRAL[order].truncation * factorial(order + 1)
            size *= (2.0 / leading) ** (1.0 / (1 + order))
        scale = np.maximum(np.abs(x), 1.0) / self.bend
        return (size * scale).astype(x.dtype)


@dataclass(frozen=True, slots=True)
class Balanced:
    """The step at which truncation and noise are balanced, both estimated.

    With the error c·hᵖ·|f⁽ᵖ⁺¹⁾| + s·ν/h, s the formula's noise factor,
    h = (s·ν / (p·c·|f⁽ᵖ⁺¹⁾|))^(1/(1+p)): for forward differences √2·√(√2·ν/|f″|), for
    central ones ∛(3ν/(√2·|f‴|)) (Gill, Murray, Saunders and Wright, 1983; Moré and
    Wild, 2012). ν is the noise of an evaluation (`noise.py`), 8 evaluations once a
    gradient; the derivative is differenced at ε^(1/(p+3))·max(|x|, typical), p+2
    evaluations an entry (2 for order 1), and that is also the largest step taken.
    """

    typical: float = 1.0

    def __post_init__(self) -> None:
        _positive("The typical size", self.typical)

    def steps(self, x: np.ndarray, order: int) -> np.ndarray:
        """The step before anything is estimated: the scaled one."""
        return Scaled(self.typical).steps(x, order)


@dataclass(frozen=True, slots=True)
class Adaptive:
    """The one of six steps, 4ᵏ times the scaled one (k = −3…2), that errs least.

    The error of step k is judged from the next larger one,
    |D(4h) − D(h)|/(4^min(p, 2) − 1) + s·ν/h, and the smallest wins (Stepleman and
    Winarsky, 1979).
    """

    typical: float = 1.0

    def __post_init__(self) -> None:
        _positive("The typical size", self.typical)

    def steps(self, x: np.ndarray, order: int) -> np.ndarray:
        """The middle of the six steps: the scaled one."""
        return Scaled(self.typical).steps(x, order)


StepRule = Automatic | Fixed | Relative | Scaled | Balanced | Adaptive
RULES: dict[str, type[Relative | Scaled | Balanced | Adaptive]] = {
    "relative": Relative,
    "scaled": Scaled,
    "balanced": Balanced,
    "adaptive": Adaptive,
}


def step_rule(step: object) -> StepRule:
    """The rule that a step option stands for.

    Raises UserInputError for a number that is no step, UnknownNameError for a name
    that is no rule.
    """
    if isinstance(step, StepRule):
        return step
    if step == "auto":
        return Automatic()
    if isinstance(step, str):
        if step not in RULES:
            raise unknown_name(
                "step rule of finite differences (a positive number is one too)",
                step,
                ["auto", *RULES],
            )
        return RULES[step]()
    _positive("The step", step)
    return Fixed(float(step))  # type: ignore[arg-type]


def _optimal(dtype: np.dtype, order: int) -> float:
    return np.finfo(dtype).eps ** (1.0 / (1.0 + order))
