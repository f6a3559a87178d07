"""Schedule: work and power at a time."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.recurrence import Recurrence
from specs.kinds.selector import Selector
from specs.types.invalid_value import InvalidValue
from specs.types.name import PathName


class ScheduledAction(Record):
    """What happens: exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    scenario: PathName | None = Field(
        default=None,
        description="Run the scenario of this name; the moment is its run token.",
        examples=["nightly-backup"],
    )
    power: Literal["on", "off"] | None = Field(
        default=None,
        description="Start the machines, or ask their systems to shut down.",
        examples=["off"],
    )

    @model_validator(mode="after")
    def _is_one_action(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise InvalidValue(
                "wants exactly one of scenario and power", "write one Schedule per action"
            ).as_pydantic()
        return self


class ScheduleSpec(Record):
    """Which machines, what and when."""

    select: Selector = Field(description="The machines.", examples=[{"groups": ["tokyo"]}])
    action: ScheduledAction = Field(
        description="What happens.", examples=[{"scenario": "nightly-backup"}]
    )
    when: Recurrence = Field(
        description="When it happens.",
        examples=[{"cron": "30 2 * * sat", "timeZone": "Asia/Tokyo"}],
    )


class Schedule(Document):
    """A scenario, or power on or off, at a moment or again and again."""

    kind: Literal["Schedule"]
    spec: ScheduleSpec
