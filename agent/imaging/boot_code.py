"""Boot code for BIOS, where single partitions are restored.

It lies outside partitions: in the first 440 bytes of the boot sector, and with an MBR in the
space before the first partition, where GRUB has its core image. With a GPT the core image has a
partition of its own. The boot sector's code holds where the core image begins, so both come from
one image or none. The partition table and the disk's signature, which are in the same sector, stay:
the sector is written with both, alone and last.
"""

from collections.abc import Sequence

from attrs import frozen

from agent.imaging.chunk import CHUNK_SIZE
from agent.imaging.device import Device
from agent.imaging.errors import ReadBackError, RefusedDiskError
from agent.imaging.extent import Extent, between
from agent.imaging.gpt import BIOS_BOOT_TYPE
from agent.imaging.manifest import Manifest
from agent.imaging.table import Region, Table, primaries
from agent.wire.imaged_layout import counted_partitions

_CODE = 440


@frozen
class BootCode:
    """The boot sector and what belongs to it; content of the image's first chunk."""

    gap: Extent
    """The space before the first partition; of length 0 with a GPT."""
    content: bytes


def boot_code_gap(manifest: Manifest, table: Table, numbers: tuple[int, ...]) -> Extent:
    """Return the space before the first partition that is written with the boot sector.

    ``table`` is the disk's. Raises RefusedDiskError (RW419) where the image has no boot code for
    BIOS, or the rest of it would not be written, or has no room.
    """
    if not manifest.firmware.bios:
        raise _refused("the image has no boot code for BIOS", "Leave `bootCode` out")
    loaders = [part.number for part in manifest.partitions if part.type == BIOS_BOOT_TYPE]
    left = [number for number in loaders if number not in numbers]
    if left:
        raise _refused(
            f"the rest of the boot code is in {counted_partitions(left)}, which is not restored",
            f"Add {', '.join(map(str, left))} to `partitions`",
        )
    if manifest.table == "gpt":
        return Extent(manifest.sector_size, 0)
    mine = _first_place(manifest.regions, manifest.sector_size)
    its = _first_place(table.regions, manifest.sector_size)
    wanted = min(mine, CHUNK_SIZE)
    if its < wanted:
        raise _refused(
            f"the first partition, or extended one, begins at byte {mine:,} in the image and at "
            f"byte {its:,} on the disk: the boot code has no room",
            "Leave `bootCode` out, or restore the whole disk",
        )
    return between(manifest.sector_size, wanted)


def _first_place(regions: Sequence[Region], sector_size: int) -> int:
    """Return where the first thing lies of which an MBR knows: an extended partition, too."""
    starts = [place.offset for _, _, place in primaries(regions[0].raw, sector_size)]
    starts += [region.offset for region in regions if region.kind == "ebr"]
    return min(starts)


def write_boot_code(device: Device, code: BootCode) -> None:
    """Write boot code, the boot sector last, and read it back; ReadBackError."""
    gap, sector = code.gap, device.sector_size
    if gap.length:
        device.write_bytes(code.content[gap.offset : gap.end], gap.offset)
        device.flush()
    first = code.content[:_CODE] + device.read(0, sector)[_CODE:]
    device.write_bytes(first, 0)
    device.flush()
    for place, wanted in (
        (gap, code.content[gap.offset : gap.end]),
        (Extent(0, sector), first),
    ):
        if place.length and device.read(place.offset, place.length) != wanted:
            raise ReadBackError(device.node, "of the boot code", place.offset)


def _refused(cause: str, action: str) -> RefusedDiskError:
    return RefusedDiskError("RW419", cause, action)
