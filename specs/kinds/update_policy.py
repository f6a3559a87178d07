"""UpdatePolicy: which packages machines install by themselves, and when."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.recurrence import Window
from specs.kinds.selector import Selector
from specs.types.clock import TimeOfDay, TimeZone
from specs.types.invalid_value import InvalidValue
from specs.types.name import Name
from specs.types.quantities import BitRate, Duration, between
from specs.types.urgency import UrgencyBound


class UpdateChecks(Record):
    """When a machine looks for packages. What it missed while it was off, it does afterwards."""

    at: tuple[TimeOfDay, ...] = Field(
        default=(),
        max_length=24,
        description="Times of day, on the machine's own clock.",
        examples=[["12:15"]],
    )
    at_startup: bool = Field(
        default=False, description="true: whenever the machine has started.", examples=[True]
    )
    on_notice: bool = Field(
        default=True, description="true: when the server asks it to.", examples=[True]
    )
    on_urgency: UrgencyBound = Field(
        default="highest",
        description="As soon as a package of this urgency or a higher one is published.",
        examples=["highest"],
    )


class UpdateInstallation(Record):
    """How packages are installed, and what people at the machine may say about it."""

    when: Literal["now", "next-startup", "logged-off"] = Field(
        default="now",
        description="now: as soon as they are there. next-startup: when the machine starts next. "
        "logged-off: when nobody is logged in.",
        examples=["logged-off"],
    )
    confirm: bool = Field(
        default=False,
        description="true: the person at the machine is asked first.",
        examples=[True],
    )
    countdown: Annotated[Duration, between(Duration(5), Duration(3600))] = Field(
        default=Duration(30),
        description="How long before a reboot the person at the machine is warned. "
        "Between 5s and 1h.",
        examples=["30s"],
    )
    deadline: Annotated[Duration, between(Duration(3600), Duration(90 * 86_400))] | None = Field(
        default=None,
        description="How long a person may put it off; for ever where absent. Between 1h and 90d.",
        examples=["7d"],
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        max_length=20,
        description="When it may begin; at any time where absent.",
        examples=[[{"begin": "22:00", "end": "05:00"}]],
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="The time zone of the windows; the machine's own where absent.",
        examples=["Asia/Tokyo"],
    )


class UpdateLimits(Record):
    """What the updates of many machines may cost at one time."""

    machines: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="Machines that fetch at one moment.", examples=[20]
    )
    max_rate: Annotated[BitRate, between(BitRate(10**5), BitRate(10**11))] | None = Field(
        default=None,
        description="What each may use of the network; all where absent.",
        examples=["10Mbit/s"],
    )


class UpdatePolicySpec(Record):
    """Which machines, which packages, when and how."""

    select: Selector = Field(description="The machines.", examples=[{"groups": ["tokyo"]}])
    order: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=1000,
        description="Of several policies for one machine, the one with the lowest number holds; "
        "equal ones by name.",
        examples=[100],
    )
    packages: tuple[Name, ...] = Field(
        default=(),
        max_length=1000,
        description="Packages that the machines always get.",
        examples=[["example-agent"]],
    )
    urgency: UrgencyBound = Field(
        default="high",
        description="They also get every package for their system of this urgency or a higher "
        "one; never: only those that are listed.",
        examples=["high"],
    )
    checks: UpdateChecks = Field(
        default_factory=UpdateChecks, description="When a machine looks for packages."
    )
    install: UpdateInstallation = Field(
        default_factory=UpdateInstallation, description="How they are installed."
    )
    limits: UpdateLimits = Field(
        default_factory=UpdateLimits, description="What it may cost at one time."
    )

    @model_validator(mode="after")
    def _is_ever_asked(self) -> Self:
        checks = self.checks
        by_urgency = checks.on_urgency != "never"
        if not (checks.at or checks.at_startup or checks.on_notice or by_urgency):
            raise InvalidValue(
                "the machines would never look for packages",
                "set at, atStartup, onNotice or onUrgency",
                field="checks",
            ).as_pydantic()
        return self


class UpdatePolicy(Document):
    """Which packages machines install by themselves. They decide alone, also without a server."""

    kind: Literal["UpdatePolicy"]
    spec: UpdatePolicySpec
