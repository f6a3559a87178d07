"""Growing a logical volume of LVM in a group whose disk has more room than in the image.

LVM changes its metadata through ``agent.commands.lvm`` and activates nothing. Where the volume
lies then is read from the disk as a capture reads it. The disk is not bootable meanwhile, and the
kernel shows none of its partitions: they are shown as loop devices.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.commands import dmsetup, losetup, lvm
from agent.imaging.device import Device, open_device
from agent.imaging.errors import GrowthError, RefusedDiskError
from agent.imaging.extent import Extent, between, total
from agent.imaging.grow import grow_on
from agent.imaging.growth import Growth, VolumeGrowth
from agent.imaging.lvm import Volume, VolumeGroup, read_layout
from agent.imaging.manifest import Manifest
from agent.imaging.pieces import PiecesError, composed
from agent.imaging.signature_places import free_places


def refuse_unready(growth: Growth) -> None:
    """Raise where this machine cannot carry the growth out, as far as can be told before.

    MissingCommandError RW566 without LVM's program, RefusedDiskError RW417 without device-mapper
    where the volume will lie in several pieces.
    """
    if growth.volume is None:
        return
    lvm.require()
    if not growth.volume.volume.whole and not dmsetup.is_there():
        raise RefusedDiskError(
            "RW417",
            f"the LVM volume {growth.volume.name} cannot be grown: it would lie in several "
            "pieces, which this machine cannot put together without device-mapper",
            "Restore on a machine that was started with the Deploy-OS, or without `grow`",
        )


def grow_volume(device: Device, manifest: Manifest, growth: Growth, wanted: VolumeGrowth) -> None:
    """Grow the physical volume, the logical volume and its file system, durably.

    CommandError where a program fails, GrowthError where LVM or the kernel did something else.
    """
    numbers = {each.partition for each in wanted.group.physical}
    places = [part.extent for part in manifest.partitions if part.number in numbers]
    places = [growth.extent if each.offset == growth.extent.offset else each for each in places]
    _, before = _found(device, places, wanted)
    with _shown(device, places) as nodes:
        if growth.moves_end:
            grown = nodes[places.index(growth.extent)]
            lvm.resize_physical(grown, nodes, wanted.group.system)
    device.flush()
    group, _ = _found(device, places, wanted)
    if not group.free:
        return
    with _shown(device, places) as nodes:
        lvm.extend_volume(group.name, before.name, nodes, wanted.group.system)
    device.flush()
    _, after = _found(device, places, wanted)
    if not _begins_with(after.extents, before.extents):
        raise GrowthError(f"LVM volume {wanted.name}", "LVM moved what was in it")
    size = total(after.extents)
    with _composed(device, after.extents) as node:
        _clear_signatures(node, between(0, total(before.extents)), size, device.sector_size)
        grow_on(node, wanted.volume.filesystem, size)
    device.flush()


@contextmanager
def _shown(device: Device, places: Sequence[Extent]) -> Iterator[list[Path]]:
    """Provide parts of the disk as devices."""
    with ExitStack() as stack:
        yield [stack.enter_context(_attached(device, place)) for place in places]


@contextmanager
def _composed(device: Device, pieces: Sequence[Extent]) -> Iterator[Path]:
    """Provide what consists of pieces of the disk as one device."""
    if len(pieces) == 1:
        with _attached(device, pieces[0]) as node:
            yield node
        return
    node, size = Path(device.node), device.size
    with ExitStack() as stack:
        try:
            path = stack.enter_context(composed(node, size, device.sector_size, pieces, write=True))
        except PiecesError as error:
            raise GrowthError("LVM volume", str(error)) from error
        yield path


@contextmanager
def _attached(device: Device, place: Extent) -> Iterator[Path]:
    shown = losetup.attached(
        Path(device.node), place.offset, place.length, device.sector_size, write=True
    )
    with shown as node:
        yield node


def _found(
    device: Device, places: Sequence[Extent], wanted: VolumeGrowth
) -> tuple[VolumeGroup, Volume]:
    """Return the group and the volume as the disk has them now."""
    layout = read_layout(device.read, places)
    name = wanted.group.name, wanted.volume.name
    for volume in layout.volumes:
        if (volume.group, volume.name) == name and not volume.reason:
            group = next(each for each in layout.groups if each.name == volume.group)
            return group, volume
    problems = "; ".join(layout.problems.values()) or "its group is not on the disk"
    raise GrowthError(f"LVM volume {wanted.name}", problems)


def _begins_with(extents: Sequence[Extent], before: Sequence[Extent]) -> bool:
    """Return whether a volume has all that it had, in the order that it had."""
    *whole, last = before
    count = len(whole)
    return (
        list(extents[:count]) == whole
        and len(extents) > count
        and extents[count].offset == last.offset
        and extents[count].length >= last.length
    )


def _clear_signatures(node: Path, kept: Extent, size: int, sector_size: int) -> None:
    """Zero what earlier uses of the disk left where it would be recognised in the larger volume."""
    opened = open_device(str(node), write=True, exclusive=False, sector_size=sector_size)
    with opened as volume:
        for area, places in free_places([Extent(0, size)], (kept,), sector_size):
            content = volume.read(area.offset, area.length)
            for place in places:
                if content.startswith(place.magic, place.offset - area.offset):
                    volume.write_bytes(bytes(place.sectors.length), place.sectors.offset)
        volume.flush()
