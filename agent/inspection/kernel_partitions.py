"""The partitions of a disk as the kernel has them."""

from pathlib import Path

from agent.inspection.host_paths import read_number

_SECTOR = 512  # of start and size, whatever the disk's own sectors are


def kernel_partitions(block: Path) -> tuple[tuple[int, int], ...]:
    """Return first byte and length of each, in disk order, from ``/sys/class/block/vda``.

    Empty where the kernel shows none, as of a regular file. Of an extended partition it shows
    the first KiB, for boot loaders.
    """
    parts = (entry.parent for entry in block.glob("*/partition"))
    return tuple(
        sorted(
            (read_number(part / "start") * _SECTOR, read_number(part / "size") * _SECTOR)
            for part in parts
        )
    )
