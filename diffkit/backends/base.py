"""What a backend is: a small frozen value that compiles a program's gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from diffkit.backends.fresh import fresh_arrays
from diffkit.errors import BackendError
from diffkit.graph import Graph

DERIVATIVES = ("gradient", "jvp", "vjp", "jacobian", "hvp", "hessian")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and what one gradient costs in primal evaluations.

    `exact` means exact up to rounding; `evaluations` is a formula in P, the number of
    parameters, such as "2P" (`formula.count` reads it). `derivatives` are those a user
    can ask of the backend, out of `DERIVATIVES`: whoever gives gradients of scalar
    programs gives all of them, by composition, unless it says otherwise here.
    `forward_mode` says that its Jacobian-vector products are one run of the tangent
    program on its own runtime, and not differences or gradients of many outputs.
    `vector` says that `compile` takes a program whose first output is an array: its
    gradients have that output's shape followed by the input's, for the same number of
    evaluations.

    `costs` is what composing costs, for the derivatives that cost something else: a
    formula in P, n (scalars put in) and m (scalars that come out).
    `diffkit.capabilities()` shows it for every backend.
    """

    exact: bool
    evaluations: str
    dtypes: tuple[str, ...] = ("float64", "float32")
    derivatives: tuple[str, ...] = DERIVATIVES
    costs: Mapping[str, str] = field(default_factory=dict, hash=False)
    forward_mode: bool = False
    vector: bool = False


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


@dataclass(frozen=True, slots=True)
class Form:
    """How a direct call is made, and what it refuses.

    `vector`: all that is differentiated comes in one vector, before the other inputs,
    and the gradients leave in one; `apart`: an array that is written may not share
    memory with any other; `finite`: a value that is not finite is no answer.
    """

    vector: bool = False
    apart: bool = False
    finite: bool = False


@dataclass(frozen=True, slots=True)
class Direct:
    """A call that reads and writes arrays where they are, and what it writes.

    `call` takes one list: the arrays that are read, then those that are written, of
    these shapes and dtypes. It returns the value; or None, with nothing written, where
    an array does not fit natively (it may still fit for Python). `fresh` makes arrays
    of those shapes and dtypes.
    """

    call: Callable[[list[Any]], Any]
    shapes: Sequence[tuple[int, ...]]
    dtypes: Sequence[np.dtype]
    fresh: Callable[[], list[np.ndarray]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fresh", fresh_arrays(self.shapes, self.dtypes))

    def after(self, count: int) -> Direct:
        """The same call, with the shapes and dtypes of what follows `count` results."""
        return Direct(self.call, self.shapes[count:], self.dtypes[count:])


@runtime_checkable
class OffersDirect(Protocol):
    """A compiled gradient that has direct calls; others are served by copies."""

    def direct(self, dtypes: Sequence[np.dtype], form: Form) -> Direct | None:
        """Value, gradients and auxiliary outputs, for inputs of these dtypes.

        The list has all inputs (or the vector and the rest of them), then an array for
        each gradient (or one vector) and for each auxiliary output.
        """
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
