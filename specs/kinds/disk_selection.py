"""Which disk is meant."""

from typing import Literal

from pydantic import Field

from specs.kinds.record import Record
from specs.types.line import HardwareText


class DiskSelection(Record):
    """Which disk a step means. Where it fits more than one, the step fails instead of guessing."""

    role: Literal["system"] = Field(
        default="system",
        description="system: the only fixed disk, or the one that the other fields name.",
        examples=["system"],
    )
    wwn: HardwareText | None = Field(
        default=None, description="Its World Wide Name.", examples=["0x5000c500a1b2c3d4"]
    )
    serial: HardwareText | None = Field(
        default=None, description="Its serial number.", examples=["S3Z8NB0K123456"]
    )
    path: HardwareText | None = Field(
        default=None,
        description="Where it is attached, as under /dev/disk/by-path.",
        examples=["pci-0000:00:04.0"],
    )
