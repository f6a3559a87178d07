"""A partition as a device that can be mounted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.commands import losetup
from agent.inspection.host_paths import read_number
from agent.wire.disk import Disk, Partition

_KERNEL_SECTOR = 512


@contextmanager
def partition_device(sysfs: Path, disk: Disk, partition: Partition) -> Iterator[Path]:
    """Yield the kernel's device for the partition, else a loop device over its range.

    The kernel has none for a disk that is a file, for a partition table that it was not
    built for, and while its view is older than the table that was just restored.
    """
    node = Path(disk.node)
    device = kernel_partition(sysfs, node, partition)
    if device is not None:
        yield device
        return
    with losetup.attached(
        node, partition.start, partition.size, disk.sector_size, write=True
    ) as loop:
        yield loop


def kernel_partition(sysfs: Path, node: Path, partition: Partition) -> Path | None:
    """Return the device whose place on the disk is the partition's, None where there is none."""
    for entry in sorted((sysfs / "block" / node.name).glob(f"{node.name}*")):
        start = read_number(entry / "start") * _KERNEL_SECTOR
        size = read_number(entry / "size") * _KERNEL_SECTOR
        device = node.with_name(entry.name)
        if (start, size) == (partition.start, partition.size) and device.exists():
            return device
    return None
