"""`formula`: the gradient of a function or program, written for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffkit.backends.base import Program
from diffkit.backends.symbolic.formula_code import c, python
from diffkit.backends.symbolic.formula_lines import (
    DEFAULT_OPERATIONS,
    Language,
    lines_of,
    program_of,
)
from diffkit.backends.symbolic.formula_markup import latex, mathml, text
from diffkit.errors import unknown_name

LANGUAGES: Mapping[str, Language] = {
    "text": text,
    "latex": latex,
    "mathml": mathml,
    "python": python,
    "c": c,
}


def formula(
    f: Program | Callable[..., Any],
    args: Sequence[Any] = (),
    *,
    language: str = "text",
    argnums: int = 0,
    batch: str = "auto",
    max_operations: int = DEFAULT_OPERATIONS,
) -> str:
    """Value and gradient of a scalar function, written one named intermediate a line.

    `f` is a function, traced at the example `args` and differentiated by the one
    numbered `argnums`, or a program that is traced already. `language` is `text`,
    `latex` (an `align*`), `mathml`, `python` (a function over NumPy arrays) or `c`
    (C99). With `batch="auto"` samples stay columns where they can, and a sum over them
    is one line; "written_out" writes every sample.

    Raises UnknownNameError for another language, ExpressionBudgetError when the
    formula would hold more than `max_operations` operations.

    >>> import numpy as np
    >>> print(formula(lambda w: w * np.sin(w), [2.0]), end="")
    v1 = sin(w)
    v2 = w*v1
    v3 = cos(w)
    v4 = w*v3
    v5 = v1 + v4
    L = v2
    dL/dw = v5
    """
    if language not in LANGUAGES:
        raise unknown_name("language for a formula", language, LANGUAGES)
    program = f if isinstance(f, Program) else program_of(f, args, argnums)
    return LANGUAGES[language](lines_of(program, batch, max_operations))
