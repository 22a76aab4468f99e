"""What a backend is: a small frozen value that compiles a program's gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from diffkit.errors import BackendError
from diffkit.graph import Graph

DERIVATIVES = ("gradient", "jvp", "vjp", "jacobian", "hvp", "hessian")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and what one gradient costs in primal evaluations.

    `exact` means exact up to rounding; `evaluations` is a formula in P, the number of
    parameters, such as "2P". `derivatives` are those a user can ask of the backend,
    out of `DERIVATIVES`; every backend gives at least gradients. `costs` says what each
    takes in runs, a formula in P (the scalars differentiated by), n (the scalars put
    in) and m (the scalars that come out); a derivative that is not in it costs what
    composing it from gradients costs (`diffkit.capabilities()` works that out).
    """

    exact: bool
    evaluations: str
    dtypes: tuple[str, ...] = ("float64", "float32")
    derivatives: tuple[str, ...] = ("gradient",)
    costs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """A traced scalar function with what to differentiate it by.

    `graph.outputs` are (value, *auxiliary); `wrt` are positions of graph inputs;
    `names` has one name per input, such as "params['w'][0]"; `dtype` is float64 or
    float32, the precision it runs in.
    """

    graph: Graph
    wrt: tuple[int, ...]
    names: tuple[str, ...]
    dtype: np.dtype

    @property
    def parameters(self) -> int:
        """P: the number of scalars differentiated by."""
        return sum(self.graph.nodes[self.graph.inputs[p]].elements for p in self.wrt)


@dataclass(frozen=True, slots=True)
class Info:
    """What preparing cost, and what one call of the prepared gradient costs.

    `seconds` by phase of preparation; `operations` are scalar operations of one value
    and gradient; `bytes` is the memory planned for it; `evaluations` are evaluations of
    the primal per gradient (2P, P+1, ...; 1 where the gradient is one program of its
    own); `details` holds the backend's own numbers.
    """

    backend: str
    seconds: Mapping[str, float]
    operations: int
    bytes: int
    evaluations: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Compiled(Protocol):
    """A program's gradient, ready to run at the prepared shapes.

    Inputs are never modified, results are fresh arrays.
    """

    @property
    def info(self) -> Info:
        """Costs, known before the first run."""
        ...

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        """Value, one gradient for each position in `wrt`, auxiliary outputs."""
        ...

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone, on the same runtime."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A way to obtain a derivative: a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def compile(self, program: Program) -> Compiled:
        """Do all work that depends on the program only, once."""
        ...


def check_dtype(name: str, capabilities: Capabilities, dtype: np.dtype) -> None:
    """Raise BackendError when a backend does not run in this precision."""
    if dtype.name not in capabilities.dtypes:
        raise BackendError(
            f"The backend {name!r} runs in {' or '.join(capabilities.dtypes)}, and the "
            f"program is in {dtype.name}. Convert its arguments with .astype."
        )
