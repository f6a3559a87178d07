"""Growing the file system of a partition or volume that takes more of the disk than in the image.

The disk is not bootable meanwhile, and the table does not show the partition yet: it is shown
as a loop device. XFS and Btrfs grow while they are mounted, through the calls that ``xfs_growfs``
and ``btrfs filesystem resize max`` make, which the RAM system does not have.
"""

import fcntl
import os
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.commands import e2fsck, losetup, ntfsresize, resize2fs
from agent.commands.mount import mounted
from agent.imaging.device import Device
from agent.imaging.errors import GrowthError
from agent.imaging.growth import Growth

# Linux, fs/xfs/libxfs/xfs_fs.h: struct xfs_fsop_geom and struct xfs_growfs_data.
_XFS_IOC_FSGEOMETRY_V1 = 0x80705864
_XFS_IOC_FSGROWFSDATA = 0x4010586E
_XFS_GEOMETRY = struct.Struct("=8I Q 72x")
_XFS_GROWTH = struct.Struct("=Q I 4x")

# Linux, include/uapi/linux/btrfs.h: struct btrfs_ioctl_vol_args.
_BTRFS_IOC_RESIZE = 0x50009403
_BTRFS_VOLUME = struct.Struct("=q 4088s")


def grow_file_system(device: Device, growth: Growth) -> None:
    """Grow the file system to the grown partition's size, durably.

    CommandError or GrowthError where it does not grow.
    """
    place = growth.extent
    with losetup.attached(
        Path(device.node), place.offset, place.length, device.sector_size, write=True
    ) as node:
        grow_on(node, growth.partition.filesystem, place.length)
    device.flush()


def grow_on(node: Path, filesystem: str, size: int) -> None:
    """Grow the file system to its device, which has ``size`` bytes. CommandError, GrowthError."""
    _GROW[filesystem](node, size)


def _grow_ext(node: Path, _size: int) -> None:
    e2fsck.check(node)
    resize2fs.grow(node)


def _grow_ntfs(node: Path, _size: int) -> None:
    ntfsresize.grow(node)


def _grow_xfs(node: Path, size: int) -> None:
    def grow(descriptor: int) -> None:
        raw = fcntl.ioctl(descriptor, _XFS_IOC_FSGEOMETRY_V1, bytes(_XFS_GEOMETRY.size))
        block_size, *_, most_inodes, _data_blocks = _XFS_GEOMETRY.unpack(raw)
        wanted = _XFS_GROWTH.pack(size // block_size, most_inodes)
        fcntl.ioctl(descriptor, _XFS_IOC_FSGROWFSDATA, wanted)

    _mounted_grow(node, "xfs", ("nouuid",), grow)


def _grow_btrfs(node: Path, _size: int) -> None:
    def grow(descriptor: int) -> None:
        fcntl.ioctl(descriptor, _BTRFS_IOC_RESIZE, bytearray(_BTRFS_VOLUME.pack(0, b"max")))

    _mounted_grow(node, "btrfs", (), grow)


def _mounted_grow(
    node: Path, filesystem: str, options: Sequence[str], grow: Callable[[int], None]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with mounted(node, place, filesystem, write=True, options=options):
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                grow(descriptor)
            except OSError as error:
                raise GrowthError(filesystem, error.strerror or str(error)) from error
            finally:
                os.close(descriptor)


_GROW: dict[str, Callable[[Path, int], None]] = {
    "ext2": _grow_ext,
    "ext3": _grow_ext,
    "ext4": _grow_ext,
    "ntfs": _grow_ntfs,
    "xfs": _grow_xfs,
    "btrfs": _grow_btrfs,
}
