"""Elementary functions written so that LLVM turns a loop over them into vector code.

Numba's own `exp`, `tanh`, … call one libm function per element (16–20 ns). These are
branch-free: every element takes the same path, choices are selects, and powers of two
are made by adding to the exponent field. A loop over them costs 1–1.5 ns an element.

Method: Cody and Waite (1980), "Software Manual for the Elementary Functions", for the
reductions; the logarithm in s = f/(2+f) is the classical artanh series. Coefficients
are Chebyshev approximations of the stated function on the stated interval, computed
at 60 digits and rounded (`tests/engine/test_vector_math.py` derives them again).

Bounds in units in the last place (ulp), tested against exact values, float64:
exp 1, exp2 1.1, expm1 1.5, log 1, log1p 1, log2 2, sigmoid 2.5, tanh 2.5, softplus 2,
erf 1.5; 0.5 ulp more where the result is subnormal. float32 goes through float64 and is
rounded once: 0.5001 ulp. NaN, infinities, signed zeros and saturation follow IEEE 754
and NumPy.
"""

from __future__ import annotations

from math import inf, nan

from llvmlite import ir
from numba import types

from diffkit.engine.jit import intrinsic, scalar

LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has 21 trailing zero bits, so that n·LN2_HIGH is exact.
LN2_HIGH = 0.6931471803691238
LN2_LOW = 1.9082149292705877e-10
LN2 = 0.6931471805599453
# 1.5·2⁵²: adding it rounds to an integer and leaves that integer in the low bits.
ROUNDER = 6755399441055744.0
ROUNDER_BITS = 0x4338000000000000
EXPONENT_BIAS = 1023
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
SMALLEST_NORMAL = 2.2250738585072014e-308
TWO_54 = 18014398509481984.0

# (eʳ − 1 − r)/r² on |r| ≤ ln(2)/2.
EXPM1_TAIL = (
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326084,
    0.0013888888888883711,
    0.0001984126987500228,
    2.480158732567746e-05,
    2.755725517000089e-06,
    2.755727347871858e-07,
    2.5105312729622103e-08,
    2.09147553258932e-09,
)
# (log((1+s)/(1−s))/s − 2)/s² in s² for √½ ≤ (1+s)/(1−s) ≤ √2.
LOG_TAIL = (
    0.666666666666667,
    0.3999999999989827,
    0.2857142862653362,
    0.22222211043776857,
    0.18182895750119193,
    0.1533150161114533,
    0.1461916613488797,
)
# erf(x)/x − 1 in x² on |x| ≤ 1.
ERF_SMALL = (
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954879,
    -0.026866170645076792,
    0.0052239776248180145,
    -0.000854832698083379,
    0.0001205533111164271,
    -1.4925595266831182e-05,
    1.6461000484121368e-06,
    -1.6350312701054695e-07,
    1.4659775274047436e-08,
    -1.1372848856791674e-09,
    5.957176147748911e-11,
)
# erfc(x)·exp(x²) in t = (x−3)/(x+3) for 1 ≤ x ≤ 6.
ERFCX = (
    0.17900115118138996,
    -0.3262335600430372,
    0.24560380171233487,
    -0.15011593650077898,
    0.07166583719747308,
    -0.024392499318915004,
    0.004269136356961225,
    0.0007077464666941425,
    -0.0005970624964924544,
    4.525434558991009e-05,
    6.406279226046039e-05,
    -1.2845780030775907e-05,
    -8.00978093907608e-06,
    2.0135111426447427e-06,
    1.2755818949624478e-06,
    3.381355142042904e-09,
)


@intrinsic
def bits_of(typingctx, value):
    """The 64 bits of a float64 as an integer."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def float_of(typingctx, bits):
    """The float64 with the given 64 bits."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def _copysign(typingctx, magnitude, sign):
    def codegen(context, builder, signature, arguments):
        double = ir.DoubleType()
        function = builder.module.declare_intrinsic(
            "llvm.copysign", [double], ir.FunctionType(double, [double, double])
        )
        return builder.call(function, arguments)

    return types.float64(types.float64, types.float64), codegen


@scalar
def _power_of_two(n):
    return float_of((n + EXPONENT_BIAS) << 52)


@scalar
def _scale(y, n):
    """y·2ⁿ in two steps, so that 2ⁿ may lie outside the normal numbers."""
    half = n >> 1
    return y * _power_of_two(half) * _power_of_two(n - half)


@scalar
def _expm1_tail(r):
    c = EXPM1_TAIL
    low = c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * (c[4] + r * c[5]))))
    r2 = r * r
    r6 = r2 * r2 * r2
    return low + r6 * (c[6] + r * (c[7] + r * (c[8] + r * (c[9] + r * c[10]))))


@scalar
def exp(x):
    """eˣ = 2ⁿ·eʳ with n = round(x/ln 2)."""
    x = min(x, 710.0)
    x = max(x, -746.0)
    shifted = x * LOG2_E + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    k = shifted - ROUNDER
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    return _scale(1.0 + (r + r * r * _expm1_tail(r)), n)


@scalar
def exp2(x):
    """2ˣ = 2ⁿ·e^(ln(2)(x−n)) with n = round(x)."""
    x = min(x, 1025.0)
    x = max(x, -1077.0)
    shifted = x + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    r = (x - (shifted - ROUNDER)) * LN2
    return _scale(1.0 + (r + r * r * _expm1_tail(r)), n)


@scalar
def expm1(x):
    """eˣ − 1 = 2ⁿ·((1 − 2⁻ⁿ) + (eʳ − 1)), the small sum carried in two parts."""
    y = min(x, 710.0)
    y = max(y, -60.0)
    shifted = y * LOG2_E + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    k = shifted - ROUNDER
    r_high = y - k * LN2_HIGH
    r = r_high - k * LN2_LOW
    r_error = (r_high - r) - k * LN2_LOW
    # 2⁻ⁿ underflows to a harmless subnormal or zero for n > 1022.
    offset = 1.0 - (_power_of_two(-n) if n < 1000 else 0.0)
    total = offset + r
    error = (r - (total - offset)) + r_error
    result = _scale(total + (error + r * r * _expm1_tail(r)), n)
    return x if x == 0.0 else result  # keeps −0


@scalar
def _log_reduced(u, correction):
    """K and log(m + e) for u + correction = 2ᵏ(m + e), √½ ≤ m < √2."""
    bits = bits_of(u)
    k = (bits - SQRT_HALF_BITS) >> 52
    m = float_of(bits - (k << 52))
    f = m - 1.0
    e = correction * _power_of_two(-k)
    f_sum = f + e
    s = f_sum / (2.0 + f_sum)
    z = s * s
    c = LOG_TAIL
    tail = c[0] + z * (
        c[1] + z * (c[2] + z * (c[3] + z * (c[4] + z * (c[5] + z * c[6]))))
    )
    # log(1+f) = f − (f²/2 − s·(f²/2 + z·tail)), which loses nothing for small f.
    half_square = 0.5 * f_sum * f_sum
    k_float = float_of(k + ROUNDER_BITS) - ROUNDER
    return k_float, f_sum, half_square - s * (half_square + z * tail)


@scalar
def _log_ends(x, result):
    result = result if x < inf else x
    return result if x > 0.0 else (-inf if x == 0.0 else nan)


@scalar
def log(x):
    """k·ln 2 + log m for x = 2ᵏm; subnormal arguments are scaled by 2⁵⁴ first."""
    tiny = x < SMALLEST_NORMAL
    u = x * TWO_54 if tiny else x
    k, f, tail = _log_reduced(u, 0.0)
    k = k - 54.0 if tiny else k
    return _log_ends(x, k * LN2_HIGH - ((tail - k * LN2_LOW) - f))


@scalar
def log2(x):
    """log₂(2ᵏm) = k + log(m)/ln 2."""
    tiny = x < SMALLEST_NORMAL
    u = x * TWO_54 if tiny else x
    k, f, tail = _log_reduced(u, 0.0)
    k = k - 54.0 if tiny else k
    return _log_ends(x, k + (f - tail) * LOG2_E)


@scalar
def log1p(x):
    """log(1 + x), with the rounding error of 1 + x put back into the mantissa."""
    u = 1.0 + x
    low = x - (u - 1.0) if x < 1.0 else 1.0 - (u - x)
    k, f, tail = _log_reduced(u, low if x < 1e16 else 0.0)
    result = _log_ends(u, k * LN2_HIGH - ((tail - k * LN2_LOW) - f))
    return x if x == 0.0 else result  # keeps −0


@scalar
def tanh(x):
    """Tanh x = t/(t + 2) with t = e^(2|x|) − 1 = 2ⁿp, hence p/(p + 2¹⁻ⁿ); sign of x."""
    magnitude = abs(x)
    magnitude = min(magnitude, 22.0)
    y = 2.0 * magnitude
    shifted = y * LOG2_E + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    k = shifted - ROUNDER
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    inverse = _power_of_two(-n)
    offset = 1.0 - inverse
    total = offset + r
    p = total + ((r - (total - offset)) + r * r * _expm1_tail(r))
    return _copysign(p / (p + (inverse + inverse)), x)


@scalar
def sigmoid(x):
    """1/(1 + e⁻ˣ), or eˣ/(1 + eˣ) for x < 0: no overflow, full accuracy in the tail."""
    e = exp(-abs(x))
    return (e if x < 0.0 else 1.0) / (1.0 + e)


@scalar
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log1p(e^(−|x|))."""
    positive = max(x, 0.0)
    return positive + log1p(exp(-abs(x)))


@scalar
def erf(x):
    """X + x·P(x²) for |x| < 1, else 1 − e^(−x²)·Q((|x|−3)/(|x|+3))."""
    magnitude = abs(x)
    magnitude = min(magnitude, 6.0)
    z = magnitude * magnitude
    c = ERF_SMALL
    low = c[0] + z * (c[1] + z * (c[2] + z * (c[3] + z * (c[4] + z * c[5]))))
    z3 = z * z * z
    high = c[6] + z * (
        c[7] + z * (c[8] + z * (c[9] + z * (c[10] + z * (c[11] + z * c[12]))))
    )
    small = magnitude + magnitude * (low + z3 * z3 * high)
    t = (magnitude - 3.0) / (magnitude + 3.0)
    d = ERFCX
    low = d[0] + t * (
        d[1] + t * (d[2] + t * (d[3] + t * (d[4] + t * (d[5] + t * (d[6] + t * d[7])))))
    )
    high = d[8] + t * (
        d[9]
        + t
        * (d[10] + t * (d[11] + t * (d[12] + t * (d[13] + t * (d[14] + t * d[15])))))
    )
    t4 = t * t * t * t
    large = 1.0 - exp(-z) * (low + t4 * t4 * high)
    return _copysign(small if magnitude < 1.0 else large, x)
