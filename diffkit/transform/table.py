"""Which backend gives which derivative, and what each costs in primal evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from diffkit.backends import Backend, backend_names, get_backend
from diffkit.backends.base import DERIVATIVES, Capabilities
from diffkit.backends.formula import count
from diffkit.errors import BackendError, DiffkitError


@dataclass(frozen=True, slots=True)
class CapabilityRow:
    """One backend and one derivative.

    `evaluations` is a formula in n (scalars put in; P for the parameters of a scalar
    function) and m (scalars that come out). It counts evaluations of the primal, a
    derived program of its own counting as one; empty where the backend does not give
    the derivative. `status` is "ok", "no", or why the backend cannot be loaded.
    """

    backend: str
    derivative: str
    evaluations: str
    method: str
    exact: bool
    dtypes: tuple[str, ...]
    status: str


@dataclass(frozen=True, slots=True)
class CapabilityTable:
    """Rows, one for each backend and derivative; `print` shows them as a table.

    `pandas.DataFrame(table.records())` makes a frame of them.
    """

    rows: tuple[CapabilityRow, ...]

    def __iter__(self) -> Iterator[CapabilityRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> list[dict[str, object]]:
        """The rows as dictionaries."""
        return [asdict(row) for row in self.rows]

    def row(self, backend: str, derivative: str) -> CapabilityRow:
        """One row by its names; raises BackendError where there is none."""
        for row in self.rows:
            if (row.backend, row.derivative) == (backend, derivative):
                return row
        raise BackendError(f"The table has no row for {backend!r} and {derivative!r}.")

    def __str__(self) -> str:
        head = ("backend", "derivative", "evaluations", "method", "status")
        lines = [head, *(tuple(getattr(r, h) for h in head) for r in self.rows)]
        widths = [max(len(line[c]) for line in lines) for c in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))
            for line in lines
        )


def capabilities(backends: Sequence[str | Backend] | None = None) -> CapabilityTable:
    """What each backend gives, by which method, at what cost.

    Without arguments, all backends that are known; those that cannot be loaded (their
    package is missing) are rows that say so. A value that is not a by-product of the
    derivative costs one evaluation more.

    >>> row = capabilities(["autodiff"]).row("autodiff", "jacobian")
    >>> row.evaluations, row.status
    ('min(n, m)', 'ok')
    """
    rows: list[CapabilityRow] = []
    for backend in backend_names() if backends is None else backends:
        try:
            chosen = get_backend(backend)
        except (DiffkitError, ImportError) as problem:
            name = backend if isinstance(backend, str) else backend.name
            why = f"unavailable: {problem}"
            rows += [
                CapabilityRow(name, d, "", "", False, (), why) for d in DERIVATIVES
            ]
            continue
        rows += [_row(chosen, derivative) for derivative in DERIVATIVES]
    return CapabilityTable(tuple(rows))


def _row(backend: Backend, derivative: str) -> CapabilityRow:
    what = backend.capabilities
    if derivative not in what.derivatives:
        return CapabilityRow(
            backend.name, derivative, "", "", what.exact, what.dtypes, "no"
        )
    formula, method = composed(what, derivative)
    formula = what.costs.get(derivative, formula)
    return CapabilityRow(
        backend.name, derivative, formula, method, what.exact, what.dtypes, "ok"
    )


def composed(what: Capabilities, derivative: str) -> tuple[str, str]:
    """The cost and the method of a derivative composed from a backend's gradients."""
    in_n = what.evaluations.replace("P", "n")
    one = count(what.evaluations, P=1)
    rows = _times("m", in_n)
    if what.forward_mode:
        by_columns = "n" if in_n == "n" else f"min(n, {rows})"
        table = {
            "jvp": ("1", "tangent program"),
            "jacobian": (by_columns, "n pushforwards or m pullbacks"),
            "hvp": ("1", "forward over reverse"),
            "hessian": ("n", "forward over reverse, n times"),
        }
    elif what.vector:
        table = {
            "jvp": (str(one), "derivative along a line"),
            "jacobian": (in_n, "gradient of all outputs at once"),
            "hvp": (str(one), "grad f along a line"),
            "hessian": (in_n, "gradient of all of grad f at once"),
        }
    else:
        lines = _times("m", str(one))
        columns = _times("n", lines)
        table = {
            "jvp": (lines, "one line derivative for each output"),
            "jacobian": (f"min({rows}, {columns})", "m pullbacks or n pushforwards"),
            "hvp": (in_n, "gradient of <grad f, v>"),
            "hessian": (_times("n", in_n), "n gradients of <grad f, v>"),
        }
    table["gradient"] = (what.evaluations, "gradient of a scalar")
    table["vjp"] = (in_n, "gradient of <w, f>")
    return table[derivative]


def _times(letter: str, formula: str) -> str:
    if formula == "1":
        return letter
    plain = formula.isalnum()
    if plain and formula[0].isdigit():
        digits = formula.rstrip("abcdefghijklmnopqrstuvwxyz")
        return f"{digits}{letter}{formula[len(digits) :]}"
    return f"{letter}{formula}" if plain else f"{letter}({formula})"
