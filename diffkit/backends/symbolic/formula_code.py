"""The gradient's formula as source that others compile: Python (NumPy) and C99."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod

from diffkit.backends.symbolic.formula_lines import (
    INDEX,
    Formula,
    Line,
    Operand,
    Symbol,
    plain,
)

Texts = Callable[[Operand], str]

# Helpers of the generated code, by the head that needs them; written only when used.
PYTHON_HELPERS: Mapping[str, str] = {
    "sigmoid": "np.exp(-np.logaddexp(0.0, -x))",
    "softplus": "np.logaddexp(0.0, x)",
    "relu": "np.maximum(x, 0.0)",
    "erf": "np.vectorize(math.erf, otypes=[float])(x)",
    "step": "np.greater(x, 0) * 1.0",
    "same": "np.equal(x, y) * 1.0",
    "exponent_below": "np.where(np.equal(x, 0), 1.0, x - 1.0)",
    "positive_log": "np.log(np.where(np.greater(x, 0), x, 1.0))",
}
PYTHON_NAMES = {
    "asin": "np.arcsin",
    "acos": "np.arccos",
    "atan": "np.arctan",
    "absolute": "np.abs",
    "real_power": "np.power",
}
PYTHON_FOLDS = {
    "largest": "np.maximum",
    "smallest": "np.minimum",
    "logsumexp": "np.logaddexp",
}

C_HELPERS: Mapping[str, str] = {
    "sigmoid": "x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x))",
    "softplus": "x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))",
    "relu": "x > 0 || isnan(x) ? x : 0.0",
    "sign": "isnan(x) ? x : (x > 0) - (x < 0)",
    "step": "x > 0",
    "same": "x == y",
    "exponent_below": "x == 0 ? 1 : x - 1",
    "positive_log": "x > 0 ? log(x) : 0.0",
    "largest": "isnan(x) || x > y ? x : y",
    "smallest": "isnan(x) || x < y ? x : y",
    "logsumexp": "x == y ? x + log(2) : (x > y ? x + log1p(exp(y - x)) "
    ": y + log1p(exp(x - y)))",
    "where": "c != 0 ? x : y",
    "equal": "x == y",
    "not_equal": "x != y",
    "less": "x < y",
    "less_equal": "x <= y",
    "greater": "x > y",
    "greater_equal": "x >= y",
    "logical_and": "x != 0 && y != 0",
    "logical_or": "x != 0 || y != 0",
    "logical_xor": "(x != 0) != (y != 0)",
    "logical_not": "x == 0",
}
C_NAMES = {"absolute": "fabs", "real_power": "pow"}
C_FOLDS = {"largest": "largest", "smallest": "smallest", "logsumexp": "logsumexp"}


def python(formula: Formula) -> str:
    """A function `gradient(inputs...)` -> (value, gradients...) in Python and NumPy.

    Columns of a batch are NumPy vectors; everything else is a number.
    """
    heads = _heads(formula.lines)
    out = ["import numpy as np", ""]
    if "erf" in heads:
        out.insert(0, "import math")
    for head in sorted(heads & PYTHON_HELPERS.keys()):
        arguments = "x, y" if head == "same" else "x"
        out += ["", f"def {head}({arguments}):", f"    return {PYTHON_HELPERS[head]}"]
        out.append("")
    names = ", ".join(given.name for given in formula.inputs)
    out += ["", f"def gradient({names}):"]
    if "nan" in heads:
        out.append("    nan, inf = float('nan'), float('inf')")
    body = [
        f"{name} = np.array({column.tolist()})"
        for name, column in formula.columns.items()
    ]
    body += [f"v{line.number} = {_apply(line, _PYTHON)}" for line in formula.lines]
    results = [f"value = {_python_operand(formula.value)}"]
    for given, entries in zip(formula.wrt, formula.gradients, strict=True):
        listed = ", ".join(map(_python_operand, entries))
        results.append(
            f"gradient_{given.name} = np.array([{listed}], dtype=float)"
            f".reshape({given.shape})"
        )
    returned = ", ".join(["value", *(f"gradient_{g.name}" for g in formula.wrt)])
    out += [f"    {line}" for line in [*body, *results, f"return {returned}"]]
    return "\n".join(out) + "\n"


def c(formula: Formula) -> str:
    """A C99 function `double gradient(inputs..., gradients...)`, which gives the value.

    Arrays are flat, in C order; samples are computed in loops over the batch.
    """
    out = ["#include <math.h>", ""]
    heads = _heads(formula.lines)
    out += [_c_helper(head) for head in sorted(heads & C_HELPERS.keys())]
    arguments = [f"const double *{given.name}" for given in formula.inputs]
    arguments += [f"double *gradient_{given.name}" for given in formula.wrt]
    out += ["", f"double gradient({', '.join(arguments) or 'void'})", "{"]
    for name, column in formula.columns.items():
        digits = ", ".join(repr(float(x)) for x in column)
        out.append(f"    static const double {name}[{len(column)}] = {{{digits}}};")
    for lines in _stages(formula):
        if lines[0].column:
            out += [f"    double v{line.number}[{formula.batch}];" for line in lines]
            out.append(
                f"    for (int {INDEX} = 0; {INDEX} < {formula.batch}; {INDEX}++) {{"
            )
            out += [
                f"        v{line.number}[{INDEX}] = {_apply(line, _C)};"
                for line in lines
            ]
            out.append("    }")
            continue
        for line in lines:
            name = f"v{line.number}"
            if line.head == "batch_sum":
                out.append(f"    double {name} = 0;")
                out.append(
                    f"    for (int {INDEX} = 0; {INDEX} < {formula.batch}; {INDEX}++) "
                    f"{name} += {_c_operand(line.operands[0])};"
                )
            else:
                out.append(f"    double {name} = {_apply(line, _C)};")
    for given, entries in zip(formula.wrt, formula.gradients, strict=True):
        out += [
            f"    gradient_{given.name}[{place}] = {_c_operand(entry)};"
            for place, entry in enumerate(entries)
        ]
    out += [f"    return {_c_operand(formula.value)};", "}"]
    return "\n".join(out) + "\n"


def _c_helper(head: str) -> str:
    body = C_HELPERS[head]
    arguments = ["x", "y"] if "y" in body.replace("exp", "") else ["x"]
    if head == "where":
        arguments = ["c", "x", "y"]
    listed = ", ".join(f"double {name}" for name in arguments)
    return f"static double {head}({listed}) {{ return {body}; }}"


def _heads(lines: Iterable[Line]) -> set[str]:
    heads: set[str] = set()
    for line in lines:
        heads.add(line.head)
        if any(isinstance(x, float) and x != x for x in line.operands):
            heads.add("nan")
        if any(isinstance(x, float) and abs(x) == float("inf") for x in line.operands):
            heads.add("nan")
        if line.head == "ties":
            heads.add("same")
    return heads


def _stages(formula: Formula) -> list[list[Line]]:
    """The lines in runs that are wholly within, or wholly outside, a loop over samples.

    A column waits for the last sum over the batch that it needs; so there are no more
    loops than there are sums that depend on each other.
    """
    # Even stages are outside the loops, odd ones inside.
    stage: dict[int, int] = {}
    runs: dict[int, list[Line]] = {}
    for line in formula.lines:
        here = 1 if line.column else 0
        for operand in line.operands:
            if isinstance(operand, Line):
                there = stage[operand.number]
                apart = (there % 2 == 1) != line.column
                here = max(here, there + apart)
        stage[line.number] = here
        runs.setdefault(here, []).append(line)
    return [runs[here] for here in sorted(runs)]


class _Style:
    """How operands and functions are written in one of the two languages."""

    def __init__(
        self,
        operand: Texts,
        names: Mapping[str, str],
        folds: Mapping[str, str],
        helpers: Mapping[str, str],
        prefix: str,
        power: str,
    ) -> None:
        self.operand, self.names, self.folds = operand, names, folds
        self.helpers, self.prefix, self.power = helpers, prefix, power


def _apply(line: Line, style: _Style) -> str:
    head, texts = line.head, [style.operand(x) for x in line.operands]
    if head == "add":
        return " + ".join(texts)
    if head == "multiply":
        return " * ".join(texts)
    if head == "power":
        exponent = line.operands[1]
        assert isinstance(exponent, int)
        return _power(texts[0], exponent, style.power)
    if head == "batch_sum":
        return f"np.sum({texts[0]})"
    if head == "ties":
        return " + ".join(f"same({x}, {texts[0]})" for x in texts[1:])
    if head in style.folds:
        folded = texts[0]
        for text in texts[1:]:
            folded = f"{style.folds[head]}({folded}, {text})"
        return folded
    name = style.names.get(head)
    if name is None:
        name = head if head in style.helpers else f"{style.prefix}{head}"
    return f"{name}({', '.join(texts)})"


def _power(base: str, exponent: int, power: str) -> str:
    n = abs(exponent)
    text = " * ".join([base] * n) if n <= 3 else f"{power}({base}, {n})"
    if exponent > 0:
        return text
    return f"1.0 / ({text})" if 1 < n <= 3 else f"1.0 / {text}"


def _negative_apart(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def _python_operand(operand: Operand) -> str:
    if isinstance(operand, Line):
        return f"v{operand.number}"
    if not isinstance(operand, Symbol):
        return _negative_apart(plain(operand))
    if operand.name.startswith("k") and not operand.index and operand.column:
        return operand.name
    index = [":", *map(str, operand.index)] if operand.column else operand.index
    listed = ", ".join(map(str, index))
    return f"{operand.name}[{listed}]" if listed else operand.name


def _c_operand(operand: Operand) -> str:
    if isinstance(operand, Line):
        return f"v{operand.number}[{INDEX}]" if operand.column else f"v{operand.number}"
    if not isinstance(operand, Symbol):
        text = {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}.get(
            str(operand), plain(float(operand))
        )
        return _negative_apart(text)
    shape = operand.shape[1:] if operand.column else operand.shape
    place = 0
    for i, n in zip(operand.index, shape, strict=True):
        place = place * n + i
    if not operand.column:
        return f"{operand.name}[{place}]"
    elements = prod(shape)
    if elements == 1:
        return f"{operand.name}[{INDEX}]"
    return f"{operand.name}[{INDEX} * {elements} + {place}]"


_PYTHON = _Style(
    _python_operand, PYTHON_NAMES, PYTHON_FOLDS, PYTHON_HELPERS, "np.", "np.power"
)
_C = _Style(_c_operand, C_NAMES, C_FOLDS, C_HELPERS, "", "pow")
