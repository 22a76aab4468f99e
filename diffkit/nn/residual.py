"""The skip connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.nn.initializers import Rule
from diffkit.nn.layer import Layer
from diffkit.nn.summary import Visit, walk


@dataclass(frozen=True, slots=True)
class Residual:
    """x + inner(x): the inner layers learn what to add, and x passes unchanged.

    The derivative is I + inner′(x), so that a cotangent reaches the layers before it
    however small inner′ is. Parameters, state and masks are those of `inner`, which
    must give as many features as it takes. Source: He, Zhang, Ren and Sun, "Deep
    residual learning for image recognition", CVPR 2016.

    Raises ShapeError when `inner` changes the number of features, UserInputError for
    something that is no layer.

    >>> from diffkit.nn.linear import Linear
    >>> layer = Residual(Linear(2, 2, initializer="zeros"))
    >>> params = layer.init(np.random.default_rng(0))
    >>> layer.apply(params, np.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    inner: Layer

    def __post_init__(self) -> None:
        if isinstance(self.inner, type) or not hasattr(self.inner, "apply_training"):
            raise UserInputError(
                f"Residual was given {self.inner!r}, which is not a layer. Give a "
                "value such as nn.Sequential(nn.Linear(8, 8), nn.Tanh())."
            )
        self.features(None)

    def __str__(self) -> str:
        return f"Residual({self.inner})"

    @property
    def parameter_count(self) -> int:
        """Those of the inner layer."""
        return self.inner.parameter_count

    @property
    def stateful(self) -> bool:
        """Whether the inner layer is."""
        return self.inner.stateful

    @property
    def stochastic(self) -> bool:
        """Whether the inner layer is."""
        return self.inner.stochastic

    def initializer_before(self, following: Rule) -> Rule:
        """The rule of what follows: x passes through unchanged."""
        return following

    def features(self, given: int | None) -> int | None:
        """As many as it is given; raises ShapeError unless `inner` keeps them."""
        after = self.inner.features(given)
        if given is None and after is not None:
            # What comes out is x + inner(x), so that is what must go in as well.
            try:
                self.inner.features(after)
            except ShapeError as problem:
                raise self._misfit(f"gives {after} features, and {problem}") from None
        if given is not None and after is not None and after != given:
            raise self._misfit(f"takes {given} features and gives {after}.")
        return after if given is None else given

    def _misfit(self, said: str) -> ShapeError:
        return ShapeError(
            f"{self}, adds its input to its inner layer, which {said} The two must be "
            "alike: end it with a Linear of as many outputs as it has inputs."
        )

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
    ) -> Any:
        """Parameters of the inner layer."""
        return self.inner.init(rng, dtype, default=default)

    def init_state(self, dtype: Any = np.float64) -> Any:
        """State of the inner layer."""
        return self.inner.init_state(dtype)

    def masks(
        self,
        rng: np.random.Generator,
        batch: int | Sequence[int],
        dtype: Any = np.float64,
        *,
        features: int | None = None,
    ) -> Any:
        """Masks of the inner layer."""
        return self.inner.masks(rng, batch, dtype, features=features)

    def apply(self, params: Any, x: Any, state: Any = ()) -> Any:
        """The input plus what the inner layer makes of it."""
        return self._added(x, self.inner.apply(params, x, state))

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, Any]:
        """The same in training, and the state of the inner layer after it."""
        y, after = self.inner.apply_training(params, x, state, masks)
        return self._added(x, y), after

    def walk(
        self, params: Any, x: Any, state: Any, masks: Any, path: str, visit: Visit
    ) -> Any:
        """Apply in training, reporting the inner layers and then the addition."""
        y = walk(self.inner, params, x, state, masks, path, visit)
        added = self._added(x, y)
        visit(path, "Residual: x + ...", added, 0)
        return added

    def _added(self, x: Any, y: Any) -> Any:
        if np.shape(x) != np.shape(y):
            raise self._misfit(f"takes shape {np.shape(x)} and gives {np.shape(y)}.")
        return x + y
