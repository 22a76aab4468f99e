"""A step of training for loops of one's own: gradient and update in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Any

import numpy as np
import optree

from diffkit.errors import ShapeError, UserInputError
from diffkit.graph import trees
from diffkit.prepared import Prepared
from diffkit.train.divergence import lost_loss
from diffkit.train.inputs import check_params
from diffkit.train.layout import copied, layout_for
from diffkit.train.parts import InitUpdate, check_optimizer
from diffkit.train.updates import updates_for


class Stepper:
    """Loss, gradient and the optimizer's step in one call, over one flat vector.

    `prepared` is a loss differentiated by its first argument, the parameters; `params`
    are where to begin, and are not modified. A call with the other arguments gives the
    loss before the step, and leaves the parameters after it in `params`. Nothing is
    nested, unpacked or allocated on the way: with an optimizer of `optim` and a backend
    on the engine, the update is one native pass over the vector. The numbers are those
    of `optimizer.update` and `optim.apply_updates`, to the bit. `state` goes on from an
    optimizer's state, nested as `init(params)` gives it.

    Interrupted between steps or in one, it stands at the last whole step. Not for two
    threads at once.

    Raises UserInputError for what is no optimizer or no prepared loss of these
    parameters, DtypeError for parameters that are not all float64 or all float32,
    NonFiniteError for NaN in them. A call raises DivergenceError, and takes no step,
    when the loss is not finite; PreparationMismatchError for data of another shape.

    >>> from diffkit import optim
    >>> from diffkit.transform import prepare
    >>> def loss(w, x, y):
    ...     return np.mean((x @ w - y) ** 2)
    >>> w, x, y = np.zeros(1), np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
    >>> step = Stepper(prepare(loss, w, x, y), optim.adam(0.1), w)
    >>> losses = [step(x, y) for _ in range(200)]
    >>> float(losses[0]), step.params.round(3).tolist(), step.taken
    (10.0, [2.0], 200)
    """

    __slots__ = ("_at", "_gradient", "_layout", "_updates")

    def __init__(
        self, prepared: Prepared, optimizer: InitUpdate, params: Any, state: Any = None
    ) -> None:
        check_optimizer(optimizer)
        check_params(params)
        _check_prepared(prepared, params)
        self._layout = layout_for(optimizer, params)
        packed = self._layout.pack(optree.tree_map(np.asarray, params))
        first = optimizer.init(packed)
        if state is not None:
            _check_state(optimizer, params, state)
            first = self._layout.pack_state(state, first)
        self._updates = updates_for(optimizer, packed, first, prepared.backend)
        self._gradient: Callable[..., tuple[Any, Any]] = (
            partial(prepared.flat, out=self._updates.gradient)
            if self._layout.flat
            else prepared
        )
        # Replaced whole, after a step.
        self._at: tuple[Any, Any, int] = packed, first, 0

    def __call__(self, *data: Any) -> Any:
        """One step; the loss before it (and the auxiliary output, where there is)."""
        packed, state, taken = self._at
        found, grads = self._gradient(packed, *data)
        value = found[0] if type(found) is tuple else found
        if not isfinite(value):
            where, tree = f"step {taken + 1}", self._layout.unpack(grads)
            raise lost_loss(where, float(value), None, tree)
        packed, state = self._updates(packed, state, grads)
        self._at = packed, state, taken + 1
        return found

    @property
    def params(self) -> Any:
        """The parameters as they stand: a copy, nested as they were given."""
        return copied(self._layout.unpack(self._at[0]))

    @property
    def state(self) -> Any:
        """The optimizer's state as it stands: a copy, nested as `init(params)`."""
        return copied(self._layout.unpack_state(self._at[1]))

    @property
    def taken(self) -> int:
        """How many steps were taken."""
        return self._at[2]


def _check_state(optimizer: InitUpdate, params: Any, state: Any) -> None:
    """Raise unless it is such as the optimizer has for these parameters."""
    wanted = trees.flatten(optimizer.init(params))
    given = trees.flatten(state)
    if given[1] != wanted[1] or list(map(np.shape, given[0])) != list(
        map(np.shape, wanted[0])
    ):
        raise UserInputError(
            f"state is not one of {optimizer} for these parameters: init gives "
            f"{wanted[1]}, and {given[1]} was given, or arrays of other shapes. Give "
            "the state of a Stepper or History of the same optimizer."
        )


def _check_prepared(prepared: Any, params: Any) -> None:
    """Raise unless its gradient is by its first argument, and that is like params."""
    if not isinstance(prepared, Prepared):
        raise UserInputError(
            f"prepared is {prepared!r}; give what dk.prepare(loss, params, *data) "
            "gives."
        )
    leaves = trees.leaves(params)
    if prepared.program.wrt != tuple(range(len(leaves))):
        raise UserInputError(
            "The prepared loss is not differentiated by all of its first argument, and "
            "by nothing else. Prepare it with the parameters first, and argnums=0."
        )
    graph = prepared.program.graph
    shapes = [graph.nodes[graph.inputs[k]].shape for k in range(len(leaves))]
    given = [np.shape(leaf) for leaf in leaves]
    if shapes != given:
        raise ShapeError(
            f"The loss was prepared for parameters of shapes {shapes}, and {given} "
            "were given. Prepare it again for these."
        )
