"""How a machine is switched on."""

from typing import Literal

from pydantic import Field

from specs.kinds.record import Record


class Power(Record):
    """The way to switch a machine on. A level that sets it replaces it as a whole."""

    driver: Literal["wake-on-lan", "manual"] = Field(
        description="wake-on-lan: by a magic packet to the boot NIC. manual: a person does it.",
        examples=["wake-on-lan"],
    )
