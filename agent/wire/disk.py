"""Disks as a machine sees them."""

from attrs import field, frozen, validators

from agent.wire.partition_types import type_name


@frozen
class DiskIdentity:
    """What makes a disk this disk and no other.

    Two of ``wwn``, ``serial`` and ``path`` may be missing (empty). A disk is the
    same when every non-empty one of ``wwn`` and ``serial`` agrees; where both are
    missing, the stable hardware ``path`` (``pci-0000:00:04.0``) decides. ``size``
    in bytes must always agree.
    """

    wwn: str
    serial: str
    path: str
    size: int = field(validator=validators.ge(0))

    def key(self) -> str:
        """Return the text that enters an operation's id and names the disk to people."""
        return self.wwn or self.serial or self.path


@frozen
class Partition:
    """One partition. ``start`` and ``size`` are bytes."""

    number: int
    start: int
    size: int
    type: str
    """GPT type GUID or MBR type byte (``0x83``)."""
    uuid: str
    filesystem: str
    """As blkid names it (``ext4``, ``vfat``, ``LVM2_member``); empty where it finds none."""
    label: str
    several: tuple[str, ...] = ()
    """Everything that was recognised, where that is more than one thing."""

    @property
    def content(self) -> str:
        """Return what it holds: the file system, else what its type is for."""
        return " + ".join(self.several) or self.filesystem or type_name(self.type)


@frozen
class Disk:
    """One disk with what is on it at the moment of inspection."""

    identity: DiskIdentity
    node: str
    """Where the kernel shows it now (``/dev/vda``). Never an identity."""
    model: str
    sector_size: int
    table: str
    """``gpt``, ``mbr`` or empty."""
    removable: bool
    read_only: bool
    partitions: tuple[Partition, ...] = ()
    holds: str = ""
    """One line for people: ``blank (whole disk read)``, ``gpt, 3 partitions: vfat, ext4``."""
    part_of: str = ""
    """Of what the disk as a whole is a part: ``a Linux software RAID (host:0)``; or empty.

    Whoever writes such a disk damages more than the disk, and what he writes may be undone.
    """
    transport: str = ""
    """The network that leads to it: ``fc``, ``iscsi``, ``nvme-tcp``; empty for a local disk."""


@frozen
class DiskSelector:
    """Which disk a step means before the disks are known.

    ``role`` is ``system`` (the only fixed disk, or the one that ``serial``,
    ``wwn`` or ``path`` names). More than one candidate is an error, never a guess.
    """

    role: str = "system"
    wwn: str = ""
    serial: str = ""
    path: str = ""
