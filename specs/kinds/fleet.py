"""Fleet: what holds for all machines."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.approvals import Approvals
from specs.kinds.commits import Commits
from specs.kinds.image_store import ImageStore
from specs.kinds.metadata import Document
from specs.kinds.reboot_lock import RebootLock
from specs.kinds.record import Record
from specs.kinds.rollout import Rollout
from specs.kinds.waits import Waits
from specs.kinds.windows import Windows
from specs.machine_fields import DriftPolicy
from specs.types.name import Name, PathName
from specs.types.quantities import ByteSize, Duration, between

MAX_AT_ONCE = 1000
MAX_PER_HOUR = 10_000
MAX_PER_MINUTE = 6_000
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


class WorkBudget(Record):
    """How many machines may be at work of any kind, and how fast they begin. Always holds."""

    at_once: int = Field(
        default=20,
        ge=1,
        le=MAX_AT_ONCE,
        description="Machines at work at one moment, whatever the work is. Cannot be switched off.",
        examples=[20],
    )
    per_minute: int = Field(
        default=30,
        ge=1,
        le=MAX_PER_MINUTE,
        description="Machines on which work begins within a minute, evenly spaced: 30 is one "
        "every 2 seconds. Rooms, switches and this server have to follow. Cannot be switched off.",
        examples=[30],
    )


class ImagingBudget(Record):
    """How many machines may move images at a time. Always holds."""

    at_once: int = Field(
        default=5,
        ge=1,
        le=MAX_AT_ONCE,
        description="Machines that are captured or restored by this server at one moment. "
        "Cannot be switched off.",
        examples=[5],
    )


class ScopeBudget(Record):
    """Limits for a part of the fleet, besides those of the fleet; where absent only those hold."""

    work: WorkBudget | None = Field(default=None, description="For work of any kind.")
    imaging: ImagingBudget | None = Field(
        default=None, description="For work that captures or restores."
    )
    destructive: DestructiveBudget | None = Field(
        default=None, description="For work that overwrites disks."
    )
    disruptive: DisruptiveBudget | None = Field(
        default=None, description="For work that interrupts service."
    )


class GroupBudget(ScopeBudget):
    """Limits for one group and all below it, besides those of the fleet."""

    group: PathName = Field(description="The group.", examples=["tokyo/row2"])


class NetworkBudget(ScopeBudget):
    """Limits for the machines of one network, besides those of the fleet."""

    network: Name = Field(description="The network.", examples=["tokyo-a"])


class ScenarioBudget(ScopeBudget):
    """Limits for the machines in one scenario, besides those of the fleet."""

    scenario: PathName = Field(description="The scenario.", examples=["golden-compute"])


class Budgets(Record):
    """Limits on what may happen to the fleet at a time. All that concern a machine are kept."""

    work: WorkBudget = Field(default_factory=WorkBudget, description="For work of any kind.")
    imaging: ImagingBudget = Field(
        default_factory=ImagingBudget, description="For work that captures or restores."
    )
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
    networks: tuple[NetworkBudget, ...] = Field(
        default=(),
        max_length=1000,
        description="Limits for networks, on top of the fleet's.",
        examples=[[{"network": "tokyo-a", "imaging": {"atOnce": 2}}]],
    )
    scenarios: tuple[ScenarioBudget, ...] = Field(
        default=(),
        max_length=1000,
        description="Limits for scenarios, on top of the fleet's.",
        examples=[[{"scenario": "golden-compute", "work": {"atOnce": 10, "perMinute": 2}}]],
    )


class Breaker(Record):
    """When new work stops by itself until a person lets it go on. Cannot be switched off."""

    failures: int = Field(
        default=3,
        ge=1,
        le=MAX_AT_ONCE,
        description="So many machines have to have failed.",
        examples=[3],
    )
    percent: int = Field(
        default=20,
        ge=0,
        le=100,
        description="And so many in a hundred of those whose work ended. 0: the number decides.",
        examples=[20],
    )
    within: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(3600),
        description="How long a failure counts. Between 1m and 1w.",
        examples=["1h"],
    )


class GroupBreaker(Breaker):
    """When new work stops in one group and all below it, besides the fleet's breaker."""

    group: PathName = Field(description="The group.", examples=["tokyo/row2"])


class FleetBreaker(Breaker):
    """When new work stops by itself, in the fleet and in groups."""

    groups: tuple[GroupBreaker, ...] = Field(
        default=(),
        max_length=1000,
        description="Breakers of groups, besides the fleet's.",
        examples=[[{"group": "tokyo/row2", "failures": 1}]],
    )


class Observation(Record):
    """What is believed of machines."""

    max_age: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(3600),
        description="An observation older than this is UNKNOWN. Between 1m and 1w.",
        examples=["1h"],
    )


class RunRecords(Record):
    """What is kept of runs that have ended, beside the ledger: what machines sent of them."""

    keep: Annotated[Duration, between(Duration(86_400), Duration(520 * 604_800))] = Field(
        default=Duration(90 * 86_400),
        description="How long the logs and disk layouts that machines send of a run are kept. "
        "Between 1d and 520w.",
        examples=["90d"],
    )
    max_size: Annotated[ByteSize, between(ByteSize(10 << 20), ByteSize(1 << 50))] = Field(
        default=ByteSize(2 << 30),
        description="The most room that they take; the oldest go first, those of runs that have "
        "not ended never. Between 10MiB and 1PiB.",
        examples=["2GiB"],
    )


_ReturnWindow = Annotated[Duration, between(Duration(86_400), Duration(520 * 604_800))]


class Agents(Record):
    """What holds for the agents of installed systems."""

    return_within: _ReturnWindow | None = Field(
        default=None,
        description="An agent whose machine was off until its certificate expired comes back by "
        "itself if that was not longer ago. It proves that it has the certificate's key; what "
        "could be a copy of an agent still waits for `rackwright agent accept`, and so does every "
        "agent where this is absent. Between 1d and 520w.",
        examples=["400d"],
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
    breaker: FleetBreaker = Field(
        default_factory=FleetBreaker,
        description="When new work stops by itself after failures, until "
        "`rackwright breaker reset`. What has begun is finished.",
    )
    observation: Observation = Field(
        default_factory=Observation, description="When news is too old."
    )
    runs: RunRecords = Field(default_factory=RunRecords, description="What is kept of runs.")
    images: ImageStore = Field(
        default_factory=ImageStore, description="What holds for the image store."
    )
    agents: Agents = Field(
        default_factory=Agents, description="What holds for the agents of installed systems."
    )
    commits: Commits = Field(default_factory=Commits, description="By whom commits must be signed.")
    waits: Waits | None = Field(
        default=None, description="How long machines at work are waited for."
    )
    approvals: Approvals = Field(
        default_factory=Approvals, description="Who may approve what; without it, any local user."
    )
    defaults: Defaults = Field(
        default_factory=Defaults, description="What holds where nothing nearer says otherwise."
    )
    windows: Windows | None = Field(
        default=None,
        description="When work may be done on machines whose groups say no windows.",
        examples=[{"timeZone": "Asia/Tokyo", "allow": [{"begin": "22:00", "end": "05:00"}]}],
    )
    rollout: Rollout | None = Field(
        default=None,
        description="In which waves machines are overwritten whose groups say none.",
        examples=[{"waves": [{"percent": 10}], "health": {"soak": "15m"}}],
    )
    reboot_lock: RebootLock = Field(
        default_factory=RebootLock,
        description="Whether machines that restart by themselves ask first.",
    )


class Fleet(Document):
    """What holds for all machines. A repository has at most one; without it, defaults hold."""

    kind: Literal["Fleet"]
    spec: FleetSpec = Field(default_factory=FleetSpec)
