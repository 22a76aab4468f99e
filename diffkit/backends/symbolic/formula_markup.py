"""The gradient's formula for readers: plain text, LaTeX and MathML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from diffkit.backends.symbolic.formula_lines import (
    INDEX,
    Formula,
    Input,
    Line,
    Operand,
    Symbol,
    plain,
)

RELATIONS = {
    "equal": ("=", "=", "="),
    "not_equal": ("≠", r"\neq", "≠"),
    "less": ("<", "<", "<"),
    "less_equal": ("≤", r"\leq", "≤"),
    "greater": (">", ">", ">"),
    "greater_equal": ("≥", r"\geq", "≥"),
    "logical_and": ("and", r"\wedge", "∧"),
    "logical_or": ("or", r"\vee", "∨"),
    "logical_xor": ("xor", r"\oplus", "⊕"),
}
UPRIGHT = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")
# LaTeX's own function names; every other is set upright.
LATEX_NAMES = {
    **{name: rf"\{name}" for name in UPRIGHT},
    "asin": r"\arcsin",
    "acos": r"\arccos",
    "atan": r"\arctan",
    "log2": r"\log_2",
    "largest": r"\max",
    "smallest": r"\min",
    "sigmoid": r"\sigma",
    "sign": r"\operatorname{sgn}",
    "erf": r"\operatorname{erf}",
    "ties": r"\#",
}
TEXT_NAMES = {"largest": "max", "smallest": "min", "absolute": "abs"}


def text(formula: Formula) -> str:
    """Plain text: `v1 = x[b,0]*w[0,1]`, one intermediate a line."""
    out = [f"{_plain_entry(line)} = {_plain_line(line)}" for line in formula.lines]
    out.append(f"L = {_plain_operand(formula.value)}")
    for given, entries in zip(formula.wrt, formula.gradients, strict=True):
        for place, entry in enumerate(entries):
            name = _plain_operand(_symbol(given, place))
            out.append(f"dL/d{name} = {_plain_operand(entry)}")
    columns = [
        f"{name}[{INDEX}] = {column.tolist()}[{INDEX}]"
        for name, column in formula.columns.items()
    ]
    return "\n".join([*columns, *out]) + "\n"


def _symbol(given: Input, place: int) -> Symbol:
    index: list[int] = []
    for n in reversed(given.shape):
        index.insert(0, place % n)
        place //= n
    return Symbol(given.name, tuple(index), False, given.shape)


def _plain_entry(line: Line) -> str:
    return f"v{line.number}[{INDEX}]" if line.column else f"v{line.number}"


def _plain_operand(operand: Operand) -> str:
    if isinstance(operand, Line):
        return _plain_entry(operand)
    if not isinstance(operand, Symbol):
        digits = plain(operand)
        return f"({digits})" if digits.startswith("-") else digits
    index = [INDEX] if operand.column else []
    index += [str(i) for i in operand.index]
    return f"{operand.name}[{','.join(index)}]" if index else operand.name


def _plain_line(line: Line) -> str:
    head, x = line.head, [_plain_operand(operand) for operand in line.operands]
    if head == "add":
        return " + ".join(x)
    if head == "multiply":
        return "*".join(x)
    if head == "power":
        return f"{x[0]}^{x[1]}"
    if head == "batch_sum":
        return f"sum over {INDEX} of {x[0]}"
    if head in RELATIONS:
        return f"{x[0]} {RELATIONS[head][0]} {x[1]}"
    if head == "where":
        return f"{x[1]} if {x[0]} else {x[2]}"
    return f"{TEXT_NAMES.get(head, head)}({', '.join(x)})"


@dataclass(frozen=True, slots=True)
class Markup:
    """One way to set mathematics: atoms, applied functions, and pieces side by side."""

    symbol: Callable[[str, Sequence[str]], str]  # a name with subscripts
    number: Callable[[str], str]
    function: Callable[[str, Sequence[str]], str]
    sign: Callable[[str], str]
    power: Callable[[str, str], str]
    fraction: Callable[[str, str], str]
    total: Callable[[str, int], str]  # a sum over the samples
    cases: Callable[[str, str, str], str]
    relation: Callable[[str], str]
    derivative: Callable[[str], str]


def _operand(operand: Operand, set_: Markup) -> str:
    if isinstance(operand, Line):
        index = (
            [INDEX, str(operand.number)] if operand.column else [str(operand.number)]
        )
        return set_.symbol("v", index)
    if isinstance(operand, Symbol):
        index = [INDEX] if operand.column else []
        return set_.symbol(operand.name, [*index, *map(str, operand.index)])
    return set_.number(plain(operand))


def _line(line: Line, set_: Markup, batch: int) -> str:
    head, x = line.head, [_operand(operand, set_) for operand in line.operands]
    if head == "add":
        return set_.sign("+").join(x)
    if head == "multiply":
        first, *rest = line.operands
        if not isinstance(first, Line | Symbol):
            return set_.sign("·").join(x)
        # SymPy's order is kept, but a number reads better in front.
        numbers = [o for o in rest if not isinstance(o, Line | Symbol)]
        others = [o for o in line.operands if isinstance(o, Line | Symbol)]
        ordered: list[Operand] = [*numbers, *others]
        return set_.sign("·").join(_operand(o, set_) for o in ordered)
    if head == "power":
        exponent = line.operands[1]
        assert isinstance(exponent, int)
        if exponent == -1:
            return set_.fraction(set_.number("1"), x[0])
        return set_.power(x[0], x[1])
    if head == "batch_sum":
        return set_.total(x[0], batch)
    if head in RELATIONS:
        return x[0] + set_.relation(head) + x[1]
    if head == "where":
        return set_.cases(*x)
    return set_.function(head, x)


# ---- LaTeX ------------------------------------------------------------------------


def _latex_name(name: str) -> str:
    word = name.replace("_", r"\_")
    return name if len(name) == 1 else rf"\mathrm{{{word}}}"


def _latex_number(digits: str) -> str:
    if "e" not in digits:
        return f"({digits})" if digits.startswith("-") else digits
    mantissa, exponent = digits.split("e")
    return rf"({mantissa} \cdot 10^{{{int(exponent)}}})"


def _latex_function(head: str, x: Sequence[str]) -> str:
    if head == "sqrt":
        return rf"\sqrt{{{x[0]}}}"
    if head == "absolute":
        return rf"\left|{x[0]}\right|"
    if head == "real_power":
        return f"{{{x[0]}}}^{{{x[1]}}}"
    if head == "logical_not":
        return rf"\neg {x[0]}"
    word = head.replace("_", r"\_")
    name = LATEX_NAMES.get(head, rf"\operatorname{{{word}}}")
    return rf"{name}\left({', '.join(x)}\right)"


LATEX = Markup(
    symbol=lambda name, index: (
        f"{_latex_name(name)}_{{{','.join(index)}}}" if index else _latex_name(name)
    ),
    number=_latex_number,
    function=_latex_function,
    sign=lambda sign: {"+": " + ", "·": r" \, "}[sign],
    power=lambda base, exponent: f"{{{base}}}^{{{exponent.strip('()')}}}",
    fraction=lambda above, below: rf"\frac{{{above}}}{{{below}}}",
    total=lambda x, batch: rf"\sum_{{{INDEX}=1}}^{{{batch}}} {x}",
    cases=lambda c, x, y: (
        rf"\begin{{cases}} {x} & \text{{if }} {c} \\ {y} & \text{{otherwise}}"
        r" \end{cases}"
    ),
    relation=lambda head: f" {RELATIONS[head][1]} ",
    derivative=lambda name: rf"\frac{{\partial L}}{{\partial {name}}}",
)


def latex(formula: Formula) -> str:
    """An `align*` environment (amsmath), one intermediate a line."""
    lines = _equations(formula, LATEX)
    rows = [f"  {left} &= {right}" for left, right in lines]
    body = " \\\\\n".join(rows)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}\n"


def _equations(formula: Formula, set_: Markup) -> list[tuple[str, str]]:
    out = []
    for name, column in formula.columns.items():
        for sample, number in enumerate(column.tolist()):
            out.append(
                (set_.symbol(name, [str(sample + 1)]), set_.number(plain(number)))
            )
    out += [
        (_operand(line, set_), _line(line, set_, formula.batch))
        for line in formula.lines
    ]
    out.append((set_.symbol("L", []), _operand(formula.value, set_)))
    for given, entries in zip(formula.wrt, formula.gradients, strict=True):
        for place, entry in enumerate(entries):
            name = _operand(_symbol(given, place), set_)
            out.append((set_.derivative(name), _operand(entry, set_)))
    return out


# ---- MathML ----------------------------------------------------------------------


def _tag(name: str, *content: str) -> str:
    return f"<{name}>{''.join(content)}</{name}>"


def _mathml_function(head: str, x: Sequence[str]) -> str:
    if head == "sqrt":
        return _tag("msqrt", x[0])
    if head == "real_power":
        return _tag("msup", x[0], x[1])
    comma = _tag("mo", ",")
    inside = _tag("mo", "(") + comma.join(x) + _tag("mo", ")")
    return _tag("mrow", _tag("mi", TEXT_NAMES.get(head, head)), inside)


MATHML = Markup(
    symbol=lambda name, index: (
        _tag("msub", _tag("mi", name), _tag("mn", escape(",".join(index))))
        if index
        else _tag("mi", name)
    ),
    number=lambda digits: _tag("mn", digits),
    function=_mathml_function,
    sign=lambda sign: _tag("mo", sign),
    power=lambda base, exponent: _tag("msup", base, exponent),
    fraction=lambda above, below: _tag("mfrac", above, below),
    total=lambda x, batch: (
        _tag(
            "munderover",
            _tag("mo", "∑"),
            _tag("mrow", _tag("mi", INDEX), _tag("mo", "="), _tag("mn", "1")),
            _tag("mn", str(batch)),
        )
        + x
    ),
    cases=lambda c, x, y: _tag(
        "mrow",
        _tag("mo", "{"),
        _tag(
            "mtable",
            _tag("mtr", _tag("mtd", x), _tag("mtd", _tag("mtext", "if "), c)),
            _tag("mtr", _tag("mtd", y), _tag("mtd", _tag("mtext", "otherwise"))),
        ),
    ),
    relation=lambda head: _tag("mo", escape(RELATIONS[head][2])),
    derivative=lambda name: _tag(
        "mfrac",
        _tag("mrow", _tag("mi", "∂"), _tag("mi", "L")),
        _tag("mrow", _tag("mi", "∂"), name),
    ),
)


def mathml(formula: Formula) -> str:
    """Presentation MathML: a table with one intermediate a line."""
    rows = [
        "  " + _tag("mtr", _tag("mtd", left), _tag("mtd", _tag("mo", "="), right))
        for left, right in _equations(formula, MATHML)
    ]
    body = "\n".join(rows)
    return (
        '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">\n<mtable>\n'
        f"{body}\n</mtable>\n</math>\n"
    )
