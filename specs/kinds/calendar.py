"""Calendar: days that have a name together."""

from typing import Literal

from pydantic import Field

from specs.kinds.metadata import Document, ShownMetadata
from specs.kinds.record import Record
from specs.types.line import Line
from specs.types.timestamp import CalendarDay


class CalendarSpec(Record):
    """The days."""

    dates: tuple[CalendarDay, ...] = Field(
        min_length=1,
        max_length=10_000,
        description="The days, each in the time zone of whatever names the calendar.",
        examples=[["2026-12-29", "2026-12-30", "2026-12-31"]],
    )
    description: Line = Field(
        default="",
        max_length=1000,
        description="One line for people.",
        examples=["Days on which the Tokyo site is closed"],
    )


class Calendar(Document):
    """Days on which nothing begins, for schedules and windows to name."""

    kind: Literal["Calendar"]
    metadata: ShownMetadata
    spec: CalendarSpec
