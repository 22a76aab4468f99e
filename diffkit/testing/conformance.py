"""What any backend promises, as checks that any backend can be put through.

In a test file, parametrize a test over `conformance("my_backend")`, with `ids=str`, and
call what it is given: `check()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diffkit.backends import Backend, get_backend
from diffkit.testing import costs, promises, threads, values


@dataclass(frozen=True, slots=True)
class ConformanceCheck:
    """One promise, for one backend: call it, and it raises ConformanceError if broken.

    `str(check)` is its name, for pytest's ids.
    """

    name: str
    backend: Backend
    run: Callable[[Backend], None]

    def __call__(self) -> None:
        self.run(self.backend)

    def __str__(self) -> str:
        return self.name


CHECKS: dict[str, Callable[[Backend], None]] = {
    "interface": promises.interface,
    "gradient": values.gradient,
    "nested parameters": values.nested,
    "some arguments only": values.some_arguments,
    "constant function": values.constant,
    "zero size": values.zero_size,
    "float32": values.float32,
    "NaN and infinity": values.nan_and_infinity,
    "auxiliary outputs": values.auxiliary,
    "prepared at another point": promises.another_point,
    "twice in a row": promises.twice,
    "results are fresh": promises.fresh_results,
    "inputs are read only": promises.inputs_kept,
    "any memory layout": promises.any_layout,
    "every form of a call": promises.every_form,
    "mismatch by shape, dtype and structure": promises.mismatch,
    "two threads": threads.two_threads,
    "capability table": costs.table_is_true,
    "derivatives": costs.derivatives_are_right,
}


def conformance(backend: str | Backend) -> list[ConformanceCheck]:
    """Every check for a backend, by name or value, ready for `parametrize`.

    Raises UnknownNameError or UserInputError for what is no backend.

    >>> checks = conformance("autodiff")
    >>> str(checks[1])
    'gradient'
    >>> checks[1]()
    """
    chosen = get_backend(backend)
    return [ConformanceCheck(name, chosen, run) for name, run in CHECKS.items()]
