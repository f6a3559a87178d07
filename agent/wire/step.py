"""The steps of an operation, as the agent receives them."""

from typing import ClassVar

from attrs import field, frozen, validators

from agent.wire.agent_release import WANTED_VERSION, AgentRelease
from agent.wire.disk import DiskIdentity, DiskSelector
from agent.wire.files import PlacedFile, SourcePath
from agent.wire.package import WantedPackage

_digest = validators.matches_re(r"^[0-9a-f]{64}$")
_numbers = validators.deep_iterable(validators.and_(validators.ge(1), validators.le(999)))
_VOLUME = r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}/[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}"
_absolute = validators.matches_re(r"^/[^\x00]*\Z")


@frozen
class InspectDisks:
    """Report all disks; change nothing."""

    STEP_TYPE: ClassVar[str] = "inspectDisks"


@frozen
class Backup:
    """Read a disk into the image ``image``; write nothing to the disk but repairs.

    ``mode``: ``used`` for what file systems use, ``full`` for every sector. ``partitions`` are the
    numbers of those to read; empty for the whole disk. ``on_bad_sector``: what is done about one
    that cannot be read. ``repair``: file systems that were not left clean are repaired on the disk
    before.
    """

    STEP_TYPE: ClassVar[str] = "backup"
    image: str
    disk: DiskSelector
    mode: str = field(default="used", validator=validators.in_(("used", "full")))
    partitions: tuple[int, ...] = field(default=(), validator=_numbers)
    on_bad_sector: str = field(default="fail", validator=validators.in_(("fail", "skip-and-mark")))
    repair: bool = False


@frozen
class Restore:
    """Make the used blocks of ``disk`` equal to the image with this manifest digest.

    ``grow`` is the partition that takes the free space behind it (its number, ``last`` or
    ``none``), or the LVM volume that does: ``GROUP/VOLUME``. ``partitions`` are the numbers of
    those to write, with the rest of the disk left alone; empty for the whole disk. ``boot_code``:
    with them, the boot code for BIOS outside partitions.
    """

    STEP_TYPE: ClassVar[str] = "restore"
    image: str
    manifest: str = field(validator=_digest)
    disk: DiskIdentity
    grow: str = field(
        default="none", validator=validators.matches_re(rf"^(none|last|[1-9]\d{{0,2}}|{_VOLUME})\Z")
    )
    partitions: tuple[int, ...] = field(default=(), validator=_numbers)
    boot_code: bool = False


@frozen
class ApplyIdentity:
    """Give the restored system on ``disk`` an identity of its own and install the agent.

    ``addresses`` are in CIDR form; empty means DHCP. ``agent_token`` is the
    single-use token by which the installed agent enrolls; ``operation`` is the op_id
    that it proves.
    """

    STEP_TYPE: ClassVar[str] = "applyIdentity"
    disk: DiskIdentity
    hostname: str
    mac: str
    addresses: tuple[str, ...]
    gateway: str
    nameservers: tuple[str, ...]
    server: str
    pin: str
    agent_token: str = field(repr=False)
    operation: str
    domain: str = ""
    """The DNS domain that completes the host name; empty for none."""


@frozen
class Run:
    """Run a command on the installed system. No shell reads it.

    ``timeout`` and ``silence`` are seconds: one that runs longer, or that neither writes anything
    nor uses a processor for so long, is ended with all that it started. ``session`` is
    ``service`` (as the agent runs) or ``user`` (as the person who is logged in at the machine).
    """

    STEP_TYPE: ClassVar[str] = "run"
    command: tuple[str, ...] = field(validator=validators.min_len(1))
    success: tuple[int, ...]
    timeout: int = field(validator=validators.ge(1))
    silence: int = field(validator=validators.ge(1))
    session: str = field(default="service", validator=validators.in_(("service", "user")))


@frozen
class Finish:
    """What the machine does once all steps are done: ``reboot``, ``poweroff`` or ``stay``."""

    STEP_TYPE: ClassVar[str] = "finish"
    action: str = field(validator=validators.in_(("reboot", "poweroff", "stay")))


@frozen
class InstallPackages:
    """Install packages on the installed system: what is detected already is left alone.

    People who are logged in are warned ``countdown`` seconds before; 0: not at all. With
    ``skippable`` they may put it off.
    """

    STEP_TYPE: ClassVar[str] = "packages"
    packages: tuple[WantedPackage, ...]
    countdown: int = field(default=0, validator=validators.ge(0))
    skippable: bool = False


@frozen
class PlaceFiles:
    """Bring files to the installed system, then remove others. What is replaced is kept.

    ``sources`` is what the repository has; the server reads it when it hands the work out, and
    says in ``files`` what the agent is to bring.
    """

    STEP_TYPE: ClassVar[str] = "files"
    sources: tuple[SourcePath, ...] = ()
    files: tuple[PlacedFile, ...] = ()
    remove: tuple[str, ...] = ()


@frozen
class UpgradeAgent:
    """Exchange the agent for a release of ``version`` or newer, or stay what it is.

    The new one has to report within ``health_within`` seconds of each of its starts. The server
    adds the ``release`` when it hands the work out.
    """

    STEP_TYPE: ClassVar[str] = "upgradeAgent"
    version: str = field(validator=validators.matches_re(WANTED_VERSION))
    health_within: int = field(default=180, validator=validators.ge(1))
    release: AgentRelease | None = None


@frozen
class ListFolder:
    """Bring the server a list of what is in a folder of the installed system, or what a file is.

    The list is JSON, as ``agent.wire.listing`` has it. Changes nothing.
    """

    STEP_TYPE: ClassVar[str] = "listFolder"
    path: str = field(validator=_absolute)


@frozen
class ReadFile:
    """Bring the server the content of a file of the installed system. Changes nothing.

    A file of more than ``most`` bytes is refused, and so is a symbolic link without ``follow``.
    """

    STEP_TYPE: ClassVar[str] = "readFile"
    path: str = field(validator=_absolute)
    most: int = field(validator=validators.ge(0))
    follow: bool = False


@frozen
class ShowMessage:
    """Show one line to the people at the machine. Whether anybody saw it is told, not required."""

    STEP_TYPE: ClassVar[str] = "showMessage"
    text: str = field(validator=validators.min_len(1))


OUTLIVES_RESTART: tuple[type, ...] = (
    InstallPackages,
    PlaceFiles,
    UpgradeAgent,
    ListFolder,
    ReadFile,
)
"""Steps that an agent goes on with where it was started again in their middle: done once more,
they do only what is missing, or change nothing."""
Step = (
    InspectDisks
    | Backup
    | Restore
    | ApplyIdentity
    | Run
    | InstallPackages
    | PlaceFiles
    | ListFolder
    | ReadFile
    | ShowMessage
    | UpgradeAgent
    | Finish
)
