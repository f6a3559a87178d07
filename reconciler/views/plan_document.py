"""The shape of a plan as JSON. Times are ISO 8601 in UTC, sizes bytes, ``""`` means none."""

from typing import (
    Literal,
    NotRequired,  # pydantic needs this one before Python 3.12
)

from pydantic import with_config
from typing_extensions import TypedDict

from reconciler.views.schedule_words import ScheduledDocument

FORMAT: Literal["rackwright-plan/2"] = "rackwright-plan/2"
RiskName = Literal["DESTRUCTIVE", "DISRUPTIVE", "SAFE", "BLOCKED", "UNKNOWN"]


class CauseDocument(TypedDict):
    """Where the wish is written."""

    file: str
    line: int
    column: int
    inheritedAlong: list[str]
    """Groups that it came along, root first."""


class BackupDocument(TypedDict):
    """The newest image of a disk that can be restored."""

    image: str
    manifest: str
    capturedAt: str
    overwrittenSince: bool
    """A restore wrote the disk after the capture."""
    unreadableBytes: NotRequired[int]
    """What it lacks because the disk did not give it."""


class DiskDocument(TypedDict):
    """A disk that would be overwritten."""

    model: str
    serial: str
    wwn: str
    size: int
    holds: str
    partitions: NotRequired[list[int]]
    """What is on it now, for people."""
    observedAt: str
    backup: BackupDocument | None
    """null: what is on it cannot be brought back."""


class GrownDocument(TypedDict):
    """A partition or an LVM volume that a restore makes larger. Bytes."""

    what: str
    """``partition 3`` or ``LVM volume vg0/root``."""
    filesystem: str
    """What grows with it; empty for a partition that holds LVM."""
    before: int
    after: int


class ImageDocument(TypedDict):
    """An image on its way to a disk; the n-th image of an item goes to its n-th disk."""

    name: str
    displayName: NotRequired[str]
    """What people call it."""
    manifest: str
    replaces: str
    """Manifest that the last verified restore wrote to this disk."""
    usedBytes: int
    createdAt: str
    system: NotRequired[str]
    """What is installed on it; empty where that is not known."""
    suitabilityUnknown: NotRequired[bool]
    emptiedPartitions: NotRequired[list[int]]
    """Nobody looked whether a clone can get an identity, which this one shall get."""
    unreadableBytes: NotRequired[int]
    """Zeros in it because the captured disk did not give them."""
    grows: NotRequired[list[GrownDocument]]
    """Where the step has ``grow`` and it is known what grows on this disk."""


class WaveDocument(TypedDict):
    """One machine's place in a rollout."""

    number: int
    """From 1."""
    of: int
    name: str


class ItemDocument(TypedDict):
    """What the plan says about one machine, or about one document (``subject``)."""

    fold: int
    """Index of its fold in ``folds``."""
    machine: str
    displayName: NotRequired[str]
    """What people call the machine or the document."""
    formerly: str
    """The name that its hardware was last known by, where Git calls it otherwise now."""
    subject: str
    """The document that it is about where ``machine`` is empty: ``Package nginx``."""
    group: str
    groupDisplayName: NotRequired[str]
    risk: RiskName
    action: str
    reason: str
    unblock: str
    """What a person can do about a blocked item."""
    cause: CauseDocument | None
    wave: NotRequired["WaveDocument | None"]
    """When its turn comes in a rollout; null for what no rollout orders."""
    operation: str | None
    """Id of the operation; null where nothing can be done."""
    running: bool
    """The operation is under way already."""
    disks: list[DiskDocument]
    spared: list[str]
    """Disks of the machine that stay as they are."""
    images: list[ImageDocument]
    warnings: NotRequired[list[str]]
    """What stops nothing, but whoever approves the work should know; absent where nothing is."""
    bytesToMove: int
    """At most: blocks that are there already are not sent."""
    estimatedSeconds: int
    """0: there is nothing to estimate from."""
    observedAt: str | None


class ReasonDocument(TypedDict):
    """A reason and how many items of a fold have it, or one much like it."""

    text: str
    count: int
    unblock: str
    wordings: int
    """How many different texts are counted here; ``text`` is the first."""


class PlanGroupDocument(TypedDict):
    """The items of one risk, action, cause and group, added up."""

    risk: RiskName
    action: str
    group: str
    groupDisplayName: NotRequired[str]
    cause: CauseDocument | None
    count: int
    toStart: int
    running: int
    disks: int
    disksWithoutBackup: int
    """Those with none, or only with one that is older than their last restore."""
    bytesToMove: int
    estimatedSeconds: int
    """Of its slowest machine; 0: there is nothing to estimate from."""
    oldestObservation: str | None
    newestObservation: str | None
    neverObserved: int
    reasons: list[ReasonDocument]
    """The most common."""
    names: list[str]
    """The first few."""
    images: list[str]
    digest: str


class BudgetDocument(TypedDict):
    """How many machines may be in destructive work at one moment, and begin it in an hour."""

    atOnce: int
    perHour: int


class WarningDocument(TypedDict):
    """What stops nothing, but a person should know."""

    code: str
    message: str
    hint: str
    file: str
    line: int
    column: int


@with_config(extra="forbid", use_attribute_docstrings=True)
class PlanDocument(TypedDict):
    """Everything that separates the fleet from its desired state, largest risk first."""

    format: Literal["rackwright-plan/2"]
    revision: str
    notice: str
    """Why the commit may not be applied, or what vouches for it so far; for people."""
    digest: str
    """Identity of the plan: the revision and every operation, not the time."""
    madeAt: str
    verdict: str
    exitCode: int
    """0 nothing to do, 2 safe, 3 destructive or disruptive, 4 blocked, 5 unknown."""
    counts: dict[RiskName, int]
    disks: int
    """Disks that would be overwritten: the number that ``apply`` asks for."""
    disksWithoutBackup: int
    budget: BudgetDocument
    approval: list[str]
    """What has to be agreed to, for people."""
    scheduled: NotRequired[list[ScheduledDocument]]
    """What schedules do next, the soonest first."""
    warnings: NotRequired[list[WarningDocument]]
    folds: list[PlanGroupDocument]
    items: list[ItemDocument]
