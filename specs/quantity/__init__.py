"""Amounts that are written with their unit: ``10m``, ``1.5TiB``, ``400Mbit/s``."""

from specs.quantity.bit_rate import BitRate
from specs.quantity.byte_size import ByteSize
from specs.quantity.duration import Duration

__all__ = ["BitRate", "ByteSize", "Duration"]
