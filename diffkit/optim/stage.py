"""A rule as part of an optimizer: what makes it run over trees, and natively."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optree

from diffkit.errors import UserInputError
from diffkit.optim.optimizer import Optimizer, check_alike, needs_params
from diffkit.rules import RULES, Rule

#: (own state, gradient) -> the numbers of this step; None: all is left as it is.
Numbers = Callable[[Any, Any], Sequence[float] | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A rule, and the numbers that it takes in each step, before its constants.

    With `remembers`, the type of its state, that state is a named tuple
    (step, *moments), each moment nested as the parameters; without it a step leaves the
    state as it is. `update` is that of an `Optimizer`. Whoever has all parameters in
    one vector may pass over it by the rule instead: the results are the same bits.
    """

    name: str
    rule: Rule
    numbers: Numbers
    constants: tuple[float, ...] = ()
    remembers: type | None = None

    def moments(self, state: Any) -> tuple[Any, ...]:
        """What is remembered of each parameter.

        Raises UserInputError for a state that another optimizer made.
        """
        if self.remembers is None:
            return ()
        if not isinstance(state, self.remembers):
            raise UserInputError(
                f"{self.name}: its state is of the kind {self.remembers.__name__}, and "
                f"{type(state).__name__} was given. Start with optimizer.init(params), "
                "and hand on the state that update gave."
            )
        return tuple(cast(Any, state))[1:]

    def update(self, grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """(updates, state), leaf by leaf; arguments are not modified."""
        rule, moments = self.rule, self.moments(state)
        if rule.needs_parameters:
            needs_params(self.name, params)
        like = moments[0] if moments else params
        if like is not None:
            check_alike("gradients", grads, like)
        numbers = self.numbers(state, grads)
        if numbers is None:
            return grads, state
        leaves, tree = optree.tree_flatten(grads)
        parameters = [None] * len(leaves)
        if params is not None:
            parameters = tree.flatten_up_to(params)
        remembered = [tree.flatten_up_to(moment) for moment in moments]
        done = [
            rule.formula(*row, *numbers, *self.constants)
            for row in zip(parameters, leaves, *remembered, strict=True)
        ]
        updates, *after = (
            tree.unflatten([results[k] for results in done])
            for k in range(1 + rule.moments)
        )
        if self.remembers is not None:
            state = self.remembers(np.array(int(state.step) + 1), *after)
        return updates, state


def by_rule(
    rule: str,
    init: Callable[[Any], Any],
    numbers: Numbers,
    name: str,
    *,
    constants: tuple[float, ...] = (),
    remembers: type | None = None,
    observe: Callable[[Any, float], Any] | None = None,
) -> Optimizer:
    """The optimizer that goes by one rule."""
    stage = Stage(name.partition("(")[0], RULES[rule], numbers, constants, remembers)
    return Optimizer(
        init, stage.update, name, observe=observe, one_vector=True, stages=stage
    )
