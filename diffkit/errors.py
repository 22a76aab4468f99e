"""Every error diffkit raises on purpose: what is wrong, why, and what to do.

One base class, `DiffkitError`, so that a caller can catch all of them. Errors about
what the user handed in are `ValueError`s too; a missing package is an `ImportError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DiffkitError(Exception):
    """Base of every error raised on purpose."""


class UserInputError(DiffkitError, ValueError):
    """Something handed to diffkit cannot be used as it is."""


class ShapeError(UserInputError):
    """Shapes that do not fit each other or the operation."""


class DtypeError(UserInputError):
    """An array of the wrong type: integers for parameters, objects, strings."""


class NonFiniteError(UserInputError):
    """NaN or infinity where a finite number is needed."""


class UnknownNameError(UserInputError):
    """A name that is not in a registry; carries the nearest known ones."""


class PreparationMismatchError(UserInputError):
    """A prepared program was called with other shapes, dtypes or structure."""


class NondeterministicError(UserInputError):
    """A function or a backend that answers otherwise when it is asked again."""


class TraceError(DiffkitError, TypeError):
    """A Python function that cannot be turned into a graph."""


class TraceControlFlowError(TraceError):
    """Python control flow that depends on a traced value."""


class TraceMutationError(TraceError):
    """Assignment into a traced value."""


class UnsupportedFunctionError(TraceError):
    """A NumPy function, or an option of one, that diffkit does not trace."""


class GradientMismatchError(DiffkitError, AssertionError):
    """A gradient that disagrees with its reference beyond the tolerance.

    `report` is the `CheckReport` that says where and by how much.
    """

    def __init__(self, message: str, report: object = None) -> None:
        self.report = report
        super().__init__(message)


class ConformanceError(DiffkitError, AssertionError):
    """A backend that breaks the interface's promises."""


class ExpressionBudgetError(DiffkitError):
    """An expression grew past a budget; the numbers, never the expression.

    `quantity` names what was counted, `limit` is the budget, `needed` the count (a
    Python integer, exact at any size) or None where it is only known to be exceeded.
    """

    def __init__(
        self, quantity: str, limit: float, needed: float | None, advice: str = ""
    ) -> None:
        self.quantity, self.limit, self.needed = quantity, limit, needed
        count = "more than that" if needed is None else _count(needed)
        super().__init__(
            f"The expression needs {count} {quantity}, and the budget is "
            f"{_count(limit)}: it was stopped before it was written out. "
            + (advice or "Raise the budget, or use the form 'shared'.")
        )


class MissingDependencyError(DiffkitError, ImportError):
    """An optional package that was asked for and is not installed."""

    def __init__(self, package: str, purpose: str, extra: str | None = None) -> None:
        self.package = package
        command = (
            f"pip install 'diffkit[{extra}]'" if extra else f"pip install {package}"
        )
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: {command}"
        )


class BackendError(DiffkitError):
    """A backend that cannot do what was asked, or broke its contract."""


class LackingOperationError(BackendError):
    """A peer whose library lacks an operation that the program uses: unavailable."""


class ArenaTooLargeError(DiffkitError, MemoryError):
    """A program whose memory is more than there is; refused before it is asked for.

    `needed_bytes` were to be allocated, `available_bytes` are there.
    """

    def __init__(
        self, what: str, needed_bytes: int, available_bytes: int, advice: str = ""
    ) -> None:
        self.what, self.advice = what, advice
        self.needed_bytes, self.available_bytes = needed_bytes, available_bytes
        super().__init__(
            f"{what} needs {needed_bytes:,} bytes, and {available_bytes:,} are "
            "available (what the system and its control groups leave to this "
            "process): nothing was allocated. "
            + (advice or "Use smaller arrays (a smaller batch), or float32.")
        )


class BackendWarning(UserWarning):
    """A plugin that is broken, or takes a name of diffkit's; the others still work."""


class CacheError(DiffkitError, OSError):
    """A cache folder or file that cannot be used."""


class CacheWarning(UserWarning):
    """The engine's compiled code cannot be kept; everything still works."""


class StoreError(DiffkitError, OSError):
    """A run store that cannot be used: locked, not writable, of another version."""


class ReportError(DiffkitError, OSError):
    """A report folder or file that cannot be read or written."""


class PageError(ReportError):
    """A page that cannot be made from its rows; the rows are kept."""


class ExperimentError(DiffkitError):
    """An experiment that is missing, broken, or gave rows that do not fit."""


class ClockError(DiffkitError):
    """A clock that stands still or jumps, so that nothing can be timed with it."""


class DivergenceError(DiffkitError, ArithmeticError):
    """Training whose loss stopped being finite; `history` is all of it up to there."""

    history: object = None


class CheckpointError(DiffkitError, OSError):
    """A checkpoint that cannot be written or read.

    When it could not be written during training, `history` holds that training as it
    stands, in memory; nothing that was learned is lost with the file.
    """

    history: object = None

    def __str__(self) -> str:
        # An OSError that knows its errno would show that instead of the message.
        return str(self.args[0])


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training.

    `history` is the training up to there; `checkpoint` the file that it can be resumed
    from, or None.
    """

    def __init__(self, message: str, history: object, checkpoint: str | None) -> None:
        super().__init__(message)
        self.history = history
        self.checkpoint = checkpoint


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when none is close.

    >>> nearest("autodif", ["autodiff", "symbolic"])
    'autodiff'
    """
    found = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """An `UnknownNameError` that lists what is known and suggests the nearest.

    >>> print(unknown_name("backend", "autodif", ["autodiff", "null"]))
    There is no backend named 'autodif'. Did you mean 'autodiff'? Known: autodiff, null.
    """
    known = sorted(known)
    close = nearest(str(name), known)
    hint = f" Did you mean {close!r}?" if close else ""
    return UnknownNameError(
        f"There is no {kind} named {name!r}.{hint} Known: {', '.join(known)}."
    )


def _count(number: float) -> str:
    """Digits for a reader: exact up to a million, then three figures.

    >>> _count(1234), _count(16 * 10**97)
    ('1,234', '1.60e98')
    """
    if isinstance(number, int) and abs(number) >= 1_000_000:
        digits = str(abs(number))
        return f"{'-' if number < 0 else ''}{digits[0]}.{digits[1:3]}e{len(digits) - 1}"
    return f"{number:,}"
