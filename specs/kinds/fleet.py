"""Fleet: what holds for all machines."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.commits import Commits
from specs.kinds.metadata import Metadata
from specs.kinds.record import API_VERSION, Record
from specs.quantity.bounds import between
from specs.quantity.duration import Duration

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


class Budgets(Record):
    """Limits on what may happen to the fleet at a time."""

    destructive: DestructiveBudget = Field(
        default_factory=DestructiveBudget, description="For work that overwrites disks."
    )


class Observation(Record):
    """What is believed of machines."""

    max_age: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(3600),
        description="An observation older than this is UNKNOWN. Between 1m and 1w.",
        examples=["1h"],
    )


class FleetSpec(Record):
    """The settings of a fleet."""

    budgets: Budgets = Field(default_factory=Budgets, description="Limits on work at a time.")
    observation: Observation = Field(
        default_factory=Observation, description="When news is too old."
    )
    commits: Commits = Field(default_factory=Commits, description="By whom commits must be signed.")


class Fleet(Record):
    """What holds for all machines. A repository has at most one; without it, defaults hold."""

    api_version: Literal["rackwright/v1alpha1"] = Field(examples=[API_VERSION])
    kind: Literal["Fleet"]
    metadata: Metadata
    spec: FleetSpec = Field(default_factory=FleetSpec)
