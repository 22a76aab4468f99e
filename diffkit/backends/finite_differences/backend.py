"""The backend: methods and step rules as the fields of one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from diffkit.backends.base import Capabilities, Program, check_dtype
from diffkit.backends.finite_differences.compiled import DifferencesCompiled
from diffkit.backends.finite_differences.complex_step import ComplexStepCompiled
from diffkit.backends.finite_differences.moves import Evaluations, Recompute, Work
from diffkit.backends.finite_differences.plan import Plan
from diffkit.backends.finite_differences.point import Bounds
from diffkit.backends.finite_differences.steps import (
    Fixed,
    Relative,
    StepRule,
    step_rule,
)
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import RuntimeName
from diffkit.errors import UserInputError, unknown_name
from diffkit.graph import simplify

Method = Literal["central", "forward", "backward", "complex", "ridders"]
StepName = Literal["auto", "relative", "scaled", "balanced", "adaptive"]
NamedBounds = tuple[tuple[str, float, float], ...]

# Orders a method has; the first is the one taken when none is named.
METHODS: dict[str, tuple[int, ...]] = {
    "central": (2, 4, 6, 8),
    "forward": (1, 2, 4, 6, 8),
    "backward": (1, 2, 4, 6, 8),
    "complex": (2,),
    "ridders": (2,),
}
LEVELS = 8


class _CapabilitiesByMethod:
    """Capabilities that tell the truth of each method; of the class, the default's."""

    def __get__(
        self, backend: FiniteDifferences | None, owner: type | None = None
    ) -> Capabilities:
        if backend is None:
            return Capabilities(exact=False, evaluations="2P", vector=True)
        formula = backend.plan.formula
        return Capabilities(
            exact=backend.method == "complex", evaluations=formula, vector=True
        )


@dataclass(frozen=True, slots=True)
class FiniteDifferences:
    """Difference quotients, one parameter at a time.

    * central: of order p = 2, 4, 6 or 8, (f(x+h) − f(x−h)) / 2h and its kin, exactly
      p·P evaluations, truncation error O(hᵖ);
    * forward, backward: (f(x+h) − f(x)) / h, exactly P+1 evaluations, O(h); of order
      2, 4, 6 and 8 with p·P+1 evaluations;
    * complex: Im f(x+ih) / h, exactly P complex evaluations, no subtraction, for
      analytic programs only (Squire and Trapp, 1998), run by NumPy;
    * ridders: symmetric quotients at `levels` halved steps, extrapolated to h = 0
      (Ridders, 1982), 2·levels·P + 8 evaluations, an error with each entry.

    `step` is a rule of `steps.py` or its name. "auto" is `Automatic()`, which balances
    truncation against rounding, h = ε^(1/(1+p))·max(|x|, 1)/b, with ε the unit roundoff
    of the precision (Nocedal and Wright, 2006, section 8.1) and b ≥ 1 how sharply the
    program can bend by its products; a number is used as it is; "relative", "scaled",
    "balanced" (p+2 evaluations an entry more, 2 for order 1, and 8) and "adaptive" (six
    times the evaluations, and 8) are explained there. For ridders it is the first and
    largest step, √max(|x|, 1)/8 by default, between a function whose scale is 1 and one
    whose scale is |x|. The divisor is the distance between the points that floating
    point can represent, not the step that was asked for.

    `bounds` are (low, high) for every parameter, or a mapping from names such as
    "params['w']" to them: nothing is evaluated outside, the formula of the same order
    turns to the side with more room. Where a function turns out not to be finite
    beside a point where it is, an automatic step is shortened to ε^(1/(1+p))·|x| and
    then one side taken, a given step keeps its length on one side; such entries cost
    evaluations more, which are counted.

    That is the textbook form: every evaluation is the whole program again. Three
    options do less work for the same numbers up to rounding, evaluations counted alike
    and one more for the point itself:

    * `recompute="downstream"`: only what depends on the moved parameter;
      `"changed"`: of that only the rows and columns that a move of one entry changes,
      by updates of rank one of the products and sums at the point (the sparsity of
      Curtis, Powell and Reid, 1974, within the program);
    * `batch`: so many moves as one program with one axis more, or "auto" for as many as
      stay in the cache; one at a time unless `recompute="changed"`, which is made of
      batches;
    * `threads`: batches, or shares of the moves, at the same time; the results are the
      same to the bit for any number.

    `info.operations` counts what is really computed. Where a value at the point is not
    finite, its moves are evaluated whole.

    The first output may be an array: a gradient then has that output's shape followed
    by the parameter's, at the same number of evaluations.

    A compiled program has `error_estimates(leaves)` for every method.

    Raises UserInputError for a step that is not positive or too small to move a
    parameter, for an order that a method does not have and for impossible bounds,
    UnknownNameError for an unknown method, rule or bounded parameter, BackendError for
    a complex step across an operation that is not analytic, NonFiniteError where a
    function is finite at a point and on neither side of it.
    """

    method: Method = "central"
    step: float | StepName | StepRule = "auto"
    dtype: str | None = None
    runtime: RuntimeName = "engine"
    order: int | None = None
    bounds: tuple[float, float] | NamedBounds | Mapping[str, tuple] | None = None
    levels: int = LEVELS
    recompute: Recompute = "all"
    batch: int | Literal["auto"] | None = None
    threads: int = 1

    name: ClassVar[str] = "finite_differences"
    capabilities: ClassVar[Capabilities] = _CapabilitiesByMethod()  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method of finite differences", self.method, METHODS)
        orders = METHODS[self.method]
        if self.order is not None and self.order not in orders:
            raise UserInputError(
                f"method={self.method!r} has the orders "
                f"{', '.join(map(str, orders))}, not {self.order!r}."
            )
        if isinstance(self.levels, bool) or not 2 <= self.levels <= 20:
            raise UserInputError(
                f"levels was {self.levels!r}; Ridders' method takes 2 to 20."
            )
        if isinstance(self.bounds, Mapping):
            named = tuple((name, *pair) for name, pair in self.bounds.items())
            object.__setattr__(self, "bounds", named)
        for _, bounds in self._intervals():
            _require_bounds(bounds)
        self._require_step(step_rule(self.step))
        work = self.work  # which checks its numbers
        if self.method == "complex" and work != Work():
            raise UserInputError(
                "The complex step is run by NumPy, one whole evaluation after another: "
                "recompute, batch and threads are for the other methods. Leave them "
                "out, or use method='central'."
            )

    def _require_step(self, rule: StepRule) -> None:
        if self.method == "complex" and self.step != "auto":
            raise UserInputError(
                "The complex step chooses its own step, as small as one likes, since "
                f"nothing is subtracted: leave step='auto', not {self.step!r}."
            )
        sized = isinstance(rule, Fixed) or (
            isinstance(rule, Relative) and rule.size is not None
        )
        if self.method == "ridders" and self.step != "auto" and not sized:
            raise UserInputError(
                f"Ridders' method starts from a large step, and {self.step!r} gives a "
                "small one. Leave step='auto', give a number, or Relative(size)."
            )

    def _intervals(self) -> list[tuple[str | None, tuple[Any, ...]]]:
        """Bounds by name; without a name, for all parameters."""
        given: Any = self.bounds
        if given is None:
            return []
        if not all(isinstance(part, tuple) for part in given):
            return [(None, tuple(given))]
        return [(named[0], tuple(named[1:])) for named in given]

    @property
    def work(self) -> Work:
        """What is recomputed for each move, in batches of which size, on how many."""
        return Work(self.recompute, self.batch, self.threads)

    @property
    def plan(self) -> Plan:
        """The method with its order and rule settled, and its exact cost."""
        return Plan(
            method=self.method,
            order=self.order or METHODS[self.method][0],
            rule=step_rule(self.step),
            automatic=not isinstance(step_rule(self.step), Fixed | Relative),
            levels=self.levels,
            keeps=self.work.keeps,
        )

    def compile(self, program: Program) -> DifferencesCompiled | ComplexStepCompiled:
        """Lower the primal; there is nothing to derive."""
        dtype = np.dtype(self.dtype or program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        bounds = self._bounds_of(program)
        details = {
            "method": self.method,
            "step": self.step,
            "runtime": self.runtime,
            "recompute": self.recompute,
            "threads": self.threads,
        }
        plan = self.plan
        phases = Phases()
        with phases("simplify"):
            graph = simplify(program.graph)
        if self.method == "complex":
            return ComplexStepCompiled(program, graph, dtype, phases.seconds, details)
        with phases("lower"):
            evaluations = Evaluations(
                graph, program.wrt, self.runtime, dtype, self.work
            )
            return DifferencesCompiled(
                program, evaluations, plan, bounds, phases.seconds, details
            )

    def steps(self, x: np.ndarray) -> np.ndarray:
        """The step for each entry of x, in x's precision, before any is adjusted."""
        return self.plan.steps(x)

    def _bounds_of(self, program: Program) -> tuple[Bounds, ...]:
        names = [program.names[p] for p in program.wrt]
        everywhere, known = Bounds(), {}
        for name, (low, high) in self._intervals():
            if name is None:
                everywhere = Bounds(float(low), float(high))
            elif name not in names:
                raise unknown_name("differentiated parameter", name, names)
            else:
                known[name] = Bounds(float(low), float(high))
        return tuple(known.get(name, everywhere) for name in names)


def _require_bounds(bounds: tuple[Any, ...]) -> None:
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise UserInputError(
            f"The bounds {bounds!r} are no interval: give (low, high) with low < high, "
            "infinite where there is no bound."
        )
