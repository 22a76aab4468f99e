"""What a primitive is: one frozen row with everything mathematics knows of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

Kind = Literal["real", "boolean"]
Family = Literal["leaf", "elementwise", "linear", "reduce", "shape"]
Shape = tuple[int, ...]

# Rule: (cotangent or tangent, output, *inputs, **attributes) -> contribution.
Rule = Callable[..., Any]


class Irrational(float):
    """A float that remembers which number it rounds.

    Derivative rules use it for 2/√π and log 2, so that a reading more precise than
    float64 takes the number itself and not its rounding.

    >>> Irrational(0.6931471805599453, "log(2)").formula
    'log(2)'
    """

    formula: str

    def __new__(cls, value: float, formula: str) -> Self:
        number = super().__new__(cls, value)
        number.formula = formula
        return number


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """An array that is part of a program: read-only, hashed and compared by content.

    `formula` names the irrational number that a scalar rounds, if it does.

    >>> Constant.of([1.0, 2.0]) == Constant.of(np.array([1.0, 2.0]))
    True
    """

    array: np.ndarray
    digest: tuple[Shape, str, bytes]
    formula: str | None = None

    @staticmethod
    def of(value: Any) -> Constant:
        array = np.array(value, order="C", copy=True)
        array.flags.writeable = False
        formula = value.formula if isinstance(value, Irrational) else None
        digest = (array.shape, array.dtype.str, array.tobytes())
        return Constant(array, digest, formula)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Constant)
            and self.digest == other.digest
            and self.formula == other.formula
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        if self.array.size <= 4:
            return f"Constant({self.array.tolist()})"
        return f"Constant(shape={self.array.shape}, dtype={self.array.dtype})"


@dataclass(frozen=True, slots=True)
class Interval:
    """Open interval from which tests may sample an operation's input."""

    low: float
    high: float

    def sample(self, generator: np.random.Generator, shape: Shape) -> np.ndarray:
        """Uniform float64 draws of the given shape from inside the interval."""
        return generator.uniform(self.low, self.high, shape)


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One primitive operation.

    Calling a row applies it: to arrays by its NumPy meaning, to anything that has
    `__diffkit_apply__` (a traced value) by handing it the row. So a derivative rule
    written with rows and operators runs on numbers and on graphs alike.

    Derivative, by family:

    * elementwise: `partials[i](g, y, *x)` is g·∂y/∂xᵢ. It is linear and diagonal in g,
      so it serves reverse mode (g a cotangent) and forward mode (g a tangent).
    * linear: the operation is linear in each input on its own (`joint` False) or in all
      of them at once (`joint` True); `transposes[i](g, y, *x)` pulls a cotangent back.
    * shape: linear in all inputs at once; same field.
    * reduce: `weights(y, x)` is ∂y/∂x along the reduced axes, shaped like x. Pullback
      is g·weights, pushforward is sum(t·weights). Linear reductions have transposes.

    Raises ValueError when a row is built incomplete.
    """

    name: str
    family: Family
    arity: int | None  # None: any number of inputs
    infer: Callable[..., Shape]  # (*input shapes, **attributes) -> output shape
    numpy: Callable[..., np.ndarray]
    operations: Callable[..., int]  # (output shape, *input shapes, **attributes)
    flops: int = 1  # floating-point instructions of the engine for one operation
    kind: Kind = "real"
    partials: tuple[Rule | None, ...] = ()
    transposes: tuple[Rule, ...] = ()
    weights: Rule | None = None
    joint: bool = False
    analytic: bool = True  # complex step may cross it
    sympy: str | None = None  # name of the SymPy meaning, elementwise rows only
    exact: str | None = None  # name of the ball meaning, elementwise rows only
    domain: tuple[Interval, ...] = ()  # where tests may sample, one per input
    kink: str | None = None  # the value chosen where it is not smooth
    loss: str | None = None  # where its derivative is off by more than 4 ulps
    keeps_boolean: bool = False  # output has the kind of its inputs

    def __post_init__(self) -> None:
        problem = _incomplete(self)
        if problem:
            raise ValueError(f"the row of {self.name!r} is incomplete: {problem}")

    def __call__(self, *values: Any, **attributes: Hashable) -> Any:
        for value in values:
            if hasattr(value, "__diffkit_apply__"):
                return value.__diffkit_apply__(self, values, attributes)
        return self.numpy(*values, **attributes)

    def __repr__(self) -> str:
        return f"Op({self.name!r})"

    def __reduce__(self) -> str:
        raise TypeError("an Op is a row of the table; refer to it by its name")

    @property
    def differentiable(self) -> bool:
        """Whether a cotangent can pass through: False for comparisons and leaves."""
        return bool(any(self.partials) or self.transposes or self.weights)


def _incomplete(op: Op) -> str | None:
    if op.family == "leaf":
        return None
    if op.family == "elementwise":
        if op.arity is None or len(op.partials) != op.arity:
            return "an elementwise row needs one partial derivative per input"
        if len(op.domain) != op.arity:
            return "an elementwise row needs one test domain per input"
        if op.sympy is None or op.exact is None:
            return "an elementwise row needs a SymPy and an exact meaning"
        if not op.analytic and op.kind == "real" and op.kink is None:
            return "a non-smooth row must state the value at its kink"
        return None
    if op.family == "reduce":
        if (op.weights is None) == (not op.transposes):
            return "a reduction needs either weights or a transpose"
        return None
    if not op.transposes:
        return "a linear or shape row needs its transpose"
    return None
