"""The files as which an image is shown: the disk, its partitions and LVM's volumes. Pure."""

from collections.abc import Iterator
from urllib.parse import quote

from attrs import field, frozen

from agent.imaging.extent import Extent
from agent.imaging.lvm import device_name, device_paths
from agent.imaging.manifest import OMITTED, LogicalVolume, Manifest

DISK_FILE = "disk.raw"

_OTHER = frozenset(
    {"", "swap", "LVM2_member", "crypto_LUKS", "linux_raid_member", "zfs_member", "bcache"}
)
"""What blkid finds that is no file system to mount."""


@frozen
class ImagePart:
    """A partition or a volume of LVM."""

    name: str
    """The partition's number, or the volume's as device-mapper spells it: ``group-volume``."""
    place: str
    """As ``ImagedSystem.root`` names it: the number, or ``group/volume``."""
    title: str
    """For people: ``partition 1``, ``volume vg/root``."""
    file: str
    """Name of the file with its bytes."""
    uuid: str
    """Of the partition's entry (PARTUUID), or of the volume."""
    filesystem: str
    """As blkid names it; empty where it recognised none."""
    label: str
    extents: tuple[Extent, ...] = field(repr=False)
    """Where its bytes lie on the disk, from the first to the last."""
    devices: tuple[str, ...] = ()
    """Paths by which the system itself may name a volume, as in fstab(5)."""

    @property
    def has_file_system(self) -> bool:
        """Whether it holds files, known to the kernel here or not."""
        return self.filesystem not in _OTHER

    @property
    def start(self) -> int:
        """Offset on the disk of its first byte; -1 where it has none."""
        return self.extents[0].offset if self.extents else -1

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(extent.length for extent in self.extents)


def image_parts(image: Manifest) -> tuple[ImagePart, ...]:
    """Return the partitions that the image holds, in disk order, then the volumes."""
    return (*_partitions(image), *map(_volume_part, image.volumes))


def _partitions(image: Manifest) -> Iterator[ImagePart]:
    for each in image.partitions:
        if each.method == OMITTED:
            continue
        yield ImagePart(
            name=str(each.number),
            place=str(each.number),
            title=f"partition {each.number}",
            file=f"partition-{each.number}.raw",
            uuid=each.uuid,
            filesystem=each.filesystem,
            label=each.label,
            extents=(each.extent,),
        )


def _volume_part(volume: LogicalVolume) -> ImagePart:
    name = quote(device_name(volume.group, volume.name), safe="+")
    return ImagePart(
        name=name,
        place=f"{volume.group}/{volume.name}",
        title=f"volume {volume.group}/{volume.name}",
        file=f"volume-{name}.raw",
        uuid=volume.uuid,
        filesystem=volume.filesystem,
        label=volume.label,
        extents=volume.extents,
        devices=device_paths(volume.group, volume.name),
    )
