"""The steps of an operation, as the agent receives them."""

from typing import ClassVar

from attrs import field, frozen, validators

from agent.wire.disk import DiskIdentity, DiskSelector

_digest = validators.matches_re(r"^[0-9a-f]{64}$")


@frozen
class InspectDisks:
    """Report all disks; change nothing."""

    STEP_TYPE: ClassVar[str] = "inspectDisks"


@frozen
class Backup:
    """Read a whole disk into the image ``image``; write nothing to the disk."""

    STEP_TYPE: ClassVar[str] = "backup"
    image: str
    disk: DiskSelector


@frozen
class Restore:
    """Make the used blocks of ``disk`` equal to the image with this manifest digest."""

    STEP_TYPE: ClassVar[str] = "restore"
    image: str
    manifest: str = field(validator=_digest)
    disk: DiskIdentity


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
class Finish:
    """What the machine does once all steps are done: ``reboot``, ``poweroff`` or ``stay``."""

    STEP_TYPE: ClassVar[str] = "finish"
    action: str = field(validator=validators.in_(("reboot", "poweroff", "stay")))


Step = InspectDisks | Backup | Restore | ApplyIdentity | Finish
