"""Dropout, its mask an input of the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.nn.initializers import Rule
from diffkit.nn.layer import (
    check_features,
    check_float,
    check_generator,
    check_none,
    check_size,
    leading_axes,
)


@dataclass(frozen=True, slots=True)
class Dropout:
    """x·mask in training, x in evaluation; each entry of the mask is 0 or 1/(1 − rate).

    An entry is 0 with probability `rate`, so that the expectation of x·mask is x and
    evaluation needs no scaling ("inverted" dropout, as in PyTorch). The mask is drawn
    outside the program by `masks`: every backend, and the reference, then drop the same
    units, and a derivative is that of one fixed function.

    `n`, the number of features, is needed only where no layer before it tells. Source:
    Srivastava and others, "Dropout", Journal of Machine Learning Research 15, 2014.

    Raises UserInputError for a rate outside [0, 1).

    >>> layer = Dropout(0.5, 4)
    >>> mask = layer.masks(np.random.default_rng(0), 1)
    >>> layer.apply_training((), np.ones((1, 4)), (), mask)
    (array([[2., 0., 0., 0.]]), ())
    """

    rate: float
    n: int | None = None

    def __post_init__(self) -> None:
        rate: Any = self.rate
        number = isinstance(rate, int | float | np.number) and type(rate) is not bool
        if not (number and 0 <= rate < 1):
            raise UserInputError(
                f"Dropout({rate!r}): the rate is the probability that a unit is "
                "dropped, from 0 to below 1 (at 1 nothing would be left)."
            )
        if self.n is not None:
            check_size(f"Dropout({rate!r}, {self.n!r})", "n", self.n)

    def __str__(self) -> str:
        return f"Dropout({self.rate:g}{'' if self.n is None else f', {self.n}'})"

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
        """Training needs a mask."""
        return True

    def initializer_before(self, following: Rule) -> Rule:
        """The rule of the activation after it: expectations are kept."""
        return following

    def features(self, given: int | None) -> int | None:
        """As many as it is given."""
        if self.n is not None:
            check_features(self, given, self.n)
        return given if self.n is None else self.n

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
    ) -> np.ndarray:
        """An array shaped like the input, each entry 0 or 1/(1 − rate).

        Drawn as float64 uniforms and compared, so that a seed drops the same units in
        both precisions. Raises ShapeError when the number of features is not known,
        UserInputError for a batch that is no positive number of rows.
        """
        check_generator(rng, "masks")
        dtype = check_float(dtype)
        n = self.n if features is None else features
        if n is None:
            raise ShapeError(
                f"{self}, does not know how many features it is given. Write "
                f"Dropout({self.rate:g}, n), or say net.masks(rng, batch, features=n)."
            )
        self.features(n)
        kept = rng.random((*leading_axes(batch), n)) >= self.rate
        return (kept / (1.0 - self.rate)).astype(dtype)

    def apply(self, params: Any, x: Any, state: Any = ()) -> Any:
        """The input itself."""
        check_none(self, parameters=params, state=state)
        return x

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, tuple[()]]:
        """The product with the mask.

        Raises ShapeError for a mask not shaped like `x`, UserInputError for none.
        """
        if isinstance(masks, tuple | list) and len(masks) == 0:
            raise UserInputError(
                f"{self} was given no mask. Draw one before each step with "
                "masks(rng, rows), or use apply to evaluate without dropout."
            )
        if np.shape(masks) != np.shape(x):
            raise ShapeError(
                f"{self}, was given a mask of shape {np.shape(masks)} for an input of "
                f"shape {np.shape(x)}. Draw masks for as many rows as the batch has: "
                f"net.masks(rng, {np.shape(x)[0] if np.shape(x) else 1})."
            )
        return self.apply(params, x, state) * masks, ()
