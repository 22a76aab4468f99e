"""Gradients by Dask: the shards of a batch on workers, here or on other machines."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import Any
from uuid import uuid4

import lazy_loader as lazy
import numpy as np

from diffkit.backends import Backend
from diffkit.errors import MissingDependencyError, UserInputError
from diffkit.graph import trees
from diffkit.prepared import Prepared
from diffkit.train.gradients import averaged, cut
from diffkit.train.layout import Layout
from diffkit.train.objective import Objective
from diffkit.transform import prepare

distributed: Any = lazy.load("distributed")

#: Programs that a worker keeps, the least recently used one dropped first.
_KEPT = 16
#: Parameters above this many bytes go to the workers once a step, not once a shard.
_LARGE = 1 << 20
_programs: OrderedDict[Any, Prepared] = OrderedDict()
_preparing = Lock()


def gradient_on_worker(
    run: str,
    objective: Objective,
    backend: Backend,
    params: Any,
    x: np.ndarray,
    y: np.ndarray,
    masks: Any,
) -> tuple[float, list[np.ndarray]]:
    """Loss and gradient of one shard; prepared once for each number of rows."""
    key = run, x.shape, y.shape
    with _preparing:
        program = _programs.get(key)
        if program is None:
            program = _programs[key] = prepare(
                objective.training,
                *(params, x, y, (), masks),
                backend=backend,
                nonfinite="allow",
            )
            while len(_programs) > _KEPT:
                _programs.popitem(last=False)
        _programs.move_to_end(key)
    with np.errstate(all="ignore"):
        value, grads = program(params, x, y, (), masks)
    return float(value), trees.leaves(grads)


@dataclass(slots=True)
class Workers:
    """Shards on the workers of a Dask client.

    Network, loss and backend go to each worker once; each step sends the parameters and
    the rows of its shard, and gets the gradient back.
    """

    client: Any
    own: bool
    run: str
    objective: Any
    backend: Backend
    layout: Layout
    shards: int

    def __call__(
        self,
        packed: Any,
        x: np.ndarray,
        y: np.ndarray,
        state: Any,
        masks: Any,
        room: np.ndarray | None = None,
    ) -> tuple[float, Any, Any]:
        """All shards at once; they are summed in their order."""
        params = self.layout.unpack(packed)
        leaves, tree = trees.flatten(params)
        parts = cut(x, y, masks, self.shards)
        sent = params
        if sum(leaf.nbytes for leaf in leaves) > _LARGE:
            sent = self.client.scatter(params, broadcast=True, hash=False)
        futures = [
            self.client.submit(
                gradient_on_worker,
                *(self.run, self.objective, self.backend, sent, *part),
                pure=False,
            )
            for part in parts
        ]
        done = [
            (value, self.layout.pack(trees.unflatten(tree, grads)))
            for value, grads in self.client.gather(futures)
        ]
        return (*averaged([len(part[0]) for part in parts], done), state)

    @property
    def infos(self) -> dict[int, Any]:
        """Programs are prepared on the workers: nothing is known of them here."""
        return {}

    def close(self) -> None:
        """Close the client if it was made here from an address."""
        if self.own:
            self.client.close()


def connect(
    client: Any, objective: Objective, backend: Backend, layout: Layout, shards: int
) -> Workers:
    """Workers by a `distributed.Client`, or by the address of a scheduler.

    Raises MissingDependencyError for an address without Dask installed, UserInputError
    for what is neither.
    """
    own = isinstance(client, str)
    if own:
        if find_spec("distributed") is None:
            raise MissingDependencyError(
                "distributed", f"Training on the workers of {client}", "dask"
            )
        client = distributed.Client(client)
    elif not all(hasattr(client, name) for name in ("submit", "gather", "scatter")):
        raise UserInputError(
            f"client is {client!r}; it must be a distributed.Client or the address of "
            "a Dask scheduler, such as 'tcp://10.0.0.1:8786'."
        )
    sent = client.scatter(objective, broadcast=True, hash=False)
    return Workers(client, own, uuid4().hex, sent, backend, layout, shards)
