"""mke2fs: a directory tree becomes an ext4 file system inside a disk file."""

from pathlib import Path

from providers.lab.command import run
from providers.lab.golden.partition_table import SECTOR, Partition

_BLOCK = 4096


def arguments(disk: Path, partition: Partition, uuid: str, tree: Path) -> list[str]:
    """Return the command line.

    Inode tables and journal are written at once, so that the kernel does not do it
    during the first boot. GRUB 2.06 cannot read the two features that are off.
    """
    return [
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(_BLOCK)),
        *("-U", uuid, "-L", "root"),
        *("-O", "^metadata_csum_seed,^orphan_file"),
        *("-E", f"offset={partition.start * SECTOR},nodiscard,lazy_itable_init=0"),
        *("-d", str(tree), str(disk), str(partition.length * SECTOR // _BLOCK)),
    ]


def write_root(disk: Path, partition: Partition, uuid: str, tree: Path) -> None:
    """Write the tree's files, with owners and modes, to the partition. RW801, RW808, RW809."""
    run(arguments(disk, partition, uuid, tree), package="e2fsprogs", writes=disk)
