"""What of an image can grow, by its manifest and LVM's metadata. Pure but for fetching chunks."""

from collections.abc import Iterator, Mapping

from agent.imaging import gpt, lvm
from agent.imaging.growable import (
    FILE_SYSTEMS,
    LVM,
    Growable,
    GrowableGroup,
    GrowablePartition,
    GrowablePhysicalVolume,
    GrowableVolume,
)
from agent.imaging.image_reader import ChunkSource, ImageReader
from agent.imaging.manifest import OMITTED, ImagedPartition, LogicalVolume, Manifest

_WRITTEN_LAST = 1 << 20
_CHUNKS = 8  # LVM's metadata is in one or two


def growable(manifest: Manifest, source: ChunkSource) -> Growable:
    """Return what of an image can grow.

    Chunks are fetched for the metadata of LVM alone. Raises what ``source`` raises,
    and CorruptChunkError.
    """
    physical = [each for each in manifest.partitions if _is_physical(each)]
    layout = lvm.Layout({}, {}, ())
    if physical:
        reader = ImageReader(manifest, source, cache_chunks=_CHUNKS)
        layout = lvm.read_layout(reader.read, [each.extent for each in physical])
    return Growable(
        disk_size=manifest.disk_size,
        sector_size=manifest.sector_size,
        table=manifest.table,
        backup=_backup(manifest),
        partitions=tuple(
            GrowablePartition(
                number=each.number,
                start=each.start,
                size=each.size,
                filesystem=each.filesystem,
                obstacle=_obstacle(each, layout),
            )
            for each in manifest.partitions
        ),
        records=tuple(region.offset for region in manifest.regions if region.kind == "ebr"),
        groups=tuple(_groups(manifest, layout)),
    )


def _is_physical(partition: ImagedPartition) -> bool:
    return (partition.filesystem, partition.method) == (LVM, "used-blocks")


def _backup(manifest: Manifest) -> int:
    header = manifest.region("gpt-header")
    if manifest.table != "gpt" or header is None:
        return 0
    sector = manifest.sector_size
    return (gpt.parse_header(header.raw, 1).entries_sectors(sector) + 1) * sector


def _obstacle(partition: ImagedPartition, layout: lvm.Layout) -> str:
    """Return why this partition does not grow; empty where it can."""
    if partition.start < _WRITTEN_LAST:
        return "it begins in the first MiB of the disk, which is written last"
    if partition.method == OMITTED:
        return "the image does not hold it"
    if not partition.filesystem:
        return "it has no file system that is known"
    if partition.filesystem != LVM and partition.filesystem not in FILE_SYSTEMS:
        return f"there is no way to grow {partition.filesystem}"
    if partition.method != "used-blocks":
        return f"its {_called(partition)} was kept sector by sector: {partition.reason}"
    return layout.problems.get(partition.extent, "")


def _called(partition: ImagedPartition) -> str:
    return "LVM physical volume" if partition.filesystem == LVM else partition.filesystem


# --- LVM ------------------------------------------------------------------------


def _groups(manifest: Manifest, layout: lvm.Layout) -> Iterator[GrowableGroup]:
    numbers = {each.extent: each.number for each in manifest.partitions}
    imaged = {(each.group, each.name): each for each in manifest.volumes}
    for group in layout.groups:
        yield GrowableGroup(
            name=group.name,
            extent_size=group.extent_size,
            free=sum(each.length for each in group.free),
            system=group.system,
            obstacle=_group_obstacle(group),
            physical=tuple(
                GrowablePhysicalVolume(
                    partition=numbers[each.place],
                    start=each.extents.offset,
                    count=each.extents.length // group.extent_size,
                    tail=each.tail,
                )
                for each in group.physical
            ),
            volumes=tuple(
                _volume(group, volume, imaged)
                for volume in layout.volumes
                if volume.group == group.name
            ),
        )


def _group_obstacle(group: lvm.VolumeGroup) -> str:
    if group.elsewhere:
        here = len(group.physical)
        return (
            f"its LVM volume group {group.name} has {here + group.elsewhere} physical volumes, "
            f"and {here} of them in the image"
        )
    return f"of its LVM volume group {group.name}, {group.problem}" if group.problem else ""


def _volume(
    group: lvm.VolumeGroup,
    volume: lvm.Volume,
    imaged: Mapping[tuple[str, str], LogicalVolume],
) -> GrowableVolume:
    kept = imaged.get((volume.group, volume.name))
    whole = _stays_whole(group, volume)
    return GrowableVolume(
        name=volume.name,
        size=sum(each.length for each in volume.extents),
        filesystem=kept.filesystem if kept else "",
        obstacle=_volume_obstacle(volume, kept, whole=whole),
        whole=whole,
    )


def _volume_obstacle(volume: lvm.Volume, kept: LogicalVolume | None, *, whole: bool) -> str:
    if volume.reason:
        return volume.reason
    if volume.striped:
        return "it is striped"
    if kept is None:
        return "the image does not list it"
    if not kept.filesystem:
        return "it has no file system that is known"
    if kept.filesystem not in FILE_SYSTEMS:
        return f"there is no way to grow {kept.filesystem}"
    if kept.method != "used-blocks":
        return f"its {kept.filesystem} was kept sector by sector: {kept.reason}"
    if volume.contiguous and not whole:
        return "it has to lie in one piece (allocation policy contiguous), and other extents follow"
    return ""


def _stays_whole(group: lvm.VolumeGroup, volume: lvm.Volume) -> bool:
    """Return whether a volume is one piece with all extents that it would take behind it."""
    if len(volume.extents) != 1 or len(group.physical) != 1:
        return False
    end, last = volume.extents[0].end, group.physical[0].extents.end
    if not group.free:
        return end == last
    return len(group.free) == 1 and group.free[0].offset == end and group.free[0].end == last
