"""The fleet compiled from one Git commit: groups resolved, every value with its origin.

All of it is immutable data, in the order of names, so that two compilations of
the same commit are equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Literal, NamedTuple

from specs.diagnostics.position import Position
from specs.digest import Canonical, digest
from specs.machine_fields import DriftPolicy, MachineField, PowerDriver, Said, declared
from specs.types.address_range import AddressRange

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
    disk: DiskRequest


class RestoreStep(NamedTuple):
    """Write an image to a disk: destructive."""

    image: str
    disk: DiskRequest
    identity: Literal["apply", "keep"]


class UnsupportedStep(NamedTuple):
    """A step that is valid, but that nothing here can carry out yet: it plans as BLOCKED."""

    action: str
    """The step's key in the document: ``install``."""
    reason: str
    """Why, as a clause: ``no provider installs operating systems yet``."""


ScenarioStep = InspectDisksStep | BackupStep | RestoreStep | UnsupportedStep


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


class CompiledImage(NamedTuple):
    """One ``Image`` document, for people. Its content is looked up in the store by name."""

    description: str
    display_name: str = ""


class UnsupportedDocument(NamedTuple):
    """A document that is valid, but that nothing here acts on yet: it plans as BLOCKED."""

    kind: str
    name: str
    reason: str
    """Why, as a clause: ``no provider mirrors packages yet``."""
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


class GroupBudget(NamedTuple):
    """Limits for a group and all below it, besides the fleet's. None: only the fleet's hold."""

    group: str
    max_destructive_at_once: int | None
    max_destructive_per_hour: int | None
    max_disruptive_at_once: int | None
    max_disruptive_per_hour: int | None


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


class FleetSettings(NamedTuple):
    """The ``Fleet`` document: what holds for all."""

    max_destructive_at_once: int
    max_destructive_per_hour: int
    observation_max_age_seconds: int
    """An observation older than this is UNKNOWN, never "no change"."""
    max_disruptive_at_once: int = 20
    max_disruptive_per_hour: int = 200
    group_budgets: tuple[GroupBudget, ...] = ()
    """In the order of the document."""
    commits: CompiledCommits = CompiledCommits()


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
    machines: Mapping[str, CompiledMachine] = field(default_factory=dict)
    holds: tuple[CompiledHold, ...] = ()
    """In the order of names."""
    enrollment_rules: tuple[CompiledEnrollmentRule, ...] = ()
    """In the order in which they are asked."""
    unsupported: tuple[UnsupportedDocument, ...] = ()
    """In the order of kinds and names."""
