"""One line of a plan: what would happen to one machine, or why nothing can."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from specs.fleet import Origin, Trigger
from specs.types.display_name import named

if TYPE_CHECKING:
    from reconciler.state.operation import Operation


class Risk(StrEnum):
    """What an item does to a machine, or why nothing can be done; largest risk first."""

    DESTRUCTIVE = "DESTRUCTIVE"
    """Overwrites a disk."""
    DISRUPTIVE = "DISRUPTIVE"
    """Interrupts a running system."""
    SAFE = "SAFE"
    """Neither."""
    BLOCKED = "BLOCKED"
    """Waits for something that the item names."""
    UNKNOWN = "UNKNOWN"
    """What is observed is missing or too old to decide on."""


RISKS = tuple(Risk)
_BLANK = re.compile(r"blank(?: \(.*\))?")


def is_blank(holds: str) -> bool:
    """Return whether an agent says of a disk that it read nothing but zeros there.

    ``blank (whole disk read)`` and ``blank (sampled: ...)``; older agents say ``blank`` of a disk
    whose first MiB is zeros.
    """
    return _BLANK.fullmatch(holds) is not None


class LastBackup(NamedTuple):
    """The newest image of a disk that the store can restore."""

    image: str
    manifest: str
    at: datetime
    """When it was captured."""
    overwritten_since: bool
    """A restore wrote the disk after it: it is not a copy of what is there now."""
    unreadable_bytes: int = 0
    """Bytes that it lacks because the disk did not give them."""


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A disk that will be written, as people recognise it."""

    model: str
    serial: str
    wwn: str
    size: int
    holds: str
    observed_at: datetime
    backup: LastBackup | None = None
    """None: whatever is on the disk cannot be brought back."""
    partitions: tuple[int, ...] = ()
    """The numbers of the only partitions that are written; empty for the whole disk."""

    @property
    def backed_up(self) -> bool:
        """Return whether the backup is one of what is on the disk now."""
        return self.backup is not None and not self.backup.overwritten_since

    @property
    def lost(self) -> bool:
        """Return whether something is on the disk that cannot be brought back."""
        return not self.backed_up and not is_blank(self.holds)


class Grown(NamedTuple):
    """A partition or an LVM volume that a restore makes larger. Bytes."""

    what: str
    """``partition 3`` or ``LVM volume vg0/root``."""
    filesystem: str
    """What grows with it, as blkid names it; empty for a partition that holds LVM."""
    before: int
    after: int


class ImageChange(NamedTuple):
    """The image on its way to a disk; the n-th of an item goes to its n-th disk."""

    name: str
    manifest: str
    used_bytes: int
    created: datetime
    replaces: str = ""
    """Manifest that the last verified restore wrote to this disk; empty when none did."""
    display_name: str = ""
    system: str = ""
    """What is installed on it, such as ``Debian GNU/Linux 12 (bookworm)``; empty: unknown."""
    suitability_unknown: bool = False
    """The clone gets an identity, and nobody looked whether it can: the image is an older one."""
    unreadable_bytes: int = 0
    """Bytes that the captured disk did not give: zeros in the image."""
    emptied: tuple[int, ...] = ()
    """The numbers of partitions that the image's table has and whose content it does not hold."""
    grows: tuple[Grown, ...] | None = None
    """What will be larger than in the image; None where nothing was asked for, or nobody knows."""


class DriftedValue(NamedTuple):
    """Something of an installed system that is not as the repository wants it."""

    what: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is said of a machine or a document, whichever it is.

    ``spared`` names the disks of a destructive item that stay as they are.
    """

    risk: Risk
    action: str
    reason: str
    general_reason: str = ""
    """The reason with ``{machine}`` for what only this machine has; empty: it has nothing so."""
    cause: Origin | None
    disks: tuple[DiskFacts, ...] = ()
    spared: tuple[str, ...] = ()
    images: tuple[ImageChange, ...] = ()
    observed_at: datetime | None = None
    unblock: str = ""
    """What a person can do about a blocked item, as a sentence without its full stop."""
    seconds: int = 0
    """Estimate of how long the machine is at work; 0 where there is nothing to go by."""
    trigger: Trigger = "now"
    drift: tuple[DriftedValue, ...] = ()
    """What of the installed system is not as it is wanted."""
    by_itself: bool = False
    """Whether the machine does it by itself: nothing is approved or started."""
    warnings: tuple[str, ...] = ()
    """What stops nothing, but whoever approves the work should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem(Finding):
    """What the plan says about one machine, or about a document that concerns no machine.

    ``operation`` is what ``apply`` will have done; None where nothing can be done.
    """

    machine: str
    group: str
    operation: "Operation | None" = None
    running: bool = False
    """The operation is under way already; ``apply`` only watches it."""
    subject: str = ""
    """The document that the item is about where ``machine`` is empty: ``Package nginx``."""
    formerly: str = ""
    """The name that the machine's hardware was last known by, where that is another one."""
    display_name: str = ""
    """What people call the machine or the document."""
    group_display_name: str = ""

    @property
    def name(self) -> str:
        """Return what the item is about: the machine, else the document."""
        return self.machine or self.subject

    @property
    def title(self) -> str:
        """Return the name as people see it, with the earlier one: ``node-02 (was node-01)``."""
        shown = named(self.display_name, self.name)
        return f"{shown} (was {self.formerly})" if self.formerly else shown

    @property
    def starts(self) -> bool:
        """Return whether ``apply`` would start something."""
        return self.operation is not None and not self.running

    @property
    def bytes_to_move(self) -> int:
        """Return the most that will cross the network: blocks already there are not sent."""
        return sum(image.used_bytes for image in self.images)

    @property
    def line(self) -> str:
        """Return what enters a digest: what would be done, not when or why."""
        op_id = self.operation.op_id if self.operation else "-"
        return f"{self.name} {self.risk} {self.action} {op_id}"
