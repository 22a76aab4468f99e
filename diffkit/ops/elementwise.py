"""Elementwise primitives: the value of an output element needs one of each input.

Each row's `partials[i](g, y, *x)` is g·∂y/∂xᵢ, from which both modes follow. Rules are
written with operators and other rows, never with NumPy, so that they run on anything.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi, prod
from math import sqrt as scalar_sqrt
from typing import Any

import numpy as np
from scipy import special

from diffkit.ops.op import Interval, Irrational, Op, Rule, Shape

LN2 = Irrational(log(2.0), "log(2)")
TWO_OVER_SQRT_PI = Irrational(2.0 / scalar_sqrt(pi), "2/sqrt(pi)")

ANYWHERE = Interval(-3.0, 3.0)
POSITIVE = Interval(0.1, 4.0)
NONZERO = Interval(0.2, 3.0)


def broadcast_shape(*shapes: Shape, **_: Any) -> Shape:
    """The common shape of elementwise inputs, as NumPy broadcasts them."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    if len(shapes) == 2 and not (first and shapes[1]):
        return first or shapes[1]
    return np.broadcast_shapes(*shapes)


def one_per_element(shape: Shape, *_: Shape, **__: Any) -> int:
    """One scalar operation for every output element."""
    return prod(shape)


def _row(
    name: str,
    numpy: Callable[..., Any],
    *partials: Rule | None,
    domain: Interval | tuple[Interval, ...] = ANYWHERE,
    sympy: str | None = None,
    exact: str | None = None,
    **fields: Any,
) -> Op:
    arity = len(partials)
    domains = domain if isinstance(domain, tuple) else (domain,) * arity
    return Op(
        name=name,
        family="elementwise",
        arity=arity,
        infer=broadcast_shape,
        numpy=numpy,
        operations=one_per_element,
        partials=partials,
        domain=domains,
        sympy=sympy or name,
        exact=exact or name,
        **fields,
    )


def _sigmoid(x: Any) -> Any:
    positive = np.real(x) >= 0
    e = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1 / (1 + e), e / (1 + e))


def _softplus(x: Any) -> Any:
    positive = np.real(x) >= 0
    return np.log1p(np.exp(np.where(positive, -x, x))) + np.where(positive, x, 0.0)


# x + GRID − GRID is x rounded to a multiple of 2⁻²⁰ (x itself where nothing rounds).
GRID = 1.5 * 2.0**32
# Beyond this e^(−x²) is zero to float64, and h (no longer near x) is left out.
BELL_END_SQUARED = 900.0


def _bell(x: Any) -> Any:
    """e^(−x²) without the rounding of x², which costs x²/2 ulps: 400 at x = 25.

    With h of 25 bits, h² is exact, and x² = h² + (x − h)(x + h).
    """
    h = where(less(x * x, BELL_END_SQUARED), (x + GRID) - GRID, 0.0)
    return exp(-(h * h)) * exp(-((x - h) * (x + h)))


def _shared_at_tie(chosen: Op) -> tuple[Rule, Rule]:
    """Rules of maximum and minimum: all to the chosen side, half each at a tie."""

    def first(g: Any, y: Any, a: Any, b: Any) -> Any:
        return where(chosen(a, b), g, where(equal(a, b), 0.5 * g, 0.0))

    def second(g: Any, y: Any, a: Any, b: Any) -> Any:
        return where(chosen(b, a), g, where(equal(a, b), 0.5 * g, 0.0))

    return first, second


# ---- arithmetic ------------------------------------------------------------

add = _row("add", np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
subtract = _row("subtract", np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
multiply = _row(
    "multiply", np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a
)
divide = _row(
    "divide",
    np.divide,
    lambda g, y, a, b: g / b,
    lambda g, y, a, b: -(g * y) / b,
    domain=(ANYWHERE, NONZERO),
    flops=4,
)
negative = _row("negative", np.negative, lambda g, y, x: -g)
reciprocal = _row(
    "reciprocal",
    lambda x: 1 / x,
    lambda g, y, x: -(g * square(y)),
    domain=NONZERO,
    flops=4,
)
square = _row("square", np.square, lambda g, y, x: g * (2.0 * x))
sqrt = _row("sqrt", np.sqrt, lambda g, y, x: g * (0.5 / y), domain=POSITIVE, flops=6)
# x^b: the exponent is kept away from b−1 = −1 where b = 0, so that 0⁰ has slope 0 and
# not 0·∞; the slope in b is taken as 0 where x ≤ 0 (x^b·log x tends to 0 at 0⁺).
power = _row(
    "power",
    np.power,
    lambda g, y, x, b: g * (b * power(x, where(equal(b, 0.0), 1.0, b - 1.0))),
    lambda g, y, x, b: g * (y * log_(where(greater(x, 0.0), x, 1.0))),
    domain=(POSITIVE, ANYWHERE),
    flops=40,
    loss="b − 1 is rounded unless it is a float: by x it is off by up to "
    "|b·log x|/2 ulps more",
)

# ---- exponentials and logarithms ---------------------------------------------

exp = _row("exp", np.exp, lambda g, y, x: g * y, flops=16)
expm1 = _row("expm1", np.expm1, lambda g, y, x: g * exp(x), flops=20)
exp2 = _row("exp2", np.exp2, lambda g, y, x: g * (y * LN2), flops=16)
log_ = _row("log", np.log, lambda g, y, x: g / x, domain=POSITIVE, flops=18)
log1p = _row(
    "log1p",
    np.log1p,
    lambda g, y, x: g / (1.0 + x),
    domain=Interval(-0.8, 4.0),
    flops=20,
)
log2 = _row("log2", np.log2, lambda g, y, x: g / (LN2 * x), domain=POSITIVE, flops=18)

# ---- trigonometric and hyperbolic ----------------------------------------------

sin = _row("sin", np.sin, lambda g, y, x: g * cos(x), flops=20)
cos = _row("cos", np.cos, lambda g, y, x: -(g * sin(x)), flops=20)
tan = _row(
    "tan",
    np.tan,
    lambda g, y, x: g * (1.0 + y * y),
    domain=Interval(-1.3, 1.3),
    flops=30,
)
arcsin = _row(
    "arcsin",
    np.arcsin,
    lambda g, y, x: g / sqrt((1.0 - x) * (1.0 + x)),
    domain=Interval(-0.9, 0.9),
    sympy="asin",
    exact="asin",
    flops=25,
)
arccos = _row(
    "arccos",
    np.arccos,
    lambda g, y, x: -g / sqrt((1.0 - x) * (1.0 + x)),
    domain=Interval(-0.9, 0.9),
    sympy="acos",
    exact="acos",
    flops=25,
)
arctan = _row(
    "arctan",
    np.arctan,
    lambda g, y, x: g / (1.0 + x * x),
    sympy="atan",
    exact="atan",
    flops=25,
)
sinh = _row("sinh", np.sinh, lambda g, y, x: g * cosh(x), flops=25)
cosh = _row("cosh", np.cosh, lambda g, y, x: g * sinh(x), flops=25)
# The cheapest form, from y alone: what it loses was lost when y was rounded, so that
# (1 − y)(1 + y) is no better. 4·σ(2x)·σ(−2x) keeps all digits at the price of two
# sigmoids for one fused multiplication.
tanh = _row(
    "tanh",
    np.tanh,
    lambda g, y, x: g * (1.0 - y * y),
    flops=22,
    loss="1 − y² is off by about cosh(x)²/2 ulps: 10 at x = 2, 5·10⁸ at x = 10, all "
    "digits from x = 19.06 on, where y rounds to 1",
)

# ---- activations and special functions -------------------------------------------

# σ(x)·σ(−x) keeps every digit; y·(1 − y) has none left at x = 37.
sigmoid = _row("sigmoid", _sigmoid, lambda g, y, x: g * (y * sigmoid(-x)), flops=20)
softplus = _row("softplus", _softplus, lambda g, y, x: g * sigmoid(x), flops=36)
erf = _row(
    "erf",
    special.erf,
    lambda g, y, x: g * (TWO_OVER_SQRT_PI * _bell(x)),
    flops=30,
)
relu = _row(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda g, y, x: where(greater(x, 0.0), g, 0.0),
    analytic=False,
    kink="relu'(0) = 0",
)
abs_ = _row(
    "abs",
    np.abs,
    lambda g, y, x: g * sign(x),
    analytic=False,
    kink="abs'(0) = 0",
)
sign = _row(
    "sign",
    np.sign,
    lambda g, y, x: 0.0 * g,
    analytic=False,
    kink="sign'(0) = 0",
)

# ---- comparisons and choice ---------------------------------------------------------


def _comparison(name: str, numpy: Callable[..., Any]) -> Op:
    return _row(name, numpy, None, None, kind="boolean", analytic=False)


equal = _comparison("equal", np.equal)
not_equal = _comparison("not_equal", np.not_equal)
less = _comparison("less", np.less)
less_equal = _comparison("less_equal", np.less_equal)
greater = _comparison("greater", np.greater)
greater_equal = _comparison("greater_equal", np.greater_equal)
logical_and = _comparison("logical_and", np.logical_and)
logical_or = _comparison("logical_or", np.logical_or)
logical_xor = _comparison("logical_xor", np.logical_xor)
logical_not = _row("logical_not", np.logical_not, None, kind="boolean", analytic=False)

where = _row(
    "where",
    np.where,
    None,
    lambda g, y, c, a, b: where(c, g, 0.0),
    lambda g, y, c, a, b: where(c, 0.0, g),
)
maximum = _row(
    "maximum",
    np.maximum,
    *_shared_at_tie(greater),
    analytic=False,
    kink="a tie shares equally",
)
minimum = _row(
    "minimum",
    np.minimum,
    *_shared_at_tie(less),
    analytic=False,
    kink="a tie shares equally",
)

ROWS: tuple[Op, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Op))
