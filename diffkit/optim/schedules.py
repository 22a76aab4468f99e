"""Schedules: the rate as a function of the steps already taken.

Frozen values, called with a step from 0: `schedule(k)` is the rate of update k + 1, and
of PyTorch's scheduler after k calls of its `step()`. Give one to an optimizer where it
takes a rate. What a schedule has reached at its last step it keeps: training longer
never raises the rate again (PyTorch's cosine rises, and its one-cycle raises an error).

Lowering the rate when the validation loss stalls depends on more than the step: see
`reduce_on_plateau`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, pi
from typing import Any, cast

import numpy as np

from diffkit.errors import UserInputError
from diffkit.optim.optimizer import fraction, not_negative, positive

Schedule = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Constant:
    """The same rate at every step.

    >>> Constant(0.1)(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        positive("Constant", "rate", self.rate)

    def __call__(self, step: int) -> float:
        return self.rate

    def __str__(self) -> str:
        return f"{self.rate:g}"


@dataclass(frozen=True, slots=True)
class Step:
    """α·factor^⌊k/every⌋: falls by a factor after each `every` steps.

    PyTorch's StepLR(step_size=every, gamma=factor).

    >>> schedule = Step(1.0, every=10, factor=0.5)
    >>> [schedule(k) for k in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        positive("Step", "rate", self.rate)
        positive("Step", "factor", self.factor)
        _steps("Step", "every", self.every)

    def __call__(self, step: int) -> float:
        return self.rate * self.factor ** (step // self.every)


@dataclass(frozen=True, slots=True)
class Cosine:
    """From α down to `final` along half a cosine, in `steps` steps.

    final + (α − final)·(1 + cos(π·k/steps))/2. Source: Loshchilov and Hutter, "SGDR:
    stochastic gradient descent with warm restarts", ICLR 2017, without restarts.
    PyTorch's CosineAnnealingLR(T_max=steps, eta_min=final) up to step `steps`.

    >>> schedule = Cosine(1.0, steps=10)
    >>> [round(schedule(k), 6) for k in (0, 5, 10, 99)]
    [1.0, 0.5, 0.0, 0.0]
    """

    rate: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        positive("Cosine", "rate", self.rate)
        _steps("Cosine", "steps", self.steps)
        not_negative("Cosine", "final", self.final)

    def __call__(self, step: int) -> float:
        return _cosine(self.rate, self.final, step / self.steps)


@dataclass(frozen=True, slots=True)
class WarmupCosine:
    """Up in a line for `warmup` steps, then down along half a cosine to step `steps`.

    The line goes from `start`·α at step 0 to α at step `warmup`. With `start=0`, the
    custom, the very first step has rate 0. PyTorch's SequentialLR of
    LinearLR(start_factor=start, total_iters=warmup) and CosineAnnealingLR(T_max=steps −
    warmup). Source of warming up: Goyal et al., "Accurate, large minibatch SGD", 2017.

    >>> schedule = WarmupCosine(1.0, warmup=4, steps=14)
    >>> [round(schedule(k), 6) for k in (0, 1, 4, 9, 14)]
    [0.0, 0.25, 1.0, 0.5, 0.0]
    """

    rate: float
    warmup: int
    steps: int
    start: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return _line(self.start * self.rate, self.rate, step / self.warmup)
        through = (step - self.warmup) / (self.steps - self.warmup)
        return _cosine(self.rate, self.final, through)


@dataclass(frozen=True, slots=True)
class WarmupLinear:
    """Up in a line for `warmup` steps, then down in a line to step `steps`.

    The line up goes from `start`·α at step 0 to α at step `warmup`, the line down from
    there to `final`. PyTorch's SequentialLR of two LinearLR. Source: Devlin et al.,
    "BERT", 2019, appendix A.2, with `start` and `final` 0.

    >>> schedule = WarmupLinear(1.0, warmup=4, steps=14)
    >>> [round(schedule(k), 6) for k in (0, 1, 4, 9, 14)]
    [0.0, 0.25, 1.0, 0.5, 0.0]
    """

    rate: float
    warmup: int
    steps: int
    start: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return _line(self.start * self.rate, self.rate, step / self.warmup)
        through = (step - self.warmup) / (self.steps - self.warmup)
        return _line(self.rate, self.final, through)


@dataclass(frozen=True, slots=True)
class OneCycle:
    """Up to `peak` for a fraction of the steps, then down far below the start.

    Half a cosine from peak/`initial_divisor` up to `peak`, at step rising·steps − 1,
    and another down to peak/(initial_divisor·final_divisor) at step `steps` − 1.
    PyTorch's OneCycleLR(max_lr=peak, total_steps=steps, pct_start=rising,
    div_factor=initial_divisor, final_div_factor=final_divisor) with two phases. It
    moves the momentum too, unless told not to; nothing here does. Source: Smith and
    Topin, "Super-convergence", 2018.

    >>> schedule = OneCycle(1.0, steps=100)
    >>> [f"{schedule(k):.3g}" for k in (0, 29, 99)]
    ['0.04', '1', '4e-06']
    """

    peak: float
    steps: int
    rising: float = 0.3
    initial_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        positive("OneCycle", "peak", self.peak)
        _steps("OneCycle", "steps", self.steps)
        fraction("OneCycle", "rising", self.rising)
        positive("OneCycle", "initial_divisor", self.initial_divisor)
        positive("OneCycle", "final_divisor", self.final_divisor)
        top = self.rising * self.steps - 1
        if not 0 < top < self.steps - 1:
            raise UserInputError(
                f"OneCycle: rising={self.rising} of {self.steps} steps leaves no step "
                "to rise in. Use more steps, or a larger fraction."
            )

    def __call__(self, step: int) -> float:
        low, top = self.peak / self.initial_divisor, self.rising * self.steps - 1
        if step <= top:
            return _cosine(low, self.peak, step / top)
        through = (step - top) / (self.steps - 1 - top)
        return _cosine(self.peak, low / self.final_divisor, through)


def as_schedule(optimizer: str, rate: Any) -> Schedule:
    """A rate as a schedule: a positive number becomes a constant one.

    Raises UserInputError for anything else that cannot be called.
    """
    if callable(rate):
        return cast(Schedule, rate)
    return Constant(positive(optimizer, "rate", rate))


def rate_at(schedule: Schedule, step: int) -> float:
    """The rate of the next update after `step` of them.

    Raises UserInputError when a schedule gives no finite number from 0.
    """
    if isinstance(schedule, Constant):
        return float(schedule.rate)  # Checked when it was made; the common case.
    rate = schedule(step)
    if not 0 <= rate < inf:
        raise UserInputError(
            f"The schedule {schedule} gave the rate {rate!r} at step {step}. A rate is "
            "a finite number, at least 0."
        )
    return float(rate)


def said(rate: float | Schedule) -> str:
    """The rate as an optimizer's name shows it."""
    return str(rate) if callable(rate) else f"{rate:g}"


def _cosine(first: float, last: float, through: float) -> float:
    # The end exactly: it is what the rest of the training goes on with.
    if through >= 1:
        return last
    return last + (first - last) * (1.0 + cos(pi * through)) / 2.0


def _line(first: float, last: float, through: float) -> float:
    return last if through >= 1 else first + (last - first) * through


def _check_warmup(schedule: WarmupCosine | WarmupLinear) -> None:
    name = type(schedule).__name__
    positive(name, "rate", schedule.rate)
    _steps(name, "warmup", schedule.warmup)
    _steps(name, "steps", schedule.steps)
    not_negative(name, "start", schedule.start)
    not_negative(name, "final", schedule.final)
    if schedule.warmup >= schedule.steps:
        raise UserInputError(
            f"{name}: warmup={schedule.warmup} of steps={schedule.steps} leaves no "
            "step to come down in. `steps` counts the warm-up too."
        )


def _steps(schedule: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UserInputError(
            f"{schedule}: {name} must be a positive integer, a number of steps, and is "
            f"{value!r}. An epoch has len(train.Batches(rows, batch_size)) steps."
        )
