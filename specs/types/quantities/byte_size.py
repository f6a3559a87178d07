"""Amounts of storage."""

from dataclasses import dataclass
from typing import ClassVar

from specs.types.quantities.quantity import Quantity
from specs.types.quantities.scale import Scale


@dataclass(frozen=True, slots=True, order=True)
class ByteSize(Quantity):
    """Whole bytes, in decimal (``GB``) or binary (``GiB``) units (IEC 80000-13)."""

    SCALE: ClassVar = Scale(
        noun="a size",
        example="1.5TiB",
        units={
            "B": 1,
            "kB": 10**3,
            "MB": 10**6,
            "GB": 10**9,
            "TB": 10**12,
            "PB": 10**15,
            "KiB": 2**10,
            "MiB": 2**20,
            "GiB": 2**30,
            "TiB": 2**40,
            "PiB": 2**50,
        },
    )
    bytes: int
