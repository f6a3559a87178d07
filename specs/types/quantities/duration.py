"""Lengths of time."""

from dataclasses import dataclass
from typing import ClassVar

from specs.types.quantities.quantity import Quantity
from specs.types.quantities.scale import Scale


@dataclass(frozen=True, slots=True, order=True)
class Duration(Quantity):
    """Whole seconds: ``90s``, ``10m``, ``2h``, ``1d``, ``1w``."""

    SCALE: ClassVar = Scale(
        noun="a duration",
        example="10m",
        units={"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800},
        aliases={
            **dict.fromkeys(("sec", "second"), "s"),
            **dict.fromkeys(("min", "minute"), "m"),
            **dict.fromkeys(("hr", "hour"), "h"),
            "day": "d",
            "week": "w",
        },
    )
    seconds: int
