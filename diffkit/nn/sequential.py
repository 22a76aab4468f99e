"""Layers one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.nn.initializers import Rule
from diffkit.nn.layer import Layer, check_float, check_generator
from diffkit.nn.parameters import check_names, named_leaves, replaced
from diffkit.nn.summary import Summary, Visit, input_shape, summarise, walk


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Sequential:
    """The layers applied in order; itself a layer. Parameters: a tuple, one per layer.

    Layers are numbered from 0, as their parameters are: `params[2]["weight"]` belongs
    to layer 2, and so do its error messages. A layer without an initialiser of its own
    takes the one that suits the activation after it: Xavier before tanh and sigmoid,
    He before relu; normalisation and dropout between the two change nothing.

    State and masks nest as parameters do, a tuple with one entry per layer; both are
    `()` as a whole when no layer has any (`stateful`, `stochastic`).

    Raises ShapeError when two layers do not fit, UserInputError for no layers or for
    something that is no layer.

    >>> from diffkit.nn import Linear, Tanh
    >>> net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
    >>> params = net.init(np.random.default_rng(0))
    >>> net.apply(params, np.zeros((5, 4))).shape, net.parameter_count
    ((5, 3), 131)
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise UserInputError("Sequential needs at least one layer.")
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not hasattr(layer, "apply_training"):
                raise UserInputError(
                    f"layer {i} of Sequential is {layer!r}, which is not a layer. Give "
                    "values such as nn.Linear(4, 16) and nn.Tanh(), with parentheses."
                )
        object.__setattr__(self, "layers", tuple(layers))
        self.features(None)

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(str, self.layers))})"

    @property
    def parameter_count(self) -> int:
        """The sum over the layers."""
        return sum(layer.parameter_count for layer in self.layers)

    @property
    def stateful(self) -> bool:
        """Whether any layer has state."""
        return any(layer.stateful for layer in self.layers)

    @property
    def stochastic(self) -> bool:
        """Whether any layer draws masks."""
        return any(layer.stochastic for layer in self.layers)

    def initializer_before(self, following: Rule) -> Rule:
        """What its first layer wants."""
        return self._rules(following)[0]

    def _rules(self, following: Rule) -> list[Rule]:
        """The initialiser before each layer, and after the last."""
        rules = [following]
        for layer in reversed(self.layers):
            rules.append(layer.initializer_before(rules[-1]))
        return rules[::-1]

    def features(self, given: int | None) -> int | None:
        """Carry a number of features through all layers."""
        before = "the input"
        for i, layer in enumerate(self.layers):
            try:
                after = layer.features(given)
            except ShapeError as problem:
                raise ShapeError(
                    f"layer {i}, {problem} That is what comes out of {before}."
                ) from None
            if after != given:
                before = f"layer {i}, {layer}"
            given = after
        return given

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
    ) -> tuple[Any, ...]:
        """Fresh parameters for every layer, drawn in order from one generator."""
        check_generator(rng)
        dtype = check_float(dtype)
        rules = self._rules(default)[1:]
        return tuple(
            layer.init(rng, dtype, default=rule)
            for layer, rule in zip(self.layers, rules, strict=True)
        )

    def init_state(self, dtype: Any = np.float64) -> tuple[Any, ...]:
        """The state of every layer, or () when none has any."""
        if not self.stateful:
            return ()
        return tuple(layer.init_state(dtype) for layer in self.layers)

    def masks(
        self,
        rng: np.random.Generator,
        batch: int | Sequence[int],
        dtype: Any = np.float64,
        *,
        features: int | None = None,
    ) -> tuple[Any, ...]:
        """Masks for every layer, drawn in order, or () when none needs any.

        `batch` is the number of rows, or all axes of the input but the last.
        """
        if not self.stochastic:
            return ()
        drawn = []
        for i, layer in enumerate(self.layers):
            try:
                drawn.append(layer.masks(rng, batch, dtype, features=features))
            except ShapeError as problem:
                raise ShapeError(f"layer {i}, {problem}") from None
            features = layer.features(features)
        return tuple(drawn)

    def apply(self, params: Any, x: Any, state: Any = ()) -> Any:
        """The output of the last layer, as it is when evaluated.

        Raises ShapeError, naming the layer, for inputs, parameters or state that do not
        fit, UserInputError for a network with state that is given none.
        """
        own = self._entries("parameters", params)
        states = self._entries("state", state, self.stateful)
        for i, layer in enumerate(self.layers):
            try:
                x = layer.apply(own[i], x, states[i])
            except ShapeError as problem:
                raise ShapeError(f"layer {i}, {problem}") from None
        return x

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, tuple[Any, ...]]:
        """The output of the last layer in training, and the state after it.

        Raises what `apply` raises, and UserInputError for masks that are needed and
        missing.
        """
        params = self._entries("parameters", params)
        states = self._entries("state", state, self.stateful)
        masks = self._entries("masks", masks, self.stochastic)
        after = []
        for i, layer in enumerate(self.layers):
            try:
                x, new = layer.apply_training(params[i], x, states[i], masks[i])
            except ShapeError as problem:
                raise ShapeError(f"layer {i}, {problem}") from None
            after.append(new)
        return x, tuple(after) if self.stateful else ()

    def walk(
        self, params: Any, x: Any, state: Any, masks: Any, path: str, visit: Visit
    ) -> Any:
        """Apply in training, reporting every layer by its path (for `summary`)."""
        own = self._entries("parameters", params)
        states = self._entries("state", state, self.stateful)
        masks = self._entries("masks", masks, self.stochastic)
        for i, layer in enumerate(self.layers):
            here = f"{path}.{i}" if path else str(i)
            x = walk(layer, own[i], x, states[i], masks[i], here, visit)
        return x

    def named_parameters(self, params: Any) -> dict[str, Any]:
        """The arrays by dotted name, such as "2.weight", in order.

        The names are PyTorch's for the same layers; a Linear's weight is the transpose
        of PyTorch's. Raises what `check_parameters` raises.

        >>> from diffkit.nn import Linear, Tanh
        >>> net = Sequential(Linear(2, 8), Tanh(), Linear(8, 1))
        >>> named = net.named_parameters(net.init(np.random.default_rng(0)))
        >>> {name: array.shape for name, array in named.items()}
        {'0.bias': (8,), '0.weight': (2, 8), '2.bias': (1,), '2.weight': (8, 1)}
        """
        self.check_parameters(params)
        return named_leaves(params)

    def check_parameters(self, params: Any) -> None:
        """Raise unless `params` are nested, named and shaped as this network's.

        Raises UnknownNameError for names that it lacks, with the nearest, ShapeError
        for shapes, missing arrays and another nesting.
        """
        own = self.init(np.random.default_rng(0))
        check_names(named_leaves(params), named_leaves(own))
        self._entries("parameters", params)

    def replace_parameters(self, params: Any, named: Mapping[str, Any]) -> Any:
        """The parameters with some put in place by name, dtypes kept.

        Raises UnknownNameError with the nearest name, ShapeError for another shape.

        >>> from diffkit.nn import Linear
        >>> net = Sequential(Linear(2, 1))
        >>> params = net.init(np.random.default_rng(0))
        >>> net.replace_parameters(params, {"0.weight": [[1], [2]]})[0]["weight"]
        array([[1.],
               [2.]])
        """
        self.check_parameters(params)
        return replaced(params, named)

    def summary(
        self,
        batch: int | Sequence[int] = 1,
        features: int | None = None,
        dtype: Any = np.float64,
    ) -> Summary:
        """Layers, shapes, parameters, flops and activation bytes, for one batch.

        Counted in the traced program, not estimated: flops are those of one forward
        pass in training, weighted as the table of primitives says, activation bytes
        what the reverse pass reads of each layer's values. `features` is needed only
        where no layer says how many it takes.

        Raises UserInputError for a batch that makes no sense, or features not known.

        >>> from diffkit.nn import Linear, Tanh
        >>> net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
        >>> print(str(net.summary(batch=5)))
               layer          output   parameters  flops  activation bytes
               input          (5, 4)            0      0               160
        0      Linear(4, 16)  (5, 16)          80    640                 0
        1      Tanh()         (5, 16)           0  1,760               640
        2      Linear(16, 3)  (5, 3)           51    480                 0
        total                                 131  2,880               800
        batch 5, float64; flops of one forward pass in training; ...
        """
        return summarise(self, input_shape(self, batch, features), dtype)

    def _entries(self, what: str, given: Any, needed: bool = True) -> Sequence[Any]:
        """One entry per layer, `()` for each where the whole has none."""
        is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
        if is_sequence and len(given) == 0 and not needed:
            return ((),) * len(self.layers)
        if is_sequence and len(given) == len(self.layers) and needed:
            return given
        if needed and what in _MISSING and is_sequence and len(given) == 0:
            raise UserInputError(f"This network {_MISSING[what]}")
        found = f"{len(given)}" if is_sequence else repr(type(given))
        if not needed:
            raise ShapeError(
                f"A network without {what} was given {found} entries of it: pass (), "
                f"which is what this network itself gives."
            )
        raise ShapeError(
            f"A network of {len(self.layers)} layers needs one entry of {what} "
            f"for each and was given {found}. Use what this network's "
            f"{_SOURCE[what]} gave."
        )


_SOURCE = {"parameters": "init", "state": "init_state", "masks": "masks"}
_MISSING = {
    "state": (
        "has state, the running statistics of its BatchNorm layers, and was given "
        "none. Evaluate with net.apply(params, x, state); the state comes from "
        "net.init_state() and from every net.apply_training(...)."
    ),
    "masks": (
        "has Dropout layers and was given no masks. Draw them before each step with "
        "net.masks(rng, rows), or use net.apply(...) to evaluate without dropout."
    ),
}
