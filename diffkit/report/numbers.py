"""Numbers for a reader: few digits, the right prefix, exact integers at any size."""

from __future__ import annotations

import math

#: Digits of an exponent.
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
#: A year is the Julian one of astronomers, 365.25 days.
_LONG = ((31_557_600.0, "years"), (86_400.0, "days"), (3_600.0, "hours"))
_BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def log10(number: float) -> float:
    """Base-10 logarithm, also of integers far beyond the range of a float.

    >>> log10(10**400)
    400.0
    """
    return math.log10(number)


def power_of_ten(exponent: int) -> str:
    """As labels of axes say it.

    >>> power_of_ten(-12)
    '10⁻¹²'
    """
    return f"10{str(exponent).translate(SUPERSCRIPT)}"


def count(number: float) -> str:
    """A count: exact below a million, then three figures and a power of ten.

    >>> count(7666), count(16 * 10**97), count(12.0)
    ('7,666', '1.60 × 10⁹⁸', '12')
    """
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if abs(number) < 1_000_000:
        return f"{number:,}" if isinstance(number, int) else f"{number:,.3g}"
    return scientific(number)


def scientific(number: float) -> str:
    """Three figures and a power of ten.

    >>> scientific(0.00012345), scientific(0), scientific(9.999e5)
    ('1.23 × 10⁻⁴', '0', '1.00 × 10⁶')
    """
    if number == 0:
        return "0"
    if isinstance(number, int) and abs(number) > 10**15:
        digits = str(abs(number))
        exponent = len(digits) - 1
        mantissa = float(f"{digits[0]}.{digits[1:16]}")
        if number < 0:
            mantissa = -mantissa
    else:
        text = f"{float(number):.15e}"
        head, _, tail = text.partition("e")
        mantissa, exponent = float(head), int(tail)
    shown = f"{mantissa:.2f}"
    if shown.lstrip("-").startswith("10"):
        shown, exponent = f"{mantissa / 10:.2f}", exponent + 1
    return f"{shown} × 10{str(exponent).translate(SUPERSCRIPT)}"


def seconds(number: float) -> str:
    """A time with the prefix that leaves one to three digits before the point.

    >>> seconds(0.0000024), seconds(75.0), seconds(0.25)
    ('2.40 µs', '75.0 s', '250 ms')
    """
    for unit, name in _SECONDS:
        if abs(number) >= unit:
            return f"{_three(number / unit)} {name}"
    return f"{_three(number * 1e9)} ns"


def duration(number: float) -> str:
    """Seconds in the largest unit of a calendar that holds them once.

    >>> duration(0.25), duration(7200.0), duration(1e6), duration(3.15576e13)
    ('250 ms', '2.00 hours', '11.6 days', '1.00 × 10⁶ years')
    """
    for unit, name in _LONG:
        if number >= unit:
            amount = number / unit
            shown = _three(amount) if amount < 10_000 else scientific(amount)
            return f"{shown} {name}"
    return seconds(number)


def size(number: float) -> str:
    """A number of bytes with a binary prefix.

    >>> size(512), size(3 << 20)
    ('512 bytes', '3.00 MiB')
    """
    for unit, name in _BYTES:
        if abs(number) >= unit:
            return f"{_three(number / unit)} {name}"
    return f"{number:g} bytes"


def times(number: float) -> str:
    """A ratio.

    >>> times(2.345), times(54321.0)
    ('2.35×', '54,321×')
    """
    return f"{_three(number)}×"


def _three(number: float) -> str:
    """Three figures without a power of ten.

    >>> _three(2.4), _three(31.25), _three(999.9), _three(12345)
    ('2.40', '31.2', '1,000', '12,345')
    """
    magnitude = abs(number)
    if magnitude >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if magnitude >= 10 else f"{number:.2f}"
