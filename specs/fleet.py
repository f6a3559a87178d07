"""The fleet compiled from one Git commit: groups resolved, every value with its origin.

All of it is immutable data, in the order of names, so that two compilations of
the same commit are equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Literal, NamedTuple, TypeVar

from specs.diagnostics.position import Position
from specs.digest import Canonical, digest
from specs.machine_fields import DriftPolicy, MachineField, PowerDriver, Said, declared
from specs.types.address_range import AddressRange
from specs.types.clock import WEEKDAYS
from specs.types.name import MACHINE, of_machine
from specs.types.urgency import Urgency, UrgencyBound, is_as_urgent

T = TypeVar("T")
FLEET = ""
"""Who says what no group says: the Fleet document."""
PROTECT = "protect"
"""The field whose place a plan names: protection is what a person takes away."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written, and the groups that it was inherited along, root first."""

    position: Position
    path: tuple[str, ...] = ()
    giver: str = field(default="", compare=False)
    """What gave it where neither the machine nor a group did: ``scenario look's target``."""


class CompiledNetwork(NamedTuple):
    """One ``Network`` document."""

    name: str
    subnet: IPv4Network
    gateway: IPv4Address | None
    nameservers: tuple[IPv4Address, ...]
    domain: str
    dhcp_mode: Literal["server", "proxy", "off"]
    """``server``: we lease addresses. ``proxy``: another server does, we add boot data."""
    dhcp_range: AddressRange | None
    lease_seconds: int
    position: Position


class DiskRequest(NamedTuple):
    """Which disk a step means; at least ``role`` is given."""

    role: str = "system"
    wwn: str = ""
    serial: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class InspectDisksStep:
    """Look at the disks."""


class BackupStep(NamedTuple):
    """Read a disk into an image."""

    image: str
    """As the document names it, where the step is not that of one machine."""
    disk: DiskRequest
    document: str = ""
    """The Image document, where ``image`` is its name on one machine."""
    mode: Literal["used", "full"] = "used"
    """Whether what file systems use is read, or every sector."""
    partitions: tuple[int, ...] = ()
    """The numbers of the partitions to read, in order; empty for the whole disk."""
    on_bad_sector: Literal["fail", "skip-and-mark"] = "fail"
    repair: bool = False
    """Whether file systems that were not left clean are repaired on the disk before."""


class RestoreStep(NamedTuple):
    """Write an image to a disk: destructive."""

    image: str
    disk: DiskRequest
    identity: Literal["apply", "keep"]
    document: str = ""
    """As that of a ``BackupStep``."""
    grow: str = "none"
    """What takes the free space: a partition's number, ``last``, ``GROUP/VOLUME`` or ``none``."""
    partitions: tuple[int, ...] = ()
    """The numbers of the partitions to write, in order; empty for the whole disk."""
    boot_code: bool = False
    """With them, the boot code for BIOS that lies outside."""


class RunStep(NamedTuple):
    """Run a command on the running system."""

    command: tuple[str, ...]
    success: tuple[int, ...]
    timeout_seconds: int
    silence_seconds: int
    session: Literal["service", "user"]


class CopiedFile(NamedTuple):
    """A file of the repository, or a folder, and where it goes on the machine."""

    source: str
    """Path in the repository."""
    target: str
    owner: str
    """Empty: the agent's user; an empty ``group`` is the owner's."""
    group: str
    mode: str
    """Four octal digits; empty: as in the repository."""


class FilesStep(NamedTuple):
    """Bring files to the running system, or remove them."""

    copy: tuple[CopiedFile, ...]
    remove: tuple[str, ...]


class PutFileStep(NamedTuple):
    """Bring one file that a person gave to the server, by its SHA-256 (by hand only)."""

    target: str
    sha256: str
    size: int
    """Bytes."""
    owner: str
    """Empty: the agent's user; an empty ``group`` is the owner's."""
    group: str
    mode: str
    """Four octal digits."""


class ListFolderStep(NamedTuple):
    """Say what is in a folder of the running system (by hand only)."""

    path: str


class ReadFileStep(NamedTuple):
    """Bring a file of the running system to the server (by hand only)."""

    path: str
    follow: bool
    """Whether a symbolic link is followed, where the path is one."""
    most: int
    """Bytes; a longer file is refused."""


class ShowMessageStep(NamedTuple):
    """Show a line to the people at the machine (by hand only)."""

    text: str


class InstallPackagesStep(NamedTuple):
    """Install packages on the running system."""

    install: tuple[str, ...]
    """Names of Package documents; what they require comes with them."""
    when: Literal["now", "next-startup"]
    countdown_seconds: int
    """How long people are warned before; 0: not at all."""
    skippable: bool


class UpgradeAgentStep(NamedTuple):
    """Exchange the agent of the installed system for a newer release."""

    version: str
    """Empty: the server's own."""
    health_seconds: int
    """In which the new agent has to report."""


class UnsupportedStep(NamedTuple):
    """A step that is valid, but that nothing here can carry out yet: it plans as BLOCKED."""

    action: str
    """The step's key in the document: ``install``."""
    reason: str
    """Why, as a clause: ``no provider installs operating systems yet``."""


ByHandStep = PutFileStep | ListFolderStep | ReadFileStep | ShowMessageStep
"""Steps that no document has: what people ask for on the command line."""
SystemStep = RunStep | FilesStep | InstallPackagesStep | UpgradeAgentStep | ByHandStep
"""What the agent of the installed system does, beside all else that runs there."""
ScenarioStep = InspectDisksStep | BackupStep | RestoreStep | SystemStep | UnsupportedStep


Trigger = Literal["now", "next-boot"]
"""``now``: as soon as the plan allows. ``next-boot``: when the machine starts next by itself."""


class CompiledScenario(NamedTuple):
    """One ``Scenario`` document. ``digest`` changes when its meaning changes."""

    name: str
    steps: tuple[ScenarioStep, ...]
    reboot: Literal["force", "graceful", "never"]
    """What to do with a machine that is running when its turn comes."""
    after: Literal["reboot", "poweroff", "stay"]
    timeout_seconds: int
    digest: str
    position: Position
    unsupported: str = ""
    """Why nothing here can run it yet, as a clause; it plans as BLOCKED. Empty: it can."""
    display_name: str = ""
    trigger: Trigger = "now"
    on_error: Literal["local-boot", "poweroff", "reboot", "stay"] = "local-boot"
    on_error_seconds: int = 60
    step_seconds: tuple[int, ...] = ()
    """How long each step may take; 0, or none for the last ones: only ``timeout_seconds`` holds."""

    @property
    def runs_in_system(self) -> bool:
        """Return whether the agent of the installed system does it, and not one in RAM."""
        return any(isinstance(step, SystemStep) for step in self.steps)

    def on(self, machine: str) -> "CompiledScenario":
        """Return it with the names that its images have on a machine.

        This alone makes names of ``{machine}``: whatever is planned, done and kept has names.
        """
        steps = tuple(
            step._replace(image=of_machine(step.image, machine), document=step.image)
            if isinstance(step, BackupStep | RestoreStep) and MACHINE in step.image
            else step
            for step in self.steps
        )
        return self if steps == self.steps else self._replace(steps=steps)


class CompiledRetention(NamedTuple):
    """Which generations of an image are kept."""

    last: int
    daily: int
    weekly: int
    monthly: int


class CompiledImage(NamedTuple):
    """One ``Image`` document. Its content is looked up in the store by name."""

    description: str
    display_name: str = ""
    retention: CompiledRetention | None = None
    """None: all generations are kept."""
    alert_seconds: int | None = None
    """How old its newest backup that can be restored may be; None: that is not looked at."""


class PackageTarget(NamedTuple):
    """A system that a package is for; an empty field fits any."""

    family: str
    versions: tuple[str, ...]
    architecture: str
    language: str


class PackageFile(NamedTuple):
    """A file of a package."""

    name: str
    url: str
    sha256: str


class DetectedFile(NamedTuple):
    """A file that is there once a package is; with a version, in that or a higher one."""

    path: str
    version: str


class DetectedRegistryValue(NamedTuple):
    """A value of the Windows registry that is there once a package is; None: any value."""

    key: str
    name: str
    value: str | None


class DetectedPackage(NamedTuple):
    """An entry of the system's list of software."""

    name: str
    version: str


class DetectedCommand(NamedTuple):
    """A command that says that a package is installed."""

    command: tuple[str, ...]
    status: int
    output: str


Detection = DetectedFile | DetectedRegistryValue | DetectedPackage | DetectedCommand


class CompiledPackage(NamedTuple):
    """One ``Package`` document. ``digest`` changes when its meaning changes."""

    name: str
    type: Literal["service-pack", "hotfix", "patch", "application"]
    version: str
    """Empty: the newest of the machine's own sources."""
    urgency: Urgency
    bulletin: str
    """The advisory that it answers; empty for none."""
    targets: tuple[PackageTarget, ...]
    files: tuple[PackageFile, ...]
    method: Literal["command", "apt", "dnf", "zypper", "deb", "rpm", "msi", "msu"]
    software: str
    """What the package manager calls it."""
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    success: tuple[int, ...]
    reboot_needed: tuple[int, ...]
    timeout_seconds: int
    session: Literal["service", "user"]
    detect: tuple[Detection, ...]
    requires: tuple[str, ...]
    reboot: Literal["never", "if-needed", "always"]
    exclusive: bool
    digest: str
    position: Position
    display_name: str = ""


def with_required(
    names: tuple[str, ...], packages: Mapping[str, CompiledPackage]
) -> tuple[str, ...]:
    """Return packages with all that they require, what is required first, each once."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        if name in ordered or name not in packages:
            return
        for each in packages[name].requires:
            add(each)
        ordered[name] = None

    for name in names:
        add(name)
    return tuple(ordered)


class UnsupportedDocument(NamedTuple):
    """A document that is valid, but that nothing here acts on yet: it plans as BLOCKED."""

    kind: str
    name: str
    reason: str
    """Why, as a clause: ``no provider installs packages yet``."""
    position: Position
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class CompiledSelector:
    """Which machines something is meant for: all parts that are given must match.

    Names and group paths are patterns (``*`` within one part of a path, ``**`` across
    parts); a group pattern that matches a group also means every group below it.
    """

    machines: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label to the values that are accepted."""


class CompiledHold(NamedTuple):
    """One ``Hold`` document: no new work until a time, on the machines that name it."""

    name: str
    until: datetime
    owner: str
    reason: str
    position: Position


class CompiledWindow(NamedTuple):
    """Hours that come again every week, on a clock on the wall."""

    days: tuple[int, ...]
    """Those on which it opens, Monday is 0; in order."""
    begin: int
    """In minutes from midnight."""
    end: int
    """Likewise, up to 1440. Before ``begin``: on the next day."""

    def __str__(self) -> str:
        """Return it for people: ``mon-fri 22:00-05:00``."""
        days = [WEEKDAYS[day] for day in self.days]
        is_row = len(days) > 2 and self.days[-1] - self.days[0] == len(days) - 1  # noqa: PLR2004
        named = f"{days[0]}-{days[-1]}" if is_row else ",".join(days)
        hours = "-".join(f"{each // 60:02}:{each % 60:02}" for each in (self.begin, self.end))
        return hours if len(days) == len(WEEKDAYS) else f"{named} {hours}"


class CompiledWindows(NamedTuple):
    """When work may be done on machines, as the Fleet or a group says it."""

    time_zone: str
    """A name of the IANA time zone database."""
    allow: tuple[CompiledWindow, ...]
    """Empty: always."""
    deny: tuple[CompiledWindow, ...]
    """They win over ``allow``."""
    holidays: tuple[date, ...]
    """Days on which nothing begins, in order."""
    position: Position

    def __str__(self) -> str:
        """Return all of it for people, on one line."""
        parts = [
            f"{word} {', '.join(map(str, windows))}"
            for word, windows in (("allow", self.allow), ("deny", self.deny))
            if windows
        ]
        if self.holidays:
            more = f" and {len(self.holidays) - 1:,} more" if len(self.holidays) > 1 else ""
            parts.append(f"nothing begins on {self.holidays[0]}{more}")
        return f"{'; '.join(parts)} in {self.time_zone}" if parts else "always"


LAST_WAVE = "the rest"
"""The wave of machines that no wave of the document has."""


class CompiledWave(NamedTuple):
    """Machines that are overwritten together, as a document says it: by one of the two."""

    name: str
    """For people; empty where nobody named it."""
    percent: int
    """Of all machines of the rollout, those of the waves before included; 0: by ``selector``."""
    selector: CompiledSelector | None

    def __str__(self) -> str:
        """Return its name, else ``10 %`` or what it selects."""
        if self.name or self.selector is None:
            return self.name or f"{self.percent} %"
        chosen = self.selector
        labels = (f"{key}={'|'.join(values)}" for key, values in chosen.labels.items())
        return ", ".join((*chosen.groups, *chosen.machines, *labels))


class HealthCheck(NamedTuple):
    """What has to hold of a machine after its work was verified."""

    soak_seconds: int = 0
    """How long it is left at work before it is looked at; 0: its verification is enough, unless
    ``url`` or ``command`` say more."""
    within_seconds: int = 600
    """How long it may take from the first look until it is healthy."""
    url: str = ""
    command: tuple[str, ...] = ()


class CompiledRollout(NamedTuple):
    """In which waves machines are overwritten, as the Fleet or a group says it."""

    waves: tuple[CompiledWave, ...]
    """Machines that none of them has come last."""
    health: HealthCheck
    max_failures: int
    """At one more the rollout halts."""
    position: Position

    def __str__(self) -> str:
        """Return its waves for people, on one line."""
        return f"waves: {'; '.join((*map(str, self.waves), LAST_WAVE))}"


class CompiledSchedule(NamedTuple):
    """One ``Schedule`` document: a scenario or a power action, at a moment or again and again."""

    name: str
    scenario: str
    """Empty where it is about power, or about a package source."""
    power: Literal["", "on", "off", "reboot"]
    at: datetime | None
    cron: str
    """Empty where ``at`` says the one moment."""
    time_zone: str
    """Of ``cron``."""
    window_seconds: int
    """How late it may still begin."""
    missed: Literal["skip", "run-once", "run-all"]
    holidays: tuple[date, ...]
    """In order."""
    holiday_action: Literal["skip", "next-day"]
    start_interval_seconds: int
    jitter_seconds: int
    approved: Literal["", "destructive"]
    position: Position
    display_name: str = ""


class CompiledPackageSource(NamedTuple):
    """One ``PackageSource`` document: a repository that is mirrored."""

    name: str
    url: str
    order: int
    signers: tuple[str, ...]
    """As ``specs.types.ed25519_key`` writes them."""
    username: str
    """Empty where anybody may read."""
    password: str
    """The name of the secret."""
    proxy: str
    """Empty where there is none."""
    schedule: CompiledSchedule | None
    """When it is mirrored, as a schedule of its name without scenario; None: only by hand."""
    max_rate: int
    """Bits a second; 0 where it is not bounded."""
    keep_free: int
    """Bytes."""
    position: Position


class CompiledUpdatePolicy(NamedTuple):
    """Which packages machines install by themselves, and when they do."""

    name: str
    order: int
    """Of several for one machine the one with the lowest number counts; equal ones by name."""
    packages: tuple[str, ...]
    urgency: UrgencyBound
    """Machines also get every package of this urgency or a higher one."""
    check_at: tuple[int, ...]
    """Minutes of the day, on the machine's own clock."""
    check_at_startup: bool
    check_on_notice: bool
    check_on_urgency: UrgencyBound
    when: Literal["now", "next-startup", "logged-off"]
    confirm: bool
    countdown_seconds: int
    deadline_seconds: int
    """How long people may put it off; 0: for ever."""
    windows: tuple[CompiledWindow, ...]
    time_zone: str
    """Of the windows; empty: the machine's own."""
    fetching_at_once: int
    max_rate: int
    """Bits a second for each machine; 0: no bound."""
    position: Position

    def package_names(self, packages: Mapping[str, CompiledPackage]) -> tuple[str, ...]:
        """Return what the policy's machines get, with all that it requires.

        What is not for a machine's system is among it.
        """
        urgent = (
            name
            for name, package in sorted(packages.items())
            if is_as_urgent(package.urgency, self.urgency)
        )
        return with_required((*self.packages, *urgent), packages)


class CompiledEnrollmentRule(NamedTuple):
    """One ``EnrollmentRule`` document: all parts that are given must match a machine.

    ``names``, ``macs``, ``serials`` and ``vendors`` are patterns; of the last two, case
    does not count.
    """

    name: str
    order: int
    group: str
    """It need not be written yet."""
    network: str
    """Empty: the group's."""
    position: Position
    names: tuple[str, ...] = ()
    addresses: tuple[AddressRange, ...] = ()
    macs: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    relays: tuple[AddressRange, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One scenario that a machine shall have run. A new run token means "run again"."""

    scenario: str
    run: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class CompiledMachine:
    """One machine with all that its groups gave it, and the declaration of a machine's fields.

    ``macs`` are lower case with colons, the boot NIC first. ``origins`` has a key
    for every field that was set, in the words of the document
    (``identity.hostname``, ``network``, ``assign[0]``).

    To add a field, add it to a model (``specs/kinds/machine.py``) and here. Documents,
    rows, CSV, ``explain``, inheritance and the comparison of revisions follow.
    """

    name: Annotated[str, Said("metadata.name")]
    display_name: Annotated[str, Said("metadata.displayName", for_people=True)]
    macs: Annotated[tuple[str, ...], Said("spec.hardware.macs", "list")]
    uuid: Annotated[str, Said("spec.hardware.uuid")]
    serial: Annotated[str, Said("spec.hardware.serial")]
    formerly: Annotated[tuple[str, ...], Said("spec.hardware.formerly", "list")]
    """Hardware whose history this machine continues: ``uuid:…`` or ``mac:…`` each."""
    hostname: Annotated[str, Said("spec.identity.hostname")]
    domain: Annotated[str, Said("spec.identity.domain", handed_down=True, network_has_it=True)]
    """The DNS domain: of the identity, else of the groups, else of the network."""
    addresses: Annotated[
        tuple[IPv4Interface, ...], Said("spec.identity.addresses", "list", empty="DHCP")
    ]
    group: Annotated[str, Said("spec.group")]
    network: Annotated[str, Said("spec.network", handed_down=True)]
    power_driver: Annotated[PowerDriver, Said("spec.power.driver", "power")]
    power_settings: Mapping[str, str]
    """What the power driver needs besides its name; a secret as its reference."""
    protect: Annotated[bool | None, Said("spec.protect", "flag", handed_down=True, empty="false")]
    """None: nothing says so or otherwise, and what an earlier revision said still holds."""
    labels: Annotated[Mapping[str, str], Said("metadata.labels", "labels")]
    assignments: Annotated[tuple["Assignment", ...], Said("spec.assign", "assign", in_rows=False)]
    groups: tuple[str, ...]
    """The group's ancestors and itself, root first."""
    origins: Mapping[str, Origin]
    unsupported: str = ""
    """Why its work cannot begin yet, as a clause; it plans as BLOCKED. Empty: it can."""
    holds: tuple[str, ...] = ()
    """The names of the holds that select it."""
    schedules: tuple[str, ...] = ()
    """The names of the schedules that select it."""
    updates: tuple[str, ...] = ()
    """The names of the update policies that select it."""
    drift: Annotated[DriftPolicy, Said("spec.drift", handed_down=True)] = "report"

    @property
    def hardware_identity(self) -> str:
        """Return what names the hardware in operations: its UUID, else its boot NIC's MAC."""
        return f"uuid:{self.uuid}" if self.uuid else f"mac:{self.macs[0]}"

    @property
    def digest(self) -> str:
        """Return what changes with the machine's meaning, whatever place or level says it."""
        meaning: dict[str, Canonical] = {
            each.column: self._meaning_of(each)
            for each in MACHINE_FIELDS
            if not each.said.for_people
        }
        return digest("Machine", meaning)

    def _meaning_of(self, declared_field: MachineField) -> Canonical:
        value = getattr(self, declared_field.attribute)
        match declared_field.said.form:
            case "list":
                return list(map(str, value))
            case "power":
                return {"driver": value, **self.power_settings}
            case "assign":
                return [[each.scenario, each.run] for each in value]
            case "text" | "flag" | "labels":
                meaning: Canonical = value
                return meaning

    @property
    def hardware_identities(self) -> tuple[str, ...]:
        """Return everything that the hardware is known by, ``hardware_identity`` first.

        Its history is found by any of them, so that a UUID that is added or MACs in
        another order make no new machine of it.
        """
        known = (self.hardware_identity, *(f"mac:{mac}" for mac in self.macs), *self.formerly)
        return tuple(dict.fromkeys(known))


MACHINE_FIELDS = declared(CompiledMachine)
"""What documents, rows, CSV and people know of a machine, in the order in which they have it."""


BudgetScope = Literal["fleet", "group", "network", "scenario"]
BudgetKind = Literal["work", "imaging", "destructive", "disruptive"]
"""What a budget counts: any work, captures and restores, what overwrites, what interrupts."""


class Waits(NamedTuple):
    """How long is waited for a machine at work, and how often its work is tried."""

    grant_seconds: int = 900
    """From arming to the agent's claim: a server's firmware may test its memory for ten minutes."""
    silence_seconds: int = 600
    """An agent at work says something every ten seconds; after this long nobody knows what it
    does."""
    proof_seconds: int = 900
    """From the last step to the installed agent's report."""
    wake_seconds: int = 20
    """Between wake-ups: a NIC whose link still negotiates misses the packet."""
    attempts: int = 5
    """Attempts that an agent claimed, and boot grants that nobody used: of each so many."""


DEFAULT_WAITS = Waits()


class SaidWait(NamedTuple):
    """One wait as a level says it."""

    value: int
    """Seconds, or how many."""
    position: Position


def wait_level(kind: Literal["Fleet", "Group", "Scenario"], name: str) -> str:
    """Return the key of what a document says of waits; there is one Fleet, whatever its name."""
    return "Fleet" if kind == "Fleet" else f"{kind} {name}"


class Budget(NamedTuple):
    """How many machines may be in work of a kind at one moment, and how fast they begin it."""

    scope: BudgetScope
    name: str
    """The group (with all below it), network or scenario that it holds for; empty: the fleet."""
    kind: BudgetKind
    at_once: int
    per_hour: int | None = None
    """How many may begin within any one hour; None: as many as like."""
    per_minute: int | None = None
    """How many may begin within a minute, evenly spaced."""


DEFAULT_BUDGETS = (
    Budget("fleet", "", "work", 20, per_minute=30),
    Budget("fleet", "", "imaging", 5),
    Budget("fleet", "", "destructive", 1, 10),
    Budget("fleet", "", "disruptive", 20, 200),
)


class BreakerRule(NamedTuple):
    """After which failures no new work begins in the fleet, or in a group and all below it."""

    group: str
    """Empty: the fleet's."""
    failures: int = 3
    """So many machines, and ``percent`` of those whose work ended within the time."""
    percent: int = 20
    within_seconds: int = 3600


class CompiledSigner(NamedTuple):
    """Somebody whose signature makes a commit valid."""

    name: str
    """For people; proves nothing."""
    key: str
    """An OpenSSH public key without comment, or an ASCII-armoured OpenPGP public key."""


@dataclass(frozen=True, slots=True)
class CompiledCommits:
    """By whom the commits that follow must be signed."""

    verify: Literal["none", "ssh", "gpg"] = "none"
    signers: tuple[CompiledSigner, ...] = ()
    """Empty where nothing is verified, else not."""


class CompiledPerson(NamedTuple):
    """Somebody who may approve."""

    name: str
    roles: tuple[str, ...]
    logins: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    """Case folded."""


class CompiledApprovalRule(NamedTuple):
    """What work of one risk needs before it may begin."""

    roles: tuple[str, ...]
    persons: int
    exclude_author: bool
    expires_seconds: int


@dataclass(frozen=True, slots=True)
class CompiledApprovals:
    """Who may approve what. Where a risk has no rule, any local user may."""

    persons: tuple[CompiledPerson, ...] = ()
    safe: CompiledApprovalRule | None = None
    disruptive: CompiledApprovalRule | None = None
    destructive: CompiledApprovalRule | None = None


class CompiledRebootLock(NamedTuple):
    """Whether machines may ask before they restart by themselves."""

    enabled: bool = False
    plain_http: bool = False


class CompiledScrub(NamedTuple):
    """How the image store is read again and again, to find what its disks damaged."""

    enabled: bool = True
    every_seconds: int = 4 * 604_800
    """From the beginning of one to that of the next."""
    bytes_per_second: int = 32 << 20
    """At most."""


class FleetSettings(NamedTuple):
    """The ``Fleet`` document: what holds for all."""

    observation_max_age_seconds: int
    """An observation older than this is UNKNOWN, never "no change"."""
    budgets: tuple[Budget, ...] = DEFAULT_BUDGETS
    """The fleet's first, then those of groups, networks and scenarios as they are written."""
    commits: CompiledCommits = CompiledCommits()
    breakers: tuple[BreakerRule, ...] = (BreakerRule(""),)
    """The fleet's first, then those of groups as they are written."""
    approvals: CompiledApprovals = CompiledApprovals()
    keep_evidence_seconds: int = 90 * 86_400
    """How long what machines sent of a run that has ended is kept."""
    max_evidence_size: int = 2 << 30
    """Bytes."""
    reboot_lock: CompiledRebootLock = CompiledRebootLock()
    agent_return_seconds: int = 0
    """How long ago an agent's certificate may have expired for it to come back by itself."""
    scrub: CompiledScrub = CompiledScrub()
    signed_images_only: bool = False
    """Whether images without a signature are not restored."""


@dataclass(frozen=True, slots=True)
class CompiledFleet:
    """Everything that one revision says."""

    revision: str
    """Commit id, or ``worktree:<digest>`` for a working tree."""
    settings: FleetSettings
    networks: Mapping[str, CompiledNetwork] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    group_display_names: Mapping[str, str] = field(default_factory=dict)
    """Of the groups that have one."""
    scenarios: Mapping[str, CompiledScenario] = field(default_factory=dict)
    images: Mapping[str, CompiledImage] = field(default_factory=dict)
    packages: Mapping[str, CompiledPackage] = field(default_factory=dict)
    machines: Mapping[str, CompiledMachine] = field(default_factory=dict)
    holds: tuple[CompiledHold, ...] = ()
    """In the order of names."""
    schedules: Mapping[str, CompiledSchedule] = field(default_factory=dict)
    update_policies: Mapping[str, CompiledUpdatePolicy] = field(default_factory=dict)
    """In the order in which they count."""
    package_sources: tuple[CompiledPackageSource, ...] = ()
    """In the order in which they are asked."""
    enrollment_rules: tuple[CompiledEnrollmentRule, ...] = ()
    """In the order in which they are asked."""
    unsupported: tuple[UnsupportedDocument, ...] = ()
    """In the order of kinds and names."""
    waits: Mapping[str, Mapping[str, SaidWait]] = field(default_factory=dict)
    """What levels say of how long is waited, by ``wait_level`` and the fields of ``Waits``."""

    @property
    def package_files(self) -> tuple[PackageFile, ...]:
        """Return the files that packages need, each content once."""
        files = (file for name in sorted(self.packages) for file in self.packages[name].files)
        return tuple({file.sha256: file for file in files}.values())

    def machines_with(self, scenario: str) -> tuple[str, ...]:
        """Return the machines that a scenario is assigned to or scheduled for, sorted."""
        schedules = {each.name for each in self.schedules.values() if each.scenario == scenario}
        return tuple(
            sorted(
                machine.name
                for machine in self.machines.values()
                if any(each.scenario == scenario for each in machine.assignments)
                or not schedules.isdisjoint(machine.schedules)
            )
        )

    def waits_of(self, groups: tuple[str, ...], scenario: str) -> Waits:
        """Return how long machines of these groups are waited for at a scenario's work."""
        if not self.waits:
            return DEFAULT_WAITS
        said = self.said_waits(groups, scenario)
        return DEFAULT_WAITS._replace(**{name: each.value for name, (each, _) in said.items()})

    def said_waits(
        self, groups: tuple[str, ...], scenario: str = ""
    ) -> dict[str, tuple[SaidWait, str]]:
        """Return what rules of the waits that a level says, with the level.

        The nearest level wins: the scenario, then the groups (given root first), then the fleet.
        """
        levels = [wait_level("Fleet", ""), *(wait_level("Group", group) for group in groups)]
        if scenario:
            levels.append(wait_level("Scenario", scenario))
        return {
            name: (each, level)
            for level in levels
            for name, each in self.waits.get(level, {}).items()
        }

    windows: Mapping[str, CompiledWindows] = field(default_factory=dict)
    """By the group that says them; of the Fleet document under ``FLEET``."""

    def windows_of(self, machine: CompiledMachine) -> tuple[str, CompiledWindows] | None:
        """Return the windows of a machine and who says them: the nearest group, else the Fleet.

        None: nobody does, work may be done at any time.
        """
        return self._nearest(self.windows, machine)

    def update_policy_of(self, machine: CompiledMachine) -> CompiledUpdatePolicy | None:
        """Return the update policy that counts for a machine; None where none selects it."""
        selecting = (self.update_policies[name] for name in machine.updates)
        return min(selecting, key=lambda each: (each.order, each.name), default=None)

    rollouts: Mapping[str, CompiledRollout] = field(default_factory=dict)
    """By the group that says them; of the Fleet document under ``FLEET``."""

    def rollout_of(self, machine: CompiledMachine) -> tuple[str, CompiledRollout] | None:
        """Return in which waves a machine's turn comes and who says so, as ``windows_of``."""
        return self._nearest(self.rollouts, machine)

    @staticmethod
    def _nearest(said: Mapping[str, T], machine: CompiledMachine) -> tuple[str, T] | None:
        for level in (*reversed(machine.groups), FLEET):
            if level in said:
                return level, said[level]
        return None
