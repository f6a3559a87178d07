"""Where partitions lie on a smaller disk, for any partitions; the tables are read back."""

import struct
import uuid
import zlib
from itertools import pairwise

import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.extent import Extent, merged
from agent.imaging.manifest import Firmware, ImagedPartition, Manifest
from agent.imaging.scan import ASKED_FOR
from agent.imaging.table import read_table
from providers.imaging.boot_places import corrections, unbootable_reason
from providers.imaging.errors import ShrinkError
from providers.imaging.smaller_layout import (
    UNIT,
    Layout,
    choose,
    largest_size,
    layout,
    smallest_size,
    table,
)
from tests.unit.imaging_images import LINUX

EXT4 = ("ext4", "used-blocks", "")


@frozen
class Sectors:
    """A disk that has few sectors that are not zero."""

    size: int
    sector: int
    content: dict[int, bytes] = field(factory=dict)
    """By offset, whole sectors."""

    def write(self, offset: int, raw: bytes) -> None:
        start = offset // self.sector * self.sector
        end = -(-(offset + len(raw)) // self.sector) * self.sector
        held = bytearray(self.read(start, end - start))
        held[offset - start : offset - start + len(raw)] = raw
        for place in range(0, len(held), self.sector):
            self.content[start + place] = bytes(held[place : place + self.sector])

    def read(self, offset: int, length: int) -> bytes:
        start = offset // self.sector * self.sector
        zero = bytes(self.sector)
        places = range(start, offset + length, self.sector)
        data = b"".join(self.content.get(place, zero) for place in places)
        return data[offset - start : offset - start + length]


def image_of(disk: Sectors, kinds: dict[int, tuple[str, str, str]]) -> Manifest:
    """Return the image of a disk; ``kinds`` has file system, method and reason by number."""
    found = read_table(disk.read, disk.size, disk.sector)
    return Manifest(
        disk_size=disk.size,
        sector_size=disk.sector,
        table=found.kind,
        firmware=Firmware(bios=True, uefi=False),
        regions=found.regions,
        partitions=tuple(
            ImagedPartition(
                slot.number,
                *(slot.extent.offset, slot.extent.length, slot.type, slot.uuid),
                *(kinds.get(slot.number, EXT4)[0], "", *kinds.get(slot.number, EXT4)[1:]),
            )
            for slot in found.slots
        ),
        used=merged(region.extent for region in found.regions),
        digests=b"",
    )


def gpt_disk(size: int, sector: int, numbered: dict[int, Extent], kind: uuid.UUID) -> Sectors:
    disk = Sectors(size, sector)
    array = bytearray(16384)
    for number, place in numbered.items():
        entry = struct.pack(
            "<16s16sQQQ72s",
            *(kind.bytes_le, uuid.UUID(int=number).bytes_le),
            *(place.offset // sector, place.end // sector - 1, 1 << 60 | number),
            f"part {number}".encode("utf-16-le"),
        )
        array[(number - 1) * 128 : number * 128] = entry
    sectors, taken = size // sector, 16384 // sector
    for position, alternate, entries in (
        (1, sectors - 1, 2),
        (sectors - 1, 1, sectors - 1 - taken),
    ):
        header = bytearray(
            struct.pack(
                "<8s4sIIIQQQQ16sQIII",
                *(b"EFI PART", b"\0\0\1\0", 92, 0, 0, position, alternate),
                *(2 + taken, sectors - 2 - taken, uuid.UUID(int=77).bytes_le),
                *(entries, 128, 128, zlib.crc32(array)),
            )
        )
        header[16:20] = struct.pack("<I", zlib.crc32(header))
        disk.write(position * sector, header)
        disk.write(entries * sector, array)
    disk.write(0, mbr(sector, {1: (0xEE, Extent(sector, size - sector))}))
    return disk


def mbr(sector: int, entries: dict[int, tuple[int, Extent]], code: bytes = b"\xfa\x90") -> bytes:
    raw = bytearray(code.ljust(440, b"\0") + b"\xbe\xba\xfe\xca\0\0" + bytes(64) + b"\x55\xaa")
    for number, (kind, place) in entries.items():
        packed = (0, kind, place.offset // sector, place.length // sector)
        struct.pack_into("<B3xB3xII", raw, 446 + 16 * (number - 1), *packed)
    return bytes(raw)


@st.composite
def places(draw: st.DrawFn, sector: int, most: int) -> list[Extent]:
    """Partitions in disk order, aligned or not, with and without space between them."""
    position, found = UNIT, []
    for _ in range(draw(st.integers(1, most))):
        unit = draw(st.sampled_from([sector, 8 * sector, UNIT]))
        gap = draw(st.sampled_from([0, 0, 1, 7, 5000])) * unit
        start = -(-(position + gap) // unit) * unit
        length = draw(st.integers(1, 3000)) * draw(st.sampled_from([8 * sector, UNIT]))
        found.append(Extent(start, length))
        position = start + length
    return found


@st.composite
def gpt_images(draw: st.DrawFn) -> tuple[Sectors, Manifest]:
    sector = draw(st.sampled_from([512, 4096]))
    found = draw(places(sector, 6))
    numbers = draw(st.permutations(range(1, len(found) + 3)))
    tail = draw(st.sampled_from([33 * 512, UNIT, 70 * UNIT]))
    size = -(-(found[-1].end + max(tail, 6 * 4096)) // sector) * sector
    numbered = dict(zip(numbers, found, strict=False))
    disk = gpt_disk(size, sector, numbered, LINUX)
    return disk, image_of(disk, {})


@st.composite
def mbr_images(draw: st.DrawFn) -> tuple[Sectors, Manifest]:
    """Primaries in any order of their numbers; one may be extended, with a chain in it."""
    found = draw(places(512, 4))
    numbers = draw(st.permutations(range(1, 5)))
    extended = draw(st.integers(-1, len(found) - 1))
    disk = Sectors(found[-1].end + draw(st.sampled_from([0, UNIT, 512])), 512)
    entries = {}
    for index, (number, place) in enumerate(zip(numbers, found, strict=False)):
        entries[number] = (0x0F if index == extended else 0x83, place)
        if index == extended:
            chain(disk, place, draw(st.integers(1, 3)))
    disk.write(0, mbr(512, entries))
    return disk, image_of(disk, {})


def chain(disk: Sectors, place: Extent, most: int) -> None:
    """Write extended boot records, each with a partition of a sector."""
    count = min(most, place.length // 1024)
    for index in range(count):
        start = place.offset + index * 1024
        entries = {1: (0x83, Extent(512, 512))}
        if index + 1 < count:
            entries[2] = (0x05, Extent((index + 1) * 1024, 1024))
        disk.write(start, mbr(512, entries))


def made(disk: Sectors, image: Manifest, new: Layout) -> Sectors:
    """Return the new disk as it is laid out of the image's."""
    other = Sectors(new.disk_size, disk.sector)
    for source, target in new.copies():
        for offset, raw in disk.content.items():
            if source.offset <= offset < source.end:
                other.write(offset - source.offset + target, raw)
    for patch in table(image, new):
        other.write(patch.offset, patch.raw)
    return other


@given(st.one_of(gpt_images(), mbr_images()), st.data())
def test_any_partition_may_be_smaller_and_the_others_keep_order_size_and_name(
    given_disk: tuple[Sectors, Manifest], data: st.DataObject
) -> None:
    disk, image = given_disk
    able = [each for each in image.partitions if image.table == "gpt" or each.number < 5]
    if not able:
        return
    partition = data.draw(st.sampled_from(able))
    needed = data.draw(st.integers(1, partition.size))
    size = smallest_size(partition, needed)
    new = layout(image, partition.number, size)
    assert needed <= size <= partition.size
    assert new.disk_size <= max(-(-disk.size // UNIT) * UNIT, UNIT)
    for each in new.places:
        shrunk = each.number == partition.number
        assert each.after.length == (size if shrunk else each.before.length)
        assert each.after.offset <= each.before.offset
        assert (each.after.offset - each.before.offset) % UNIT == 0
        assert each.moved <= (each.before.offset > partition.start)
    assert all(one.after.end <= two.after.offset for one, two in pairwise(new.places))
    found = read_table(made(disk, image, new).read, new.disk_size, disk.sector)
    assert [(each.number, each.type, each.uuid) for each in found.slots] == [
        (each.number, each.type, each.uuid) for each in image.partitions
    ]
    assert [each.extent for each in found.slots] == [
        Extent(new.now(each.start), size if each == partition else each.size)
        for each in image.partitions
    ]
    kinds = [each.kind for each in found.regions]
    assert kinds == [each.kind for each in image.regions]
    if image.table == "gpt":
        assert found.regions[-1].extent.end == new.disk_size
        assert new.places[-1].after.end <= found.regions[-2].offset


@given(st.one_of(gpt_images(), mbr_images()), st.data())
def test_a_partition_gets_all_that_a_disk_of_some_size_has_for_it(
    given_disk: tuple[Sectors, Manifest], data: st.DataObject
) -> None:
    _, image = given_disk
    able = [each for each in image.partitions if image.table == "gpt" or each.number < 5]
    if not able:
        return
    partition = data.draw(st.sampled_from(able))
    wanted = data.draw(st.integers(1, image.disk_size // UNIT + 1)) * UNIT
    size = largest_size(image, partition, wanted)
    if size <= 0:
        one = smallest_size(partition, 1)
        assert layout(image, partition.number, one).disk_size > wanted
        return
    assert layout(image, partition.number, size).disk_size <= wanted
    if size < partition.size:
        more = min(size + UNIT, partition.size)
        assert layout(image, partition.number, more).disk_size > wanted
    else:
        assert size == partition.size


def three(kinds: dict[int, tuple[str, str, str]]) -> Manifest:
    numbered = {n: Extent((1 + 100 * (n - 1)) * UNIT, 100 * UNIT) for n in (1, 2, 3)}
    return image_of(gpt_disk(400 * UNIT, 512, numbered, LINUX), kinds)


def test_the_partition_with_the_most_unused_space_is_chosen() -> None:
    image = three({3: ("xfs", "used-blocks", "")})
    assert choose(image, None).number == 2  # the later of two that are as empty
    full = evolve(image, used=(*image.used, Extent(101 * UNIT, 50 * UNIT)))
    assert choose(full, None).number == 1
    assert choose(image, 1).number == 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (("xfs", "used-blocks", ""), "XFS cannot be shrunk"),
        (("vfat", "used-blocks", ""), "FAT cannot be shrunk"),
        (("exfat", "used-blocks", ""), "exFAT cannot be shrunk"),
        (("f2fs", "used-blocks", ""), "F2FS cannot be shrunk"),
        (("swap", "used-blocks", ""), "it is swap, which has no files"),
        (("LVM2_member", "used-blocks", ""), "it is a physical volume of LVM"),
        (("crypto_LUKS", "full-sector", "LUKS"), "what is in it is encrypted"),
        (("zfs_member", "full-sector", "no map"), "there is no way to shrink zfs_member"),
        (("", "full-sector", "no file system was recognised"), "no file system was recognised"),
        (("ext4", "full-sector", "run e2fsck"), "its ext4 was kept sector by sector: run e2fsck"),
    ],
)
def test_what_cannot_be_shrunk_is_said_in_its_own_words(
    kind: tuple[str, str, str], said: str
) -> None:
    with pytest.raises(ShrinkError, match=f"RW448: .* partition 2 cannot be shrunk: {said}"):
        choose(three({2: kind}), 2)
    with pytest.raises(ShrinkError, match=f"no partition can be .* partition 3: {said}"):
        choose(three(dict.fromkeys((1, 2, 3), kind)), None)


def test_a_partition_that_was_kept_whole_because_it_was_asked_for_can_be_shrunk() -> None:
    assert choose(three({2: ("ext4", "full-sector", ASKED_FOR)}), 2).number == 2


def test_a_partition_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ShrinkError, match=r"the image has no partition 7; it has 1, 2, 3"):
        choose(three({}), 7)


def logical() -> tuple[Sectors, Manifest]:
    disk = Sectors(400 * UNIT, 512)
    chain(disk, Extent(300 * UNIT, 50 * UNIT), 2)
    entries = {1: (0x83, Extent(UNIT, 299 * UNIT)), 2: (0x05, Extent(300 * UNIT, 50 * UNIT))}
    disk.write(0, mbr(512, entries))
    return disk, image_of(disk, {})


def test_a_logical_partition_is_not_shrunk_but_moves_with_its_records() -> None:
    disk, image = logical()
    with pytest.raises(ShrinkError, match="partition 5 cannot be shrunk: it is a logical"):
        choose(image, 5)
    new = layout(image, 1, 99 * UNIT)
    found = read_table(made(disk, image, new).read, new.disk_size, 512)
    assert [(each.number, each.extent.offset) for each in found.slots] == [
        (1, UNIT),
        (5, 100 * UNIT + 512),
        (6, 100 * UNIT + 1536),
    ]
    assert new.disk_size == 150 * UNIT


def test_logical_partitions_outside_of_their_extended_one_are_refused() -> None:
    disk, image = logical()
    entries = {1: (0x83, Extent(UNIT, 299 * UNIT)), 2: (0x05, Extent(300 * UNIT, 512))}
    disk.write(0, mbr(512, entries))
    with pytest.raises(ShrinkError, match="its partition table contradicts itself"):
        layout(image_of(disk, {}), 1, 99 * UNIT)
    assert layout(image, 1, 99 * UNIT)


def test_without_a_partition_only_what_is_behind_the_last_one_goes() -> None:
    image = three({})
    new = layout(image)
    assert new.disk_size == 302 * UNIT
    assert not any(each.changed for each in new.places)
    assert list(new.copies()) == [(Extent(0, 301 * UNIT), 0)]


# --- what starts by its place -----------------------------------------------------------


def grub(sector: int, *, legacy: bool = False) -> bytes:
    code = bytearray(440)
    code[0x180:0x186] = b"GRUB \0"
    if legacy:
        code[0x3E:0x40] = b"\x03\x02"
        struct.pack_into("<I", code, 0x44, sector)
    else:
        struct.pack_into("<Q", code, 0x5C, sector)
    return bytes(code)


def judged(code: bytes, *, core: tuple[int, bytes] = (0, b""), kind: str = "ext4") -> str:
    """Return what is said of a disk with this boot code whose second partition is shrunk."""
    numbered = {n: Extent((1 + 100 * (n - 1)) * UNIT, 100 * UNIT) for n in (1, 2, 3)}
    disk = gpt_disk(400 * UNIT, 512, numbered, LINUX)
    disk.write(0, code)
    if core[1]:
        disk.write(core[0] * 512, core[1])
    image = image_of(disk, {2: (kind, "used-blocks", "")})
    return unbootable_reason(image, layout(image, 2, 50 * UNIT), disk.read)


SHRUNK = 101 * 2048
"""The first sector of the partition that becomes smaller."""
MOVED = 201 * 2048


def block_list(*pieces: tuple[int, int]) -> bytes:
    core = bytearray(512)
    for index, piece in enumerate(pieces):
        struct.pack_into("<QHH", core, 500 - 12 * index, *piece, 0x820)
    return bytes(core)


@pytest.mark.parametrize(
    ("code", "core", "said"),
    [
        (grub(40), (40, block_list((41, 60))), ""),
        (grub(2048 + 5), (2053, block_list((2054, 60))), ""),  # a partition that stays
        (grub(SHRUNK + 999), (0, b""), "reads GRUB from sector 207847, in partition 2"),
        (grub(MOVED), (0, b""), "reads GRUB from sector 411648, in partition 3"),
        (grub(40), (40, block_list((41, 3), (SHRUNK + 7, 9))), "from sector 206855"),
        (grub(MOVED + 1, legacy=True), (0, b""), "from sector 411649"),
        (grub(63, legacy=True), (0, b""), ""),
        (b"\xfa\xeb\x21\x01\xb4\x01LILO", (0, b""), "its boot loader LILO knows"),
        (b"\xfa" * 440, (0, b""), ""),
        (b"", (SHRUNK, b"\xeb\x58\x90EXTLINUX"), "partition 2 is that of EXTLINUX"),
        (b"", (2048, grub(SHRUNK)), "the boot sector of partition 1 reads GRUB from"),
    ],
)
def test_boot_code_that_names_sectors_which_change_is_a_reason(
    code: bytes, core: tuple[int, bytes], said: str
) -> None:
    found = judged(code, core=core)
    assert (said in found) if said else found == ""


def test_grub_in_the_space_that_a_btrfs_leaves_to_it_stays_where_it_is() -> None:
    assert judged(grub(SHRUNK + 1), kind="btrfs") == ""
    assert "GRUB" in judged(grub(SHRUNK + 2048), kind="btrfs")


def test_a_bios_boot_partition_never_moves() -> None:
    numbered = {1: Extent(UNIT, 100 * UNIT), 2: Extent(101 * UNIT, UNIT)}
    bios_boot = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
    disk = gpt_disk(200 * UNIT, 512, numbered, bios_boot)
    image = image_of(disk, {})
    assert unbootable_reason(image, layout(image, 2, 512), disk.read) == ""
    said = unbootable_reason(image, layout(image, 1, 50 * UNIT), disk.read)
    assert said.startswith("partition 2, which its boot sector reads by the number of its first")


def test_a_hybrid_mbr_is_a_reason() -> None:
    numbered = {1: Extent(UNIT, 100 * UNIT)}
    disk = gpt_disk(200 * UNIT, 512, numbered, LINUX)
    disk.write(0, mbr(512, {1: (0xEE, Extent(512, UNIT - 512)), 2: (0x83, numbered[1])}))
    image = image_of(disk, {})
    assert "hybrid MBR" in unbootable_reason(image, layout(image, 1, 50 * UNIT), disk.read)
    assert unbootable_reason(image, layout(image), disk.read) == ""


def windows(kind: int, table_kind: str) -> tuple[Sectors, Manifest]:
    """Return a disk whose second partition is an NTFS that knows where it begins."""
    numbered = {1: Extent(UNIT, 100 * UNIT), 2: Extent(101 * UNIT, 20 * UNIT)}
    if table_kind == "gpt":
        disk = gpt_disk(200 * UNIT, 512, numbered, LINUX)
    else:
        disk = Sectors(200 * UNIT, 512)
        disk.write(0, mbr(512, {n: (kind, place) for n, place in numbered.items()}))
    boot = bytearray(512)
    boot[3:7] = b"NTFS"
    struct.pack_into("<H", boot, 0x0B, 512)
    struct.pack_into("<I", boot, 0x1C, 101 * 2048)
    struct.pack_into("<Q", boot, 0x28, 20 * 2048 - 8)
    disk.write(101 * UNIT, boot)
    disk.write(121 * UNIT - 512, boot)
    disk.write(121 * UNIT - 4096 + 0x1C, struct.pack("<I", 101 * 2048))  # of a file
    return disk, image_of(disk, dict.fromkeys((1, 2), ("ntfs", "used-blocks", "")))


def test_windows_on_an_mbr_disk_is_not_moved_but_its_recovery_partition() -> None:
    disk, image = windows(0x07, "mbr")
    said = unbootable_reason(image, layout(image, 1, 50 * UNIT), disk.read)
    assert said.startswith("partition 2, an NTFS, would move, and Windows knows")
    assert unbootable_reason(image, layout(image, 2, 5 * UNIT), disk.read) == ""
    disk, image = windows(0x27, "mbr")
    assert unbootable_reason(image, layout(image, 1, 50 * UNIT), disk.read) == ""


def test_a_moved_volume_and_its_copy_get_the_number_of_their_first_sector() -> None:
    disk, image = windows(0, "gpt")
    new = layout(image, 1, 50 * UNIT)
    changes = list(corrections(image, new, disk.read))
    assert [(each.offset, each.raw) for each in changes] == [
        (51 * UNIT + 0x1C, struct.pack("<I", 51 * 2048)),
        (71 * UNIT - 512 + 0x1C, struct.pack("<I", 51 * 2048)),
    ]
    disk.write(101 * UNIT + 0x1C, bytes(4))  # mkfs in a file wrote 0: that is nobody's number
    assert len(list(corrections(image, new, disk.read))) == 1
