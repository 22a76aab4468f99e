"""SymPy meanings of the elementwise primitives: one scalar function a row.

Activations and every function that is not plus, times or an integer power are our own
`sympy.Function` classes: real, finite, never rewritten (`eval` gives None), with their
derivative stated (`fdiff`). SymPy's own classes walk the whole expression when they
are built (`Max`, `Piecewise`), or merge (`exp(a)*exp(b)`), so that the expression is no
longer the one that was written. `stock` says what each means in SymPy's own terms:
the tests prove every `fdiff` against it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from math import sqrt as scalar_sqrt
from typing import Any

import sympy
from sympy import Add, Float, Integer, Mul, Pow

Scalar = Any  # a sympy.Expr; SymPy ships no types
Function: Any = sympy.Function

LN2 = Float(log(2.0))
TWO_OVER_SQRT_PI = Float(2.0 / scalar_sqrt(pi))

ZERO, ONE, MINUS_ONE, TWO = Integer(0), Integer(1), Integer(-1), Integer(2)


def define(name: str, *partials: Callable[..., Scalar], variadic: bool = False) -> Any:
    """A `sympy.Function` class: real, finite, not rewritten, with the given slopes.

    `partials[i](y, *x)` is ∂y/∂xᵢ; a variadic function has one, told which by its
    first argument.
    """

    def fdiff(self: Any, argindex: int = 1) -> Scalar:
        if variadic:
            return partials[0](argindex - 1, self, *self.args)
        return partials[argindex - 1](self, *self.args)

    members = {
        "eval": classmethod(lambda cls, *arguments: None),
        "_should_evalf": classmethod(lambda cls, argument: -1),
        "fdiff": fdiff,
        "is_real": True,
        "is_finite": True,
        "is_commutative": True,
        "__doc__": f"The scalar function `{name}` as a symbol.",
        "__module__": __name__,
    }
    if not variadic:
        members["nargs"] = len(partials)
    return type(name, (Function,), members)


def _zero(*_: Scalar) -> Scalar:
    return ZERO


# ---- helpers that only derivatives use ---------------------------------------

step = define("step", _zero)  # 1 where x > 0, otherwise 0 (0 at 0 and at NaN)
same = define("same", _zero, _zero)  # 1 where x = y, otherwise 0
ties = define("ties", _zero, variadic=True)  # how many arguments equal the first
# b − 1, but 1 where b = 0: so that 0⁰ has slope 0 and not 0·∞
exponent_below = define("exponent_below", lambda y, b: 1 - same(b, ZERO))
# log x where x > 0, otherwise 0
positive_log = define(
    "positive_log",
    lambda y, x: step(x) * Pow(where(greater(x, ZERO), x, ONE), MINUS_ONE),
)

# ---- exponentials and logarithms ---------------------------------------------

exp = define("exp", lambda y, x: y)
expm1 = define("expm1", lambda y, x: exp(x))
exp2 = define("exp2", lambda y, x: y * LN2)
log_ = define("log", lambda y, x: Pow(x, MINUS_ONE))
log1p = define("log1p", lambda y, x: Pow(1 + x, MINUS_ONE))
log2 = define("log2", lambda y, x: Pow(x * LN2, MINUS_ONE))
sqrt = define("sqrt", lambda y, x: Pow(2 * y, MINUS_ONE))
real_power = define(
    "real_power",
    lambda y, x, b: b * real_power(x, exponent_below(b)),
    lambda y, x, b: y * positive_log(x),
)

# ---- trigonometric and hyperbolic ----------------------------------------------

sin = define("sin", lambda y, x: cos(x))
cos = define("cos", lambda y, x: -sin(x))
tan = define("tan", lambda y, x: 1 + Pow(y, TWO))
asin = define("asin", lambda y, x: Pow(sqrt((1 - x) * (1 + x)), MINUS_ONE))
acos = define("acos", lambda y, x: -Pow(sqrt((1 - x) * (1 + x)), MINUS_ONE))
atan = define("atan", lambda y, x: Pow(1 + Pow(x, TWO), MINUS_ONE))
sinh = define("sinh", lambda y, x: cosh(x))
cosh = define("cosh", lambda y, x: sinh(x))
tanh = define("tanh", lambda y, x: 1 - Pow(y, TWO))

# ---- activations and special functions -------------------------------------------

sigmoid = define("sigmoid", lambda y, x: y * (1 - y))
softplus = define("softplus", lambda y, x: sigmoid(x))
erf = define("erf", lambda y, x: TWO_OVER_SQRT_PI * exp(-Pow(x, TWO)))
relu = define("relu", lambda y, x: step(x))
absolute = define("absolute", lambda y, x: sign(x))
sign = define("sign", _zero)

# ---- comparisons and choice ---------------------------------------------------------

equal = define("equal", _zero, _zero)
not_equal = define("not_equal", _zero, _zero)
less = define("less", _zero, _zero)
less_equal = define("less_equal", _zero, _zero)
greater = define("greater", _zero, _zero)
greater_equal = define("greater_equal", _zero, _zero)
logical_and = define("logical_and", _zero, _zero)
logical_or = define("logical_or", _zero, _zero)
logical_xor = define("logical_xor", _zero, _zero)
logical_not = define("logical_not", _zero)
where = define(
    "where",
    _zero,
    lambda y, c, a, b: where(c, ONE, ZERO),
    lambda y, c, a, b: where(c, ZERO, ONE),
)


def _share(i: int, y: Scalar, *x: Scalar) -> Scalar:
    """Arguments that attain the extreme value share its derivative equally."""
    return same(x[i], y) * Pow(ties(y, *x), MINUS_ONE)


largest = define("largest", _share, variadic=True)
smallest = define("smallest", _share, variadic=True)
# logsumexp(x)ᵢ′ = exp(xᵢ − y): never overflows, for y ≥ xᵢ.
logsumexp = define("logsumexp", lambda i, y, *x: exp(x[i] - y), variadic=True)


class BatchSum(Function):
    """Σ over the samples of a batch: `BatchSum(per-sample expression, batch size)`.

    Linear, so that differentiation passes through: ∂Σe/∂p = Σ∂e/∂p.
    """

    is_real = True
    is_finite = True
    is_commutative = True
    nargs = (2,)

    @classmethod
    def eval(cls, expression: Scalar, batch: Scalar) -> Scalar | None:
        """A number is the same in every sample; anything else stays a sum."""
        return expression * batch if expression.is_Number else None

    @classmethod
    def _should_evalf(cls, argument: Scalar) -> int:
        return -1

    def _eval_derivative(self, symbol: Scalar) -> Scalar:
        expression, batch = self.args
        return BatchSum(expression.diff(symbol), batch)


def power(x: Scalar, b: Scalar) -> Scalar:
    """x^b: SymPy's own `Pow` for an integer constant b, otherwise `real_power`."""
    if getattr(b, "is_Integer", False):
        return Pow(x, b)
    return real_power(x, b)


# What `op.sympy` names: a scalar function for every elementwise row.
MEANINGS: dict[str, Callable[..., Scalar]] = {
    "add": Add,
    "subtract": lambda a, b: Add(a, Mul(MINUS_ONE, b)),
    "multiply": Mul,
    "divide": lambda a, b: Mul(a, Pow(b, MINUS_ONE)),
    "negative": lambda x: Mul(MINUS_ONE, x),
    "reciprocal": lambda x: Pow(x, MINUS_ONE),
    "square": lambda x: Pow(x, TWO),
    "power": power,
    "abs": absolute,
    "log": log_,
    "maximum": largest,
    "minimum": smallest,
    **{
        function.__name__: function
        for function in (
            sqrt, exp, expm1, exp2, log1p, log2, sin, cos, tan, asin, acos, atan, sinh,
            cosh, tanh, sigmoid, softplus, erf, relu, sign, equal, not_equal, less,
            less_equal, greater, greater_equal, logical_and, logical_or, logical_xor,
            logical_not, where,
        )
    },
}  # fmt: skip

# The same functions in SymPy's own terms, for proofs and for printing to people.
STOCK: dict[str, Callable[..., Scalar]] = {
    "exp": sympy.exp,
    "expm1": lambda x: sympy.exp(x) - 1,
    "exp2": lambda x: sympy.Integer(2) ** x,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "sqrt": sympy.sqrt,
    "real_power": lambda x, b: x**b,
    "exponent_below": lambda b: b - 1,
    "positive_log": sympy.log,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "erf": sympy.erf,
    "relu": lambda x: (x + sympy.Abs(x)) / 2,
    "step": lambda x: (1 + sympy.sign(x)) / 2,
    "absolute": sympy.Abs,
    "sign": sympy.sign,
    "logsumexp": lambda *x: sympy.log(sympy.Add(*map(sympy.exp, x))),
}
