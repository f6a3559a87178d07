"""What an agent says about its machine: body of ``POST /v1/report``.

An installed agent shows besides, in the header ``EXCHANGE_HEADER``, the value that the answer
to its last report gave.
"""

from attrs import field, frozen

from agent.wire.disk import Disk

EXCHANGE_HEADER = "Rackwright-Exchange"


@frozen
class Hardware:
    """SMBIOS and network identity."""

    macs: tuple[str, ...]
    uuid: str
    serial: str
    vendor: str
    product: str
    cpus: int
    memory: int
    """Bytes."""
    firmware: str
    """``bios`` or ``uefi``."""
    secure_boot: bool


@frozen
class InstalledSystem:
    """Proof by the agent in the booted system; absent in the Deploy-OS."""

    hostname: str
    machine_id: str
    addresses: tuple[str, ...]
    """CIDR form, global scope only."""
    ssh_host_keys: tuple[str, ...]
    """SHA256 fingerprints as ``ssh-keygen -l`` prints them, sorted."""
    os: str
    """PRETTY_NAME of os-release."""
    kernel: str
    operation: str
    """The op_id that installed this system, as the identity step left it."""
    finished: str = ""
    """When the server said that this operation is verified, by its clock; ISO 8601."""


@frozen
class Report:
    """One observation of a machine."""

    environment: str
    boot_id: str
    uptime: int
    """Seconds."""
    agent_version: str
    hardware: Hardware
    disks: tuple[Disk, ...] = ()
    installed: InstalledSystem | None = None
    problems: tuple[str, ...] = field(factory=tuple)


@frozen
class ReportAnswer:
    """Answer to a report, where there is something to say; else 204."""

    finished: str = ""
    """When the operation that installed the system was verified: it is never done again."""
    exchange: str = field(default="", repr=False)
    """What the next report is to carry: it tells this agent from a copy of it."""
    renew: bool = False
    """Whether the agent is to renew its certificate now."""
    updates: str = ""
    """The digest of what the machine is to install by itself (``agent.wire.updates``)."""
