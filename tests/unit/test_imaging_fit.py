import struct
from pathlib import Path

import attrs
import pytest

from agent.imaging import gpt
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent
from agent.imaging.fit import Fit, fit
from agent.imaging.table import read_table
from tests.unit.imaging_images import MIB, small_gpt_image


def test_a_disk_of_the_same_size_needs_no_patch(tmp_path: Path) -> None:
    _, manifest, _ = small_gpt_image(tmp_path)
    assert fit(manifest, manifest.disk_size) == Fit()


def usable_sectors(header: gpt.GptHeader) -> tuple[int, int]:
    first, last = struct.unpack_from("<QQ", header.raw, 40)
    return first, last


@pytest.mark.parametrize("grown", [512, 16 * 512, MIB, 100 * MIB])
def test_on_a_larger_disk_the_table_is_whole_at_the_new_end(tmp_path: Path, grown: int) -> None:
    path, manifest, _ = small_gpt_image(tmp_path)
    size = manifest.disk_size + grown
    raw = bytearray(path.read_bytes().ljust(size, b"\0"))
    for patch in fit(manifest, size).patches:
        raw[patch.offset : patch.offset + len(patch.raw)] = patch.raw
    table = read_table(lambda offset, length: bytes(raw[offset : offset + length]), size, 512)
    assert [(region.kind, region.offset) for region in table.regions][3:] == [
        ("gpt-backup-entries", size - 33 * 512),
        ("gpt-backup-header", size - 512),
    ]
    header = gpt.parse_header(bytes(raw[512:1024]), 1)
    assert usable_sectors(header) == (34, size // 512 - 34)
    backup = gpt.parse_header(bytes(raw[-512:]), size // 512 - 1)
    assert backup.alternate == 1
    assert usable_sectors(backup) == usable_sectors(header)


def test_an_unwritten_patch_is_not_taken_for_the_image(tmp_path: Path) -> None:
    path, manifest, _ = small_gpt_image(tmp_path)
    placed = fit(manifest, manifest.disk_size + MIB)
    first = next(iter(manifest.chunks())).span
    image = bytearray(path.read_bytes()[:MIB])
    target = bytearray(image)
    placed.to_target(first, target)
    assert target != image
    broken = bytearray(target)
    broken[600] ^= 1
    placed.to_image(first, target)
    assert target == image
    placed.to_image(first, broken)
    assert broken != image


def test_a_backup_that_would_cover_data_is_refused_with_both_sizes(tmp_path: Path) -> None:
    _, manifest, _ = small_gpt_image(tmp_path)
    elsewhere = attrs.evolve(
        manifest,
        regions=manifest.regions[:3],
        used=(*manifest.used[:-1], Extent(7 * MIB, MIB)),
    )
    with pytest.raises(RefusedDiskError) as caught:
        fit(elsewhere, manifest.disk_size + 512)
    assert str(caught.value) == (
        "RW416: the disk has 8389120 bytes, the image 8388608: the backup partition table at "
        "the new end would cover data of the image. Restore to a disk of the same size or one "
        "that is larger by a MiB or more."
    )
    assert fit(elsewhere, manifest.disk_size + MIB).patches
