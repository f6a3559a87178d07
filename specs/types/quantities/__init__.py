"""Amounts that are written with their unit: ``10m``, ``1.5TiB``, ``400Mbit/s``."""

from specs.types.quantities.bit_rate import BitRate
from specs.types.quantities.byte_size import ByteSize
from specs.types.quantities.duration import Duration

__all__ = ["BitRate", "ByteSize", "Duration"]
