"""Hold: no new work on some machines until a time."""

from typing import Literal

from pydantic import Field

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.selector import Selector
from specs.types.line import Line
from specs.types.timestamp import Timestamp


class HoldSpec(Record):
    """Which machines are left alone, how long, by whom and why."""

    select: Selector = Field(description="The machines.", examples=[{"groups": ["tokyo/row2"]}])
    until: Timestamp = Field(
        description="When the hold ends by itself, with the offset from UTC.",
        examples=["2026-12-01T06:00:00+09:00"],
    )
    owner: Line = Field(
        min_length=1,
        max_length=200,
        description="Who is asked about it: a person or a team.",
        examples=["storage team"],
    )
    reason: Line = Field(
        min_length=1,
        max_length=1000,
        description="Why, for those who find their machine held.",
        examples=["disks are being replaced"],
    )


class Hold(Document):
    """No new work begins on the machines until the time has come. What runs goes on."""

    kind: Literal["Hold"]
    spec: HoldSpec
