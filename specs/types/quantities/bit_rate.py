"""Speeds of links."""

from dataclasses import dataclass
from typing import ClassVar

from specs.types.quantities.quantity import Quantity
from specs.types.quantities.scale import Scale


@dataclass(frozen=True, slots=True, order=True)
class BitRate(Quantity):
    """Whole bits per second, in decimal units as network links are rated."""

    SCALE: ClassVar = Scale(
        noun="a bit rate",
        example="400Mbit/s",
        units={"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9},
        aliases={"bps": "bit/s", "kbps": "kbit/s", "mbps": "Mbit/s", "gbps": "Gbit/s"},
    )
    bits_per_second: int
