"""Observed state: what machines, agents and boot requests said, each with its time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.state.installed_system import decode_installed

if TYPE_CHECKING:
    from agent.imaging.growable import Growable
    from agent.wire.imaged_layout import ImagedLayout
    from agent.wire.imaged_system import ImagedSystem
    from agent.wire.report import InstalledSystem, Report
    from providers.imaging.image_record import ImageSet
    from providers.imaging.image_signature import CheckedSignature
    from reconciler.state.breakers import OpenBreaker
    from reconciler.state.delays import Delay
    from reconciler.state.operation import OperationStatus
    from reconciler.state.reboot_locks import RebootLock
    from reconciler.state.rollouts import RolloutProgress, Unhealthy
    from reconciler.state.update_status import UpdateStatus
    from reconciler.state.work_begun import WorkBegun

BUDGET_WINDOW = timedelta(hours=1)
"""What "per hour" in a budget looks back on."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""What is later than now by no more was said while a plan was being made."""


def is_future(at: datetime, now: datetime) -> bool:
    """Return whether a recorded time is still to come: the clock was set back since."""
    return at - now > CLOCK_TOLERANCE


def is_fresh(at: datetime, now: datetime, max_age: timedelta) -> bool:
    """Return whether what was said then may be relied on; of no age when it is still to come."""
    return now - at <= max_age and not is_future(at, now)


CONTACT_MAX_AGE = timedelta(seconds=40)
"""After this long, an agent that asked for work is no longer taken to be there: it asks at least
every 25 seconds."""


@dataclass(frozen=True, eq=False)
class TimedReport:
    """A report and when it arrived.

    Where it comes from the database, ``body`` reads it when somebody asks: with 40,000
    machines few are looked at. ``system`` is then its installed system as text.
    """

    body: "Report | Callable[[], Report]"
    at: datetime
    machine: str = ""
    """What the machine was called then; empty when nobody noted it."""
    system: str = ""
    since: datetime | None = None
    """When the installed system began to say what it says; None where nobody noted it."""

    @cached_property
    def report(self) -> "Report":
        """Return the whole report."""
        return self.body() if callable(self.body) else self.body

    @cached_property
    def installed(self) -> "InstalledSystem | None":
        """Return what the agent of an installed system proves."""
        if callable(self.body):
            return decode_installed(self.system) if self.system else None
        return self.body.installed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimedReport):
            return NotImplemented
        mine, theirs = ((each.at, each.machine, each.report) for each in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.at, self.machine))


@dataclass(frozen=True, slots=True)
class ObservedMachine:
    """All that is known of one machine of the fleet; every part may be missing."""

    ramdisk: TimedReport | None = None
    """The newest report from the Deploy-OS."""
    installed: TimedReport | None = None
    """The newest report from the agent of the installed system."""
    ramdisk_contact: datetime | None = None
    """When an agent in the Deploy-OS last asked for work; None once it left."""
    installed_contact: datetime | None = None
    boot_request: datetime | None = None
    """When the firmware last asked for a boot."""
    quarantine: str = ""
    contact_name: str = ""
    """What the machine was called when its agent last asked for work."""
    protected_at: str = ""
    """Where an accepted revision protected the hardware; empty where none did, or it ended."""
    read_at: datetime | None = field(default=None, compare=False)
    """When all of this was read from the database."""

    @property
    def system_may_run(self) -> bool:
        """Return whether an installed system has to be taken for running.

        Its agent was heard once, and nothing says that the machine restarted since. How
        long ago does not matter: work that begins now would interrupt a silent one too. A
        restart at a time that is still to come may have been before.
        """
        heard = _newest(self.installed.at if self.installed else None, self.installed_contact)
        signs = (self.boot_request, self.ramdisk.at if self.ramdisk else None, self.ramdisk_contact)
        read = self.read_at
        restart = _newest(*(at for at in signs if not (at and read and is_future(at, read))))
        return heard is not None and (restart is None or restart < heard)

    def agent_is_there(self, now: datetime) -> bool:
        """Return whether the agent of the installed system asked for work moments ago."""
        contact = self.installed_contact
        return contact is not None and contact <= now <= contact + CONTACT_MAX_AGE

    def is_idle(self, now: datetime) -> bool:
        """Return whether the machine is surely in nobody's use: an agent in RAM waits for work.

        Of any other machine nobody knows: it may be off, or run a system without an agent.
        """
        contact = self.ramdisk_contact
        if contact is None or not contact <= now <= contact + CONTACT_MAX_AGE:
            return False
        installed = self.installed.at if self.installed else None
        later = _newest(self.boot_request, self.installed_contact, installed)
        return later is None or later <= contact

    @property
    def known_as(self) -> tuple[str, datetime] | None:
        """Return the newest name that an observation carries, with its time."""
        newest: tuple[str, datetime] | None = None
        for report in (self.ramdisk, self.installed):
            if report is not None and report.machine and (not newest or newest[1] < report.at):
                newest = report.machine, report.at
        contact = _newest(self.ramdisk_contact, self.installed_contact)
        if contact is not None and self.contact_name and (not newest or newest[1] < contact):
            newest = self.contact_name, contact
        return newest

    @property
    def disks(self) -> TimedReport | None:
        """Return the newest report that says what the disks are."""
        if self.ramdisk is None or self.installed is None:
            return self.ramdisk or self.installed
        return self.installed if self.installed.at > self.ramdisk.at else self.ramdisk

    @property
    def last_seen(self) -> datetime | None:
        """Return when anything was last heard."""
        return _newest(
            self.ramdisk.at if self.ramdisk else None,
            self.installed.at if self.installed else None,
            self.ramdisk_contact,
            self.installed_contact,
            self.boot_request,
        )


def _newest(*times: datetime | None) -> datetime | None:
    newest = None
    for time in times:
        if time is not None and (newest is None or time > newest):
            newest = time
    return newest


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest boot request of a MAC that belongs to no machine of the fleet."""

    mac: str
    uuid: str
    """The newest SMBIOS UUID that it gave; empty when its firmware never did."""
    source: str
    """The address that it asked from, 0.0.0.0 where it had none yet; empty where a relay asked."""
    at: datetime
    relay: str = ""
    """The DHCP relay that the newest request came through that tells; empty for none."""


@dataclass(frozen=True, slots=True)
class ObservedImage:
    """One image in the store, as its tag stands now."""

    name: str
    manifest: str
    """Digest of the manifest."""
    created: datetime
    usable: bool
    disk_size: int
    used_bytes: int
    sector_size: int
    problem: str = ""
    system: "ImagedSystem | None" = None
    """What is installed on it; None where nobody looked."""
    unreadable_bytes: int = 0
    """Zeros in it because the captured disk did not give them."""
    layout: "ImagedLayout | None" = None
    """Its partitions; None where the store does not say."""
    growable: "Growable | None" = None
    """What of it can grow; None where nobody looked."""
    sets: "tuple[ImageSet, ...]" = ()
    """The sets that it belongs to under its name, the newest first."""
    signature: "CheckedSignature | None" = None
    """What its signature is worth; None where nobody looked, which counts as none."""


@dataclass(frozen=True, slots=True)
class Capture:
    """An image that an operation brought in, on its way to a name.

    ``proof`` is None while the proof of restorability is out, empty when it is good,
    else what is wrong.
    """

    operation: str
    image: str
    manifest: str
    proof: str | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why hardware gets no work until a person clears it."""

    machine: str
    """What it was called then."""
    identities: tuple[str, ...]
    """All that it was known by; ``name:…`` where only its name was known."""
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the server that does not work, and since when."""

    subject: str
    """``machine/NAME``, ``task/NAME``, ``port/NAME``, ``token/NAME``, ``image/NAME``,
    ``disk/images`` or ``disk/state``."""
    code: str
    cause: str
    since: datetime
    at: datetime
    """When it happened last."""
    times: int


@dataclass(frozen=True, slots=True)
class Observed:
    """The world as it was last heard of."""

    machines: Mapping[str, ObservedMachine] = field(default_factory=dict)
    images: Mapping[str, ObservedImage] = field(default_factory=dict)
    store_problem: str = ""
    """Why nothing is known of images, with its code; empty where the image store is there."""
    operations: "tuple[OperationStatus, ...]" = ()
    captures: tuple[Capture, ...] = ()
    reboot_locks: "tuple[RebootLock, ...]" = ()
    """Machines that may restart by themselves, in the order in which they asked."""
    work_begun: "tuple[WorkBegun, ...]" = ()
    """What budgets count, newest last: begun within ``BUDGET_WINDOW``, or not over yet."""
    faults: tuple[Fault, ...] = ()
    """What does not work in the server, the oldest first."""
    breakers: "tuple[OpenBreaker, ...]" = ()
    """What holds back new work after failures."""
    rollouts: "tuple[RolloutProgress, ...]" = ()
    """Those that have not ended, the oldest first."""
    updates: "Mapping[str, UpdateStatus]" = field(default_factory=dict)
    """By machine, what it said last of what it installs by itself."""
    delays: "Mapping[str, Delay]" = field(default_factory=dict)
    """By operation, what the loop saw it wait for last."""
    held: Mapping[str, str] = field(default_factory=dict)
    """By operation, why its wave of a rollout keeps it from beginning, as a clause."""
    unhealthy: "Mapping[str, Unhealthy]" = field(default_factory=dict)
    """By verified operation, why its machine failed the health check of a rollout."""
