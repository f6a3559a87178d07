"""What of an image decides which partition or LVM volume of it can grow. Pure; bytes.

Small enough to be kept with each image: whoever plans a restore asks before any chunk moves.
One that another version made (``version``) may have other obstacles than this one would.
"""

from attrs import frozen

VERSION = 1
"""One more with each change of what can grow, or of these classes."""

BTRFS = "btrfs"
LEAST_BTRFS = 256 << 20
"""Linux, fs/btrfs/ioctl.c: ``btrfs_ioctl_resize`` refuses fewer bytes."""

FILE_SYSTEMS = frozenset(("ext2", "ext3", "ext4", "xfs", BTRFS, "ntfs"))
"""Those that can be grown, as blkid names them."""

LVM = "LVM2_member"
"""What blkid calls a physical volume."""


@frozen
class GrowablePartition:
    """A partition of the image."""

    number: int
    start: int
    size: int
    filesystem: str
    """As blkid names it; empty where it recognised none."""
    obstacle: str
    """Why it or what it holds cannot grow, in one phrase; empty where it can."""

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size


@frozen
class GrowablePhysicalVolume:
    """A partition that is a physical volume of LVM."""

    partition: int
    """Its number."""
    start: int
    """Where its physical extents begin, on the disk."""
    count: int
    """How many it has."""
    tail: int
    """Bytes of the metadata area behind them; 0 where there is none."""


@frozen
class GrowableVolume:
    """A logical volume that users see."""

    name: str
    size: int
    """0 where it does not lie on this disk alone, or is built of other volumes."""
    filesystem: str
    obstacle: str
    """Why it cannot grow, in one phrase; empty where it can."""
    whole: bool
    """Whether it lies in one piece and will when it has taken all free extents of its group."""


@frozen
class GrowableGroup:
    """A volume group that has physical volumes in the image."""

    name: str
    extent_size: int
    free: int
    """Bytes of physical extents that belong to no volume."""
    system: str
    """The system ID of the machine that it belongs to; empty where any may use it."""
    obstacle: str
    """Why no volume of it can grow, in one phrase; empty where they can."""
    physical: tuple[GrowablePhysicalVolume, ...]
    """In disk order."""
    volumes: tuple[GrowableVolume, ...]
    """By name."""


@frozen
class Growable:
    """What of an image decides what of it can grow."""

    disk_size: int
    sector_size: int
    table: str
    """``gpt``, ``mbr`` or ``none``."""
    backup: int
    """Bytes that the table takes at the disk's end."""
    partitions: tuple[GrowablePartition, ...]
    """In disk order."""
    records: tuple[int, ...]
    """Where the extended boot records of an MBR begin, in disk order."""
    groups: tuple[GrowableGroup, ...]
    """By name."""
    version: int = VERSION
