"""The budget on seconds, which can only be asked between steps."""

from __future__ import annotations

from time import perf_counter

from diffkit.errors import ExpressionBudgetError


class Deadline:
    """The budget on seconds, asked between steps."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.start = perf_counter()

    def check(self) -> None:
        """Raise ExpressionBudgetError when the time is spent."""
        if perf_counter() - self.start > self.limit:
            raise ExpressionBudgetError(
                "seconds",
                self.limit,
                None,
                "Raise max_seconds, or use the form 'shared', which is derived in "
                "time proportional to the program.",
            )
