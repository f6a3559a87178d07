"""Windows: the hours in which work may be done."""

from pydantic import Field

from specs.kinds.record import Record
from specs.kinds.recurrence import Days, Window
from specs.types.clock import TimeZone


class Windows(Record):
    """When work on machines may begin. It begins where it will also end before they close."""

    time_zone: TimeZone = Field(
        description="The time zone of all that is written here.", examples=["Asia/Tokyo"]
    )
    allow: tuple[Window, ...] = Field(
        default=(),
        max_length=100,
        description="Hours of work; always where absent.",
        examples=[[{"begin": "22:00", "end": "05:00"}]],
    )
    deny: tuple[Window, ...] = Field(
        default=(),
        max_length=100,
        description="Hours without work. They win over allow.",
        examples=[[{"days": ["mon"], "begin": "00:00", "end": "03:00"}]],
    )
    holidays: Days | None = Field(
        default=None,
        description="Days on which nothing begins; what began before may end on them.",
        examples=[{"calendars": ["japan"]}],
    )
