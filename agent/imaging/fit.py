"""What of the table must differ from the image, on a larger disk or for a grown partition. Pure.

A GPT keeps its backup in the disk's last sectors, and its header, like the
protective MBR, states where they are. On a larger disk the table is written as
``sfdisk --relocate gpt-bak-std`` would leave it. Where a partition is grown, its
entry has another end; a logical one of an MBR has two more records. These sectors, and what
a grown file system or LVM writes, are the
exception to "the used blocks equal the image's". Everything else of the image,
the old backup among it, lies where it lay.
"""

from collections.abc import Iterator

from attrs import field, frozen

from agent.imaging import gpt
from agent.imaging.chunk import Span
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent, clipped, merged, without
from agent.imaging.growth import FIRST_LOGICAL, Growth
from agent.imaging.manifest import Manifest
from agent.imaging.table import Region, resized_logical, resized_primary


@frozen
class Patch:
    """Sectors that hold ``raw`` on the target and not what the image says."""

    offset: int
    raw: bytes

    @property
    def extent(self) -> Extent:
        """Where it lies."""
        return Extent(self.offset, len(self.raw))


@frozen
class Fit:
    """The patches for one target; none for a disk of the image's own size without growth."""

    patches: tuple[Patch, ...] = ()
    _originals: tuple[Region, ...] = field(default=(), repr=False)

    def to_target(self, span: Span, content: memoryview | bytearray) -> None:
        """Turn the image's content of a chunk into the target's, in place."""
        for patch in self.patches:
            _overlay(content, span.offset, patch.offset, patch.raw)

    def to_image(self, span: Span, content: memoryview | bytearray) -> None:
        """Turn the target's content of a chunk into the image's, in place.

        A patch that is not on the disk as it should be is left as it was found,
        so that the chunk's digest will not fit.
        """
        for patch in self.patches:
            if not _holds(content, span.offset, patch):
                continue
            for region in self._originals:
                for part in clipped((patch.extent,), region.extent):
                    start = part.offset - region.offset
                    raw = region.raw[start : start + part.length]
                    _overlay(content, span.offset, part.offset, raw)


def fit(manifest: Manifest, target_size: int, grown: Growth | None = None) -> Fit:
    """Return how the image differs on a disk of ``target_size`` bytes.

    Raises RefusedDiskError (RW416) where the moved backup would cover data: on a
    disk that is larger by less than a backup GPT and whose image has its own
    backup elsewhere.
    """
    if grown and not grown.moves_end:
        grown = None
    if manifest.table == "mbr" and grown:
        return Fit(tuple(_mbr_patches(manifest, grown)), manifest.regions)
    if manifest.table != "gpt" or (target_size <= manifest.disk_size and not grown):
        return Fit()
    header_region, array_region = manifest.region("gpt-header"), manifest.region("gpt-entries")
    if header_region is None or array_region is None:  # a checked manifest has both
        return Fit()
    sector = manifest.sector_size
    header, array = gpt.parse_header(header_region.raw, 1), array_region.raw
    if grown:
        array = header.resized_entry(array, grown.partition.number, grown.extent.end // sector - 1)
        header = header.with_entries(array)
    last = target_size // sector - 1
    entries = last - header.entries_sectors(sector)
    primary = header.moved(
        position=1, alternate=last, last_usable=entries - 1, entries=header.entries
    )
    backup = header.moved(position=last, alternate=1, last_usable=entries - 1, entries=entries)
    protective = gpt.resized_protective_mbr(manifest.regions[0].raw, target_size // sector)
    patches = [Patch(0, protective), Patch(sector, primary)]
    if grown:
        patches.append(Patch(header.entries * sector, array))
    tail = (Patch(entries * sector, array), Patch(last * sector, backup))
    _refuse_covered_data(manifest, tail, target_size)
    return Fit((*patches, *tail), manifest.regions)


def _mbr_patches(manifest: Manifest, grown: Growth) -> Iterator[Patch]:
    place, number = grown.extent, grown.partition.number
    if number >= FIRST_LOGICAL:
        sector = manifest.sector_size
        for region in resized_logical(manifest.regions, place.offset, place.end, sector):
            yield Patch(region.offset, region.raw)
    else:
        sectors = place.length // manifest.sector_size
        yield Patch(0, resized_primary(manifest.regions[0].raw, number, sectors))


def _refuse_covered_data(manifest: Manifest, patches: tuple[Patch, ...], target_size: int) -> None:
    known = merged(region.extent for region in manifest.regions)
    for patch in patches:
        if without(tuple(clipped(manifest.used, patch.extent)), known):
            raise RefusedDiskError(
                "RW416",
                f"the disk has {target_size} bytes, the image {manifest.disk_size}: "
                "the backup partition table at the new end would cover data of the image",
                "Restore to a disk of the same size or one that is larger by a MiB or more",
            )


def _overlay(content: memoryview | bytearray, base: int, offset: int, raw: bytes) -> None:
    start, end = max(offset, base), min(offset + len(raw), base + len(content))
    if start < end:
        content[start - base : end - base] = raw[start - offset : end - offset]


def _holds(content: memoryview | bytearray, base: int, patch: Patch) -> bool:
    start, end = max(patch.offset, base), min(patch.extent.end, base + len(content))
    if start >= end:
        return False
    wanted = patch.raw[start - patch.offset : end - patch.offset]
    return bytes(content[start - base : end - base]) == wanted
