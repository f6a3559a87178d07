"""Schedule: work and power at a time."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.kinds.metadata import Document, ShownMetadata
from specs.kinds.record import Record
from specs.kinds.recurrence import Recurrence
from specs.kinds.selector import Selector
from specs.types.invalid_value import InvalidValue
from specs.types.name import PathName
from specs.types.quantities import Duration, between


class ScheduledAction(Record):
    """What happens: exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    scenario: PathName | None = Field(
        default=None,
        description="Run the scenario of this name; the moment is its run token.",
        examples=["nightly-backup"],
    )
    power: Literal["on", "off", "reboot"] | None = Field(
        default=None,
        description="on: start the machines. off, reboot: ask their installed systems, through "
        "their agents, to shut down or to restart.",
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
    start_interval: Annotated[Duration, between(Duration(1), Duration(3600))] | None = Field(
        default=None,
        description="Time from one machine's start to the next one's, in the order of their "
        "names. Between 1s and 1h; all start at once where absent.",
        examples=["10s"],
    )
    jitter: Annotated[Duration, between(Duration(1), Duration(86_400))] | None = Field(
        default=None,
        description="Each machine starts later by up to this long, always by the same time: it "
        "follows from the names. Between 1s and 1d.",
        examples=["15m"],
    )
    approved: Literal["destructive"] | None = Field(
        default=None,
        description="destructive: whoever reviewed this document approved that the scenario "
        "overwrites disks each time, unattended. Without it such a scenario is not begun.",
        examples=["destructive"],
    )

    @model_validator(mode="after")
    def _approves_what_is_done(self) -> Self:
        if self.approved is not None and self.action.scenario is None:
            raise InvalidValue(
                "approves a scenario, and the action is none", "remove it", field="approved"
            ).as_pydantic()
        return self


class Schedule(Document):
    """A scenario, or power on or off, at a moment or again and again."""

    kind: Literal["Schedule"]
    metadata: ShownMetadata
    spec: ScheduleSpec
