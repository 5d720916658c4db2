"""Quantities: bytes, GiB, Kubernetes quantity strings, and money in millionths of a dollar."""

import re
from decimal import Decimal
from typing import Final, NewType

Bytes = NewType("Bytes", int)
"""A number of bytes; never negative unless a docstring says so."""

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
GB: Final = 10**9
FLOAT32_BYTES: Final = 4
"""Bytes of an element in fp32."""
MICRO_USD_PER_USD: Final = 10**6

_QUANTITY = re.compile(
    r"^([+-]?[0-9]+(?:\.[0-9]+)?|[+-]?\.[0-9]+)(?:[eE]([+-]?[0-9]+))?([A-Za-z]*)$"
)
_AMOUNT = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,6}))?")
_SUFFIXES: Final[dict[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def parse_quantity(text: str) -> Decimal:
    """The number that a Kubernetes quantity stands for, e.g. `1500m` is 1.5 and `2Gi` 2147483648.

    Raises:
        ValueError: the text is no quantity.
    """
    match = _QUANTITY.match(text.strip())
    if match is None or match.group(3) not in _SUFFIXES or len(text) > 64:
        msg = f"{text[:64]!r} is not a quantity such as 500m, 2 or 80Gi"
        raise ValueError(msg)
    number, exponent, suffix = match.groups()
    if exponent is not None and (suffix or abs(int(exponent)) > 18):
        msg = f"{text[:64]!r} is not a quantity such as 500m, 2 or 80Gi"
        raise ValueError(msg)
    return Decimal(number) * Decimal(10) ** int(exponent or 0) * _SUFFIXES[suffix]


def quantity_bytes(text: str) -> Bytes:
    """Bytes of a quantity string, rounded up; `80Gi` is 85899345920."""
    return Bytes(-int(-parse_quantity(text) // 1))


def format_mebibytes(value: int) -> str:
    """A quantity in whole MiB, rounded up, as Kubernetes reads it: 1 becomes `1Mi`."""
    return f"{-(-value // MIB)}Mi"


def format_gib(value: int) -> str:
    """A size for people, with two digits: 39903838208 becomes `37.16 GiB`."""
    return f"{value / GIB:,.2f} GiB"


def micro_usd(text: str) -> int:
    """Millionths of a dollar of an amount with at most six digits after the point.

    Raises:
        ValueError: the text is no such amount.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        msg = f"{text[:64]!r} is no amount such as 2.50 with at most six digits after the point"
        raise ValueError(msg)
    whole, fraction = match.groups(default="")
    return int(whole) * MICRO_USD_PER_USD + int(fraction.ljust(6, "0"))


def format_usd(value: int) -> str:
    """Millionths of a dollar as an amount, nothing rounded: 27520000 becomes `27.52`."""
    whole, fraction = divmod(value, MICRO_USD_PER_USD)
    return f"{whole}.{f'{fraction:06}'.rstrip('0').ljust(2, '0')}"


def ceil_div(numerator: int, denominator: int) -> int:
    """The quotient of two integers, rounded up."""
    return -(-numerator // denominator)


def ceil_to(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `value`."""
    return ceil_div(value, multiple) * multiple
