"""Numbers as the page says them, read back: '1.60 × 10⁹⁸', '2.10 ms', '45 %'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_NUMBER = re.compile(
    r"""(?P<sign>[-−+])?
        (?: (?P<digits>\d[\d,]*)(?:\.(?P<decimals>\d+))?
            (?:\s*[×·]\s*10(?P<power>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+) | e(?P<e>[-+]?\d+))?
        )
        (?P<alone>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?
        (?:\s*(?P<unit>ns|µs|ms|s|KiB|MiB|GiB|kB|MB|GB|%|years|days|hours|million|billion)
           (?![\w/]))?
    """,
    re.VERBOSE,
)
_UNITS = {
    "ns": Decimal("1e-9"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "KiB": Decimal(1 << 10),
    "MiB": Decimal(1 << 20),
    "GiB": Decimal(1 << 30),
    "kB": Decimal("1e3"),
    "MB": Decimal("1e6"),
    "GB": Decimal("1e9"),
    "%": Decimal("0.01"),
    "years": Decimal(31_557_600),
    "days": Decimal(86_400),
    "hours": Decimal(3_600),
    "million": Decimal("1e6"),
    "billion": Decimal("1e9"),
}


@dataclass(frozen=True)
class Said:
    """A number in a text: its value, and half of what its last digit is worth.

    A power of ten that stands alone ('10⁻⁷') names a magnitude: ``power`` is it.
    """

    value: Decimal
    within: Decimal
    power: int | None = None

    def agrees(self, value: Decimal) -> bool:
        """Whether rounding this value to the digits shown gives the number."""
        if self.power is not None:
            # Rounded in the logarithm, or the number of digits less one.
            return value > 0 and (
                abs(value.log10() - self.power) <= Decimal("0.5")
                or value.adjusted() == self.power
            )
        # Half a digit, and what a binary fraction may lie off a decimal one.
        slack = abs(value) * Decimal("1e-12")
        return abs(value - self.value) <= self.within + slack


def numbers(text: str) -> Iterator[Said]:
    """The numbers of a text, in order.

    >>> [str(said.value) for said in numbers("1.60 × 10⁹⁸ or −3 in 2.10 ms")]
    ['1.60E+98', '-3', '0.00210']
    """
    for found in _NUMBER.finditer(text.replace("\u202f", " ").replace("\xa0", " ")):
        whole = found["digits"].replace(",", "")
        decimals = found["decimals"] or ""
        sign = "-" if found["sign"] in ("-", "−") else ""
        power = int((found["power"] or "0").translate(_SUPERSCRIPT))
        power += int(found["e"] or 0)
        unit = _UNITS[found["unit"]] if found["unit"] else Decimal(1)
        if found["alone"]:
            base, exponent = Decimal(whole), int(found["alone"].translate(_SUPERSCRIPT))
            if base == 10:
                yield Said(base**exponent, Decimal(0), exponent)
            continue
        value = Decimal(f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}")
        digit = Decimal(5).scaleb(power - len(decimals) - 1)
        yield Said(value.scaleb(power) * unit, digit * unit)
