"""The three symbolic forms of one program side by side, each under hard limits.

SymPy does not look up while it works, so a budget that it is asked to keep is kept
only between its calls. Here every form has a process of its own, which is ended from
outside: a form that explodes is a row that says so (`timeout`, `out_of_memory`,
`too_large`), and the others are measured all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from diffkit.backends import get_backend
from diffkit.backends.symbolic import count_forms
from diffkit.errors import ExpressionBudgetError
from diffkit.measure.gradient import Problem, warm_up
from diffkit.measure.limits import Limits, Outcome
from diffkit.measure.networks import Network
from diffkit.measure.processes import LimitedRunner
from diffkit.prepared import trace_program
from diffkit.transform import prepare

FORMS = ("expanded", "cse", "shared")
PHASES = ("read", "derive", "count", "share", "print", "compile")


@dataclass(frozen=True, slots=True)
class Form:
    """One symbolic form of one program: its mathematical size, and the tool's cost.

    `status` is one of `diffkit.measure.STATUSES`; `message` says at what a form was
    stopped, `needed` is the count that exceeded a budget, where that was the reason,
    and `seconds` (by phase) is then empty. Sizes are exact; `counted` says how they
    were obtained: on the formula that was `derived`, or, where it was stopped, `by
    layers` or `row by row` (`count_forms`: the textbook's rules before SymPy
    simplifies; the form `cse` as equal parts merged). They are None where none of
    this is possible.
    """

    form: str
    status: str
    message: str = ""
    needed: int | None = None
    tree_operations: int | None = None
    tree_nodes: int | None = None
    shared_operations: int | None = None
    shared_nodes: int | None = None
    height: int | None = None
    sharing_ratio: float | None = None
    source_bytes: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    counted: str | None = None


SIZES = (
    "tree_operations",
    "tree_nodes",
    "shared_operations",
    "shared_nodes",
    "height",
    "sharing_ratio",
    "source_bytes",
)


def symbolic_forms(
    source: Network | Problem,
    limits: Limits,
    *,
    forms: Sequence[str] = FORMS,
    options: Mapping[str, Any] | None = None,
) -> tuple[Form, ...]:
    """Derive, print and compile each form in a process of its own, under `limits`.

    `options` are those of the backend `symbolic`, such as `differ="sympy"` (which the
    form `shared` does not take) or `max_operations`. A `Problem` has to be picklable:
    its function importable by name. Nothing is raised for a form that explodes.
    """
    # A function of the main script is found only where that is imported too.
    mine = getattr(_parts(source)[0], "__module__", "") == "__main__"
    with LimitedRunner(main=mine) as runner:
        rows = [
            _row(
                form,
                runner.run(measure_form, source, form, options or {}, limits=limits),
            )
            for form in forms
        ]
        if all(row.status == "ok" for row in rows):
            return tuple(rows)
        counted = runner.run(count_by_layers, source, limits=limits)
    sizes = counted.value if counted.status == "ok" else {}
    return tuple(
        row if row.status == "ok" else replace(row, **sizes.get(row.form, {}))
        for row in rows
    )


def count_by_layers(source: Network | Problem) -> dict[str, dict[str, Any]]:
    """Sizes of the forms without deriving them, as fields of `Form`.

    Raises UserInputError for a large program that is not uniform: see `count_forms`.
    """
    traced = trace_program(*_parts(source), 0, False)
    names = [name for name in SIZES if name != "source_bytes"]
    return {
        form: {name: getattr(count, name) for name in (*names, "counted")}
        for form, count in count_forms(traced.program).items()
    }


def _parts(source: Network | Problem) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    problem = source.problem() if isinstance(source, Network) else source
    return problem.function, problem.arguments


def measure_form(
    source: Network | Problem, form: str, options: Mapping[str, Any]
) -> Form:
    """One form in this process, with no limit but the backend's own budgets."""
    warm_up()
    function, arguments = _parts(source)
    if form == "shared":
        options = {key: value for key, value in options.items() if key != "differ"}
    backend = get_backend("symbolic", form=form, **options)
    try:
        prepared = prepare(function, *arguments, backend=backend)
    except ExpressionBudgetError as error:
        needed = int(error.needed) if error.needed is not None else None
        return Form(form, "too_large", str(error), needed)
    info = prepared.info
    sizes = {name: info.details[name] for name in SIZES}
    seconds = {name: info.seconds[name] for name in PHASES if name in info.seconds}
    return Form(form, "ok", seconds=seconds, counted="derived", **sizes)


def _row(form: str, outcome: Outcome) -> Form:
    if outcome.status != "ok":
        return Form(form, outcome.status, outcome.message)
    return outcome.value
