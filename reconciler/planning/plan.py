"""The plan: immutable data that the executor follows and chooses nothing of."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

from reconciler.ledger.operation import Operation
from specs.compiled import Origin


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


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A disk that will be written, as people recognise it."""

    model: str
    serial: str
    wwn: str
    size: int
    holds: str
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class ImageChange:
    """The image on its way to a disk."""

    name: str
    manifest: str
    used_bytes: int
    created: datetime


@dataclass(frozen=True, slots=True)
class PlanItem:
    """What the plan says about one machine.

    ``operation`` is what ``apply`` will have done; None where nothing can be done.
    ``spared`` names the disks of a destructive item that stay as they are.
    """

    machine: str
    group: str
    risk: Risk
    action: str
    reason: str
    cause: Origin | None
    operation: Operation | None = None
    running: bool = False
    """The operation is under way already; ``apply`` only watches it."""
    disks: tuple[DiskFacts, ...] = ()
    spared: tuple[str, ...] = ()
    images: tuple[ImageChange, ...] = ()
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that separates the fleet from its desired state."""

    revision: str
    made_at: datetime
    items: tuple[PlanItem, ...]

    @property
    def counts(self) -> dict[Risk, int]:
        """Return the number of items per risk; all risks are there."""
        found = Counter(item.risk for item in self.items)
        return {risk: found[risk] for risk in RISKS}

    @property
    def empty(self) -> bool:
        """Return whether the fleet agrees with the repository."""
        return not self.items

    @property
    def to_apply(self) -> tuple[PlanItem, ...]:
        """Return the items that ``apply`` would start."""
        return tuple(item for item in self.items if item.operation and not item.running)

    @property
    def digest(self) -> str:
        """Return the plan's identity: the revision and every operation, not the time."""
        lines = [self.revision]
        lines += [
            f"{item.machine} {item.risk} {item.operation.op_id if item.operation else '-'}"
            for item in self.items
        ]
        return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


EXIT_NOTHING, EXIT_ERROR, EXIT_SAFE, EXIT_RISKY, EXIT_BLOCKED, EXIT_UNKNOWN = range(6)


def exit_code(plan: Plan) -> int:
    """Return the exit code of ``plan``: the most severe of what the items say.

    3 destructive or disruptive, else 4 blocked, else 5 observation incomplete,
    else 2 safe changes, else 0.
    """
    counts = plan.counts
    if counts[Risk.DESTRUCTIVE] or counts[Risk.DISRUPTIVE]:
        return EXIT_RISKY
    if counts[Risk.BLOCKED]:
        return EXIT_BLOCKED
    if counts[Risk.UNKNOWN]:
        return EXIT_UNKNOWN
    if counts[Risk.SAFE]:
        return EXIT_SAFE
    return EXIT_NOTHING
