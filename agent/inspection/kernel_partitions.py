"""The partitions of a disk as the kernel has them."""

from pathlib import Path

from agent.inspection.host_paths import HostPaths, read_number

_SECTOR = 512  # of start and size, whatever the disk's own sectors are


def kernel_partitions(node: Path, paths: HostPaths) -> tuple[tuple[int, int], ...]:
    """Return first byte and length of each, in disk order; empty where the kernel shows none.

    It shows none of a regular file. Of an extended partition it shows the first KiB, for boot
    loaders.
    """
    block = paths.sysfs / "class/block" / node.resolve().name
    parts = (entry.parent for entry in block.glob("*/partition"))
    return tuple(
        sorted(
            (read_number(part / "start") * _SECTOR, read_number(part / "size") * _SECTOR)
            for part in parts
        )
    )
