"""Fleet: what holds for all machines."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.commits import Commits
from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.machine_fields import DriftPolicy
from specs.types.name import Name, PathName
from specs.types.quantities import Duration, between

MAX_AT_ONCE = 1000
MAX_PER_HOUR = 10_000
"""Bounds that keep a budget from meaning "unlimited"."""


class DestructiveBudget(Record):
    """How many machines may have a disk overwritten. Cannot be switched off."""

    at_once: int = Field(
        default=1,
        ge=1,
        le=MAX_AT_ONCE,
        description="Machines in destructive work at one moment. Cannot be switched off.",
        examples=[1],
    )
    per_hour: int = Field(
        default=10,
        ge=1,
        le=MAX_PER_HOUR,
        description="Machines whose destructive work begins within any one hour. Cannot be "
        "switched off.",
        examples=[10],
    )


class DisruptiveBudget(Record):
    """How many machines may be taken out of service. Cannot be switched off."""

    at_once: int = Field(
        default=20,
        ge=1,
        le=MAX_AT_ONCE,
        description="Machines in disruptive work at one moment. Cannot be switched off.",
        examples=[20],
    )
    per_hour: int = Field(
        default=200,
        ge=1,
        le=MAX_PER_HOUR,
        description="Machines whose disruptive work begins within any one hour. Cannot be "
        "switched off.",
        examples=[200],
    )


class GroupBudget(Record):
    """Limits for one group and all below it, besides those of the fleet."""

    group: PathName = Field(description="The group.", examples=["tokyo/row2"])
    destructive: DestructiveBudget | None = Field(
        default=None, description="For work that overwrites disks; the fleet's where absent."
    )
    disruptive: DisruptiveBudget | None = Field(
        default=None, description="For work that interrupts service; the fleet's where absent."
    )


class Budgets(Record):
    """Limits on what may happen to the fleet at a time."""

    destructive: DestructiveBudget = Field(
        default_factory=DestructiveBudget, description="For work that overwrites disks."
    )
    disruptive: DisruptiveBudget = Field(
        default_factory=DisruptiveBudget,
        description="For work that overwrites no disk, on machines whose installed system may be "
        "running: its agent was heard once, and no restart since.",
    )
    groups: tuple[GroupBudget, ...] = Field(
        default=(),
        max_length=1000,
        description="Limits for groups. They come on top of the fleet's: all must be kept. A "
        "machine counts in the groups that it is in now; `status` names the budget that work "
        "waits for.",
        examples=[[{"group": "tokyo/row2", "disruptive": {"atOnce": 2}}]],
    )


class Observation(Record):
    """What is believed of machines."""

    max_age: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(3600),
        description="An observation older than this is UNKNOWN. Between 1m and 1w.",
        examples=["1h"],
    )


class Defaults(Record):
    """What holds for machines where neither they nor their groups say otherwise."""

    network: Name | None = Field(
        default=None,
        description="The Network of machines whose groups name none.",
        examples=["tokyo-a"],
    )
    drift: DriftPolicy | None = Field(
        default=None,
        description="What is done where an installed system is not as the repository wants it, as "
        "in Group; report where absent.",
        examples=["off"],
    )


class FleetSpec(Record):
    """The settings of a fleet."""

    budgets: Budgets = Field(default_factory=Budgets, description="Limits on work at a time.")
    observation: Observation = Field(
        default_factory=Observation, description="When news is too old."
    )
    commits: Commits = Field(default_factory=Commits, description="By whom commits must be signed.")
    defaults: Defaults = Field(
        default_factory=Defaults, description="What holds where nothing nearer says otherwise."
    )


class Fleet(Document):
    """What holds for all machines. A repository has at most one; without it, defaults hold."""

    kind: Literal["Fleet"]
    spec: FleetSpec = Field(default_factory=FleetSpec)
