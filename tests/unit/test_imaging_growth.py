"""Which partition or LVM volume grows, up to where, and what of the table says so."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MissingCommandError
from agent.imaging import volume_grow
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent
from agent.imaging.fit import fit
from agent.imaging.growable import (
    Growable,
    GrowableGroup,
    GrowablePartition,
    GrowablePhysicalVolume,
    GrowableVolume,
)
from agent.imaging.growth import Growth, growth
from agent.imaging.image_growable import growable
from agent.imaging.lvm import PhysicalVolume, VolumeGroup, read_layout
from agent.imaging.manifest import ImagedPartition, LogicalVolume
from agent.imaging.table import Table, TableError, read_table, resized_logical
from tests.unit.imaging_images import MIB, MemoryStore, image_of, noise
from tests.unit.lvm_images import (
    EXTENT,
    PE_START,
    UUID,
    Value,
    group,
    group_text,
    logical,
    physical,
    physical_volume,
    segment,
)

PE = 4 * MIB
GROWN = 1000 * MIB


def a_partition(
    number: int, start: int, size: int, filesystem: str = "ext4", obstacle: str = ""
) -> GrowablePartition:
    """Return a partition; in MiB."""
    return GrowablePartition(number, start * MIB, size * MIB, filesystem, obstacle)


def a_volume(name: str, size: int, obstacle: str = "", *, whole: bool = False) -> GrowableVolume:
    return GrowableVolume(name, size * MIB, "ext4", obstacle, whole)


def a_group(*volumes: GrowableVolume, free: int = 0, count: int = 24) -> Growable:
    """Return an image of 118 MiB with a small partition and a group of ``count`` extents."""
    members = (GrowablePhysicalVolume(2, 18 * MIB, count, 0),)
    vg0 = GrowableGroup("vg0", PE, free * MIB, "", "", members, volumes)
    parts = a_partition(1, 1, 16), a_partition(2, 17, 100, "LVM2_member")
    return an_image(*parts, groups=(vg0,))


def an_image(
    *partitions: GrowablePartition,
    table: str = "gpt",
    records: Sequence[int] = (),
    groups: tuple[GrowableGroup, ...] = (),
) -> Growable:
    return Growable(
        disk_size=118 * MIB,
        sector_size=512,
        table=table,
        backup=33 * 512 if table == "gpt" else 0,
        partitions=partitions,
        records=tuple(each * MIB for each in records),
        groups=groups,
    )


def refusal(image: Growable, grow: str, size: int = GROWN) -> str:
    with pytest.raises(RefusedDiskError) as caught:
        growth(image, size, grow)
    return str(caught.value)


def of_volume(image: Growable, size: int, grow: str) -> Growth:
    found = growth(image, size, grow)
    assert found is not None
    assert found.volume is not None
    return found


# --- LVM --------------------------------------------------------------------------


def test_a_volume_takes_the_extents_that_the_larger_partition_has() -> None:
    image = a_group(a_volume("root", 80), a_volume("home", 16))
    found = of_volume(image, GROWN, "vg0/root")
    assert found.extent == Extent(17 * MIB, 982 * MIB)
    assert found.moves_end
    assert found.volume is not None
    assert found.volume.name == "vg0/root"
    # 981 MiB from the first extent on are 245 extents, and the group had 24.
    assert found.volume.size == 80 * MIB + (245 - 24) * PE


def test_a_volume_takes_the_free_extents_of_its_group_also_without_a_larger_disk() -> None:
    image = a_group(a_volume("root", 40), free=56)
    found = of_volume(image, 118 * MIB, "vg0/root")
    assert (found.moves_end, found.extent) == (False, Extent(17 * MIB, 100 * MIB))
    assert found.volume is not None
    assert found.volume.size == 96 * MIB
    assert growth(image, 118 * MIB, "last") is None
    assert growth(image, 118 * MIB, "2") is None


@pytest.mark.parametrize(("size", "grows"), [(118, False), (130, False), (131, True)])
def test_a_disk_that_is_larger_by_less_than_an_extent_changes_nothing(
    size: int, *, grows: bool
) -> None:
    image = a_group(a_volume("root", 96), count=6)
    image = evolve(image, groups=(evolve(image.groups[0], extent_size=16 * MIB),))
    assert (growth(image, size * MIB, "vg0/root") is not None) == grows
    assert (growth(image, size * MIB, "last") is not None) == grows


def test_the_metadata_area_at_the_end_moves_along() -> None:
    image = a_group(a_volume("root", 96))
    (vg0,) = image.groups
    with_tail = evolve(vg0, physical=(evolve(vg0.physical[0], tail=PE),))
    found = of_volume(evolve(image, groups=(with_tail,)), GROWN, "vg0/root").volume
    without = of_volume(image, GROWN, "vg0/root").volume
    assert found
    assert without
    assert without.size - found.size == PE


def test_last_means_the_only_volume_that_can_grow() -> None:
    swap = a_volume("swap", 16, "there is no way to grow swap")
    image = a_group(a_volume("root", 80), swap)
    assert growth(image, GROWN, "last") == growth(image, GROWN, "vg0/root")
    assert growth(image, GROWN, "2") == growth(image, GROWN, "vg0/root")


@pytest.mark.parametrize(
    ("image", "grow", "said"),
    [
        (
            a_group(a_volume("home", 40), a_volume("root", 40)),
            "last",
            (
                "RW417: partition 2, a physical volume of vg0, cannot be grown: 2 volumes could "
                "take the space: vg0/home, vg0/root. Name one of them in `grow`, such as vg0/home."
            ),
        ),
        (
            a_group(a_volume("swap", 40, "there is no way to grow swap")),
            "2",
            (
                "RW417: partition 2, a physical volume of vg0, cannot be grown: no volume of it "
                "can grow (vg0/swap: there is no way to grow swap). Name another partition or "
                "volume in `grow`, or none."
            ),
        ),
        (
            a_group(),
            "last",
            (
                "RW417: partition 2, a physical volume of vg0, cannot be grown: no volume of it "
                "can grow (it has none). Name another partition or volume in `grow`, or none."
            ),
        ),
        (
            a_group(a_volume("root", 40), a_volume("home", 40)),
            "vg0/rot",
            (
                "RW417: the image has no LVM volume vg0/rot to grow; its LVM volumes: vg0/root, "
                "vg0/home. Name one of them in `grow`, or none."
            ),
        ),
        (
            a_group(a_volume("thin", 0, "it is striped")),
            "vg0/thin",
            (
                "RW417: the LVM volume vg0/thin cannot be grown: it is striped. Name another "
                "partition or volume in `grow`, or none."
            ),
        ),
        (
            an_image(a_partition(1, 1, 16, "LVM2_member", "its LVM volume group is exported")),
            "vg0/root",
            (
                "RW417: the LVM volume vg0/root cannot be grown: partition 1: its LVM volume group "
                "is exported. Name another partition or volume in `grow`, or none."
            ),
        ),
        (
            an_image(a_partition(1, 1, 16)),
            "vg0/root",
            (
                "RW417: the image has no LVM volume vg0/root to grow; its LVM volumes: none. Name "
                "one of them in `grow`, or none."
            ),
        ),
        (
            an_image(a_partition(3, 1, 16), a_partition(1, 17, 16)),
            "2",
            (
                "RW417: the image has no partition 2 to grow; its partitions: 3, 1. Name one of "
                "them in `grow`, or none."
            ),
        ),
    ],
)
def test_what_cannot_grow_is_refused_with_the_names(image: Growable, grow: str, said: str) -> None:
    assert refusal(image, grow) == said


def test_a_group_that_cannot_grow_says_why_for_each_of_its_volumes() -> None:
    image = a_group(a_volume("root", 40))
    image = evolve(image, groups=(evolve(image.groups[0], obstacle="it is elsewhere"),))
    assert "vg0/root cannot be grown: it is elsewhere. " in refusal(image, "vg0/root")
    assert "a physical volume of vg0, cannot be grown: it is elsewhere" in refusal(image, "last")


def test_a_physical_volume_in_the_middle_of_the_disk_has_no_room_behind_it() -> None:
    image = a_group(a_volume("root", 40), free=56)
    image = evolve(image, partitions=(*image.partitions, a_partition(3, 117, 1)))
    said = "RW418: partition 2 cannot be grown: it ends at 122683392, and the next one begins at"
    assert refusal(image, "vg0/root").startswith(said)


def test_a_physical_volume_on_the_whole_disk_does_not_grow() -> None:
    image = a_group(a_volume("root", 40))
    first = "it begins in the first MiB of the disk, which is written last"
    parts = (a_partition(0, 0, 118, "LVM2_member", first),)
    member = GrowablePhysicalVolume(0, MIB, 24, 0)
    image = evolve(
        image, partitions=parts, groups=(evolve(image.groups[0], physical=(member,)),), table="none"
    )
    said = f"RW417: a disk without a partition table cannot be grown: {first}. "
    assert refusal(image, "vg0/root").startswith(said)
    assert "the image has no partition last to grow; its partitions: none" in refusal(image, "last")


def test_of_two_physical_volumes_of_a_group_the_last_one_grows() -> None:
    members = (
        GrowablePhysicalVolume(1, 2 * MIB, 3, 0),
        GrowablePhysicalVolume(2, 18 * MIB, 24, 0),
    )
    vg0 = GrowableGroup("vg0", PE, 0, "", "", members, (a_volume("root", 108),))
    parts = a_partition(1, 1, 16, "LVM2_member"), a_partition(2, 17, 100, "LVM2_member")
    image = an_image(*parts, groups=(vg0,))
    found = of_volume(image, GROWN, "vg0/root")
    assert found.partition.number == 2
    assert "RW418" in refusal(image, "1")


def small_btrfs(size: int) -> Growable:
    """Return an image with a Btrfs in a last partition."""
    return an_image(a_partition(1, 1, 16), a_partition(2, 17, size, "btrfs"))


def btrfs_volume(size: int) -> Growable:
    """Return an image with a Btrfs in the only volume of a group."""
    return a_group(evolve(a_volume("root", size), filesystem="btrfs"))


@pytest.mark.parametrize(
    ("image", "grow", "disk", "what", "size"),
    [
        (small_btrfs(160), "last", 182, "partition 2", 164),
        (small_btrfs(160), "2", 273, "partition 2", 255),
        (btrfs_volume(96), "last", 274, "the LVM volume vg0/root", 252),
        (btrfs_volume(96), "vg0/root", 271, "the LVM volume vg0/root", 252),
    ],
)
def test_a_btrfs_that_would_have_less_than_the_kernel_makes_is_refused(
    image: Growable, grow: str, disk: int, what: str, size: int
) -> None:
    assert refusal(image, grow, disk * MIB) == (
        f"RW417: {what} cannot be grown: its btrfs would have {size * MIB:,} bytes on this disk, "
        "and Linux gives none a new size of less than 268,435,456. Restore to a larger disk, or "
        "with `grow: none`."
    )


@pytest.mark.parametrize(
    ("image", "grow", "disk"),
    [
        (small_btrfs(160), "last", 178),
        (small_btrfs(160), "none", 182),
        (small_btrfs(160), "last", 274),
        (an_image(a_partition(1, 1, 160, "xfs")), "last", 182),
        (btrfs_volume(96), "last", 118),
        (btrfs_volume(96), "last", 275),
    ],
)
def test_a_btrfs_that_keeps_its_size_or_gets_enough_is_not_refused(
    image: Growable, grow: str, disk: int
) -> None:
    growth(image, disk * MIB, grow)


def test_a_machine_that_lacks_what_it_takes_is_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_volume(a_group(a_volume("root", 96, whole=True)), GROWN, "vg0/root")
    pieces = of_volume(a_group(a_volume("root", 96)), GROWN, "vg0/root")
    monkeypatch.setattr("agent.commands.dmsetup.is_there", lambda: False)
    monkeypatch.setattr("agent.commands.lvm.shutil.which", lambda *_, **__: "/sbin/lvm")
    volume_grow.refuse_unready(whole)
    with pytest.raises(RefusedDiskError, match=r"RW417: .* vg0/root .* several pieces, which"):
        volume_grow.refuse_unready(pieces)
    monkeypatch.setattr("agent.commands.lvm.shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingCommandError, match="RW566: the command lvm does not exist here"):
        volume_grow.refuse_unready(whole)


# --- any image --------------------------------------------------------------------


@st.composite
def images(draw: st.DrawFn) -> Growable:
    """Images with some partitions in MiB, the last of which may be a physical volume."""
    sizes = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60)), min_size=1, max_size=4))
    position, parts = 1, []
    for number, (gap, size) in enumerate(sizes, 1):
        parts.append(a_partition(number, position + gap, size))
        position += gap + size
    groups: tuple[GrowableGroup, ...] = ()
    if parts[-1].size >= 2 * PE and draw(st.booleans()):
        last = parts[-1] = evolve(parts[-1], filesystem="LVM2_member")
        count = draw(st.integers(1, (last.size - MIB) // PE))
        used = draw(st.integers(1, count))
        member = GrowablePhysicalVolume(last.number, last.start + MIB, count, 0)
        volume = GrowableVolume("root", used * PE, "ext4", "", whole=False)
        free = (count - used) * PE
        groups = (GrowableGroup("vg0", PE, free, "", "", (member,), (volume,)),)
    image = an_image(*parts, table=draw(st.sampled_from(("gpt", "mbr"))), groups=groups)
    return evolve(image, disk_size=(position + draw(st.integers(1, 50))) * MIB)


@given(images(), st.integers(0, 5000 * MIB), st.data())
def test_whatever_grows_stays_where_it_is_free(
    image: Growable, more: int, data: st.DataObject
) -> None:
    size = image.disk_size + more // 512 * 512
    names = [str(each.number) for each in image.partitions] + ["last"] + ["vg0/root"] * 3
    grow = data.draw(st.sampled_from(names))
    try:
        found = growth(image, size, grow)
    except RefusedDiskError:
        return
    if found is None:
        return
    part, place = found.partition, found.extent
    assert (part in image.partitions, place.offset) == (True, part.start)
    assert place.end >= part.end
    if found.moves_end:
        assert place.end % MIB == 0
        assert place.end <= size - max(MIB, image.backup)
    following = [each.start for each in image.partitions if each.start > part.start]
    assert place.end <= min(following, default=size)
    assert found.moves_end or found.volume
    if found.volume:
        (member,), group_ = found.volume.group.physical, found.volume.group
        room = (place.end - member.start) // group_.extent_size * group_.extent_size
        taken = found.volume.size - found.volume.volume.size
        assert taken > 0
        assert found.volume.size <= room
    larger = growth(image, size + 64 * MIB, grow)
    assert larger is not None
    assert larger.extent.end >= place.end


# --- logical partitions -----------------------------------------------------------


def boot_record(*entries: tuple[int, int, int]) -> bytes:
    """Entries are (type, start, sectors)."""
    packed = b"".join(struct.pack("<B3xB3xII", 0, *entry) for entry in entries)
    return bytes(446) + packed.ljust(64, b"\0") + b"\x55\xaa"


def read(raw: Mapping[int, bytes], size: int) -> Table:
    """Return the table of a disk of which only some sectors are not zeros."""
    return read_table(lambda offset, _length: raw.get(offset, bytes(512)), size, 512)


@st.composite
def logical_disks(draw: st.DrawFn) -> tuple[dict[int, bytes], int]:
    """Disks with primary and logical partitions; the chain of these may go back and forth."""
    count = draw(st.integers(1, 5))
    base = draw(st.integers(1, 3)) * 2048
    kind = draw(st.sampled_from((0x05, 0x0F, 0x85)))
    gaps = [draw(st.integers(1, 3)) * 2048 for _ in range(count)]
    sizes = [draw(st.integers(1, 8)) * 1024 for _ in range(count)]
    places, position = [], base
    for index in range(count):
        places.append((position, gaps[index], sizes[index]))
        position += gaps[index] + sizes[index]
    order = [0, *draw(st.permutations(range(1, count)))]
    empty = draw(st.booleans()) and count > 1
    raw = {}
    for index, (record, gap, size) in enumerate(places[each] for each in order):
        entries = [] if empty and index == 0 else [(0x83, gap, size)]
        if index + 1 < count:
            after, after_gap, after_size = places[order[index + 1]]
            entries.append((0x05, after - base, after_gap + after_size))
        raw[record * 512] = boot_record(*entries)
    end = position + draw(st.integers(0, 4096))
    raw[0] = boot_record((0x83, 1, base - 1), (kind, base, end - base))
    return raw, (end + 1) * 512


@given(logical_disks(), st.integers(1, 1 << 22))
def test_a_grown_logical_partition_is_the_only_thing_that_changes(
    disk: tuple[dict[int, bytes], int], more: int
) -> None:
    raw, size = disk
    table = read(raw, size)
    last = max((slot for slot in table.slots if slot.number > 4), key=lambda slot: slot.extent)
    end = max(size, last.extent.end) + more * 512
    changed = resized_logical(table.regions, last.extent.offset, end, 512)
    after = read({**raw, **{each.offset: each.raw for each in changed}}, end)
    grown = evolve(last, extent=Extent(last.extent.offset, end - last.extent.offset))
    assert after.slots == tuple(grown if slot == last else slot for slot in table.slots)
    (_, base, sectors) = struct.unpack_from("<4xB3xII", after.regions[0].raw, 462)
    assert (base + sectors) * 512 == end
    assert len(changed) <= 3
    same = resized_logical(after.regions, last.extent.offset, end, 512)
    assert {each.raw for each in same} <= {each.raw for each in after.regions}


def test_a_partition_that_no_record_has_is_an_error() -> None:
    table = read({0: boot_record((0x05, 2048, 4096)), MIB: boot_record((0x83, 64, 64))}, 8 * MIB)
    with pytest.raises(TableError, match="no extended boot record has the partition at 7"):
        resized_logical(table.regions, 7, MIB, 512)


def test_a_logical_partition_grows_up_to_the_next_record_or_the_disks_end() -> None:
    parts = a_partition(5, 3, 10), a_partition(6, 20, 10)
    image = an_image(*parts, table="mbr", records=(2, 19))
    found = growth(image, GROWN, "5")
    assert found is not None
    assert found.extent == Extent(3 * MIB, 16 * MIB)
    found = growth(image, GROWN, "last")
    assert found is not None
    assert found.extent == Extent(20 * MIB, 979 * MIB)


def test_what_differs_of_a_grown_logical_partition_goes_there_and_back(tmp_path: Path) -> None:
    raw = bytearray(noise(8 * MIB))
    raw[:512] = boot_record((0x05, 2048, 6 * 2048))
    raw[MIB : MIB + 512] = boot_record((0x83, 63, 1000), (0x05, 4096, 2063))
    raw[3 * MIB : 3 * MIB + 512] = boot_record((0x83, 63, 2000))
    path = tmp_path / "disk"
    path.write_bytes(raw)
    place = Extent(3 * MIB + 63 * 512, 2000 * 512)
    last = ImagedPartition(6, *place, "0x83", "", "ext4", "", "used-blocks", "")
    store = MemoryStore()
    image = image_of(path, [Extent(0, 8 * MIB)], store, (last,))
    grown = growth(growable(image, store), 20 * MIB, "last")
    placed = fit(image, 20 * MIB, grown)
    assert [patch.offset for patch in placed.patches] == [0, MIB, 3 * MIB]
    for chunk in image.chunks():
        content = bytearray(raw[chunk.span.offset : chunk.span.offset + MIB])
        before = bytes(content)
        placed.to_target(chunk.span, content)
        assert (content != before) == (chunk.span.offset in {0, MIB, 3 * MIB})
        placed.to_image(chunk.span, content)
        assert content == before


def test_an_extended_partition_has_no_more_sectors_than_an_mbr_can_say() -> None:
    image = an_image(a_partition(5, 100, 10), table="mbr", records=(2,))
    found = growth(image, 5 << 40, "5")
    assert found is not None
    assert found.extent.end <= 2 * MIB + 0xFFFFFFFF * 512


# --- what is read of LVM ----------------------------------------------------------

ROOT = logical(segment(0, 10, "pv0", 5))
NOTHING: Mapping[str, Value] = {}


def groups(text: bytes, extents: int = 100) -> tuple[VolumeGroup, ...]:
    raw = physical_volume(text, extents)
    return read_layout(
        lambda offset, size: raw[offset : offset + size], [Extent(0, len(raw))]
    ).groups


def test_a_group_says_what_of_it_is_free() -> None:
    (found,) = groups(group_text("vg", group({"root": ROOT})))
    size = PE_START + 100 * EXTENT
    assert found == VolumeGroup(
        name="vg",
        extent_size=EXTENT,
        physical=(PhysicalVolume(Extent(0, size), Extent(PE_START, 100 * EXTENT), 0),),
        elsewhere=0,
        free=(Extent(PE_START, 5 * EXTENT), Extent(PE_START + 15 * EXTENT, 85 * EXTENT)),
        system="",
        problem="",
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": ["READ", "WRITE"]}, "it is not resizeable (vgchange --resizeable n)"),
        ({"status": ["RESIZEABLE", "READ"]}, "it is read-only"),
        (
            {"physical_volumes": {"pv0": {**physical(UUID, 100), "status": []}}},
            "a physical volume of it gives away no extents (pvchange --allocatable n)",
        ),
    ],
)
def test_a_group_whose_volumes_must_not_grow_says_why(
    change: Mapping[str, Value], problem: str
) -> None:
    (found,) = groups(group_text("vg", {**group({"root": ROOT}), **change}))
    assert found.problem == problem


def test_a_group_of_one_system_is_locked_against_old_versions_alone() -> None:
    status = {"status": ["RESIZEABLE", "READ"], "flags": ["WRITE_LOCKED"]}
    locked = {**group({"root": ROOT}), **status}
    (found,) = groups(group_text("vg", {**locked, "system_id": "golden"}))
    assert (found.system, found.problem) == ("golden", "")
    assert groups(group_text("vg", locked)) == ()


def test_a_group_knows_its_system_and_its_physical_volumes_elsewhere() -> None:
    members = {"pv0": physical(UUID, 100), "pv1": physical("b" * 32, 50)}
    text = {**group({"root": ROOT}), "system_id": "golden", "physical_volumes": members}
    (found,) = groups(group_text("vg", text))
    assert (found.system, found.elsewhere) == ("golden", 1)


@pytest.mark.parametrize(
    ("volume", "inherited", "striped", "contiguous"),
    [
        (ROOT, "normal", False, False),
        (ROOT, "contiguous", False, True),
        ({**ROOT, "allocation_policy": "contiguous"}, "normal", False, True),
        ({**ROOT, "allocation_policy": "normal"}, "contiguous", False, False),
        (logical(segment(0, 10, "pv0", 5, "pv0", 50)), "normal", True, False),
    ],
)
def test_a_volume_says_how_it_may_lie(
    volume: Mapping[str, Value], inherited: str, *, striped: bool, contiguous: bool
) -> None:
    text = {**group({"root": volume}), "allocation_policy": inherited}
    raw = physical_volume(group_text("vg", text))
    layout = read_layout(lambda offset, size: raw[offset : offset + size], [Extent(0, len(raw))])
    assert [(each.striped, each.contiguous) for each in layout.volumes] == [(striped, contiguous)]


# --- from an image to its growable -------------------------------------------------


def imaged(folder: Path, volumes: Mapping[str, Value], **changes: Value) -> Growable:
    """Return the growable of an image whose one partition is a physical volume."""
    content = physical_volume(group_text("vg", {**group(volumes), **changes}), 100)
    path = folder / "disk"
    path.write_bytes(
        boot_record((0x8E, 2048, len(content) // 512)).ljust(MIB, b"\0") + content + bytes(2 * MIB)
    )
    size = path.stat().st_size // 512 * 512
    path.write_bytes(path.read_bytes()[:size])
    store = MemoryStore()
    place = Extent(MIB, len(content))
    layout = read_layout(
        lambda offset, length: path.read_bytes()[offset : offset + length], [place]
    )
    kept = (*layout.kept[place], Extent(0, MIB))
    partition = ImagedPartition(1, *place, "0x8e", "", "LVM2_member", "", "used-blocks", "")
    image = image_of(path, [*kept, place], store, (partition,))
    listed = tuple(
        LogicalVolume(
            each.group,
            each.name,
            each.uuid,
            "swap" if each.name == "swap" else "ext4",
            "",
            "full-sector" if each.reason or each.name == "dirty" else "used-blocks",
            each.reason or ("it was not unmounted" if each.name == "dirty" else ""),
            each.extents,
        )
        for each in layout.volumes
    )
    return growable(evolve(image, volumes=listed), store)


def test_a_growable_says_of_each_volume_whether_it_can_grow(tmp_path: Path) -> None:
    found = imaged(
        tmp_path,
        {
            "dirty": logical(segment(0, 5, "pv0", 50)),
            "fixed": {
                **logical(segment(0, 5, "pv0", 40)),
                "allocation_policy": "contiguous",
            },
            "pool": logical({"start_extent": 0, "extent_count": 1, "type": "thin-pool"}),
            "root": ROOT,
            "striped": logical(segment(0, 10, "pv0", 60, "pv0", 70)),
            "swap": logical(segment(0, 5, "pv0", 0)),
        },
    )
    (group_,) = found.groups
    assert {each.name: each.obstacle for each in group_.volumes} == {
        "dirty": "its ext4 was kept sector by sector: it was not unmounted",
        "fixed": "it has to lie in one piece (allocation policy contiguous), and other extents "
        "follow",
        "pool": "there is no map of used blocks for LVM volumes of the type thin-pool",
        "root": "",
        "striped": "it is striped",
        "swap": "there is no way to grow swap",
    }
    assert group_.free == 65 * EXTENT
    assert [each.whole for each in group_.volumes] == [False] * 6
    assert found.partitions[0].obstacle == ""


@pytest.mark.parametrize(
    ("volumes", "whole"),
    [
        ({"root": logical(segment(0, 10, "pv0", 0))}, True),
        ({"root": logical(segment(0, 100, "pv0", 0))}, True),
        ({"root": logical(segment(0, 10, "pv0", 90))}, False),
        ({"root": logical(segment(0, 95, "pv0", 5))}, False),
        ({"root": logical(segment(0, 10, "pv0", 0), segment(10, 5, "pv0", 20))}, False),
        (
            {
                "home": logical(segment(0, 10, "pv0", 20)),
                "root": logical(segment(0, 10, "pv0", 0)),
            },
            False,
        ),
    ],
)
def test_a_volume_stays_in_one_piece_where_all_that_is_free_lies_behind_it(
    tmp_path: Path, volumes: Mapping[str, Value], *, whole: bool
) -> None:
    (group_,) = imaged(tmp_path, volumes).groups
    assert group_.volumes[-1].whole == whole


def test_a_growable_counts_the_physical_volumes_that_are_elsewhere(tmp_path: Path) -> None:
    members = {"pv0": physical(UUID, 100), "pv1": physical("b" * 32, 50)}
    (group_,) = imaged(tmp_path, {"root": ROOT}, physical_volumes=members).groups
    assert group_.obstacle == (
        "its LVM volume group vg has 2 physical volumes, and 1 of them in the image"
    )
    read_only: list[int | str] = ["RESIZEABLE", "READ"]
    (group_,) = imaged(tmp_path, {"root": ROOT}, status=read_only).groups
    assert group_.obstacle == "of its LVM volume group vg, it is read-only"
