"""What an inspection says of real disks: tables, file systems, arrays and what no tool knows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from builders.member_labels import (
    write_ddf_label,
    write_imsm_label,
    write_lvm_label,
    write_md_label,
)

from agent.inspection.disks import inspect_disks
from agent.inspection.host_paths import HostPaths
from agent.wire.codec import decode, encode
from agent.wire.disk import Disk
from tests.protocol.imaging_disks import MIB, blank, insert, noise, run, table
from tests.unit.agent_sysfs import SATA, add_disk, write_tree

SIZE = 32 * MIB
NODE = "sda"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    return blank(tmp_path / "dev" / NODE, SIZE)


def looked_at(node: Path, **attributes: str) -> tuple[Disk, tuple[str, ...]]:
    """Return the only disk and the problems, without the disk's name."""
    root = node.parent.parent
    add_disk(root / "sys", SATA, SIZE, {f"{NODE}1/{key}": text for key, text in attributes.items()})
    inspection = inspect_disks(HostPaths(sysfs=root / "sys", dev=root / "dev"))
    (disk,) = inspection.disks
    return disk, tuple(each.removeprefix(f"{node}: ") for each in inspection.problems)


def write(path: Path, offset: int, data: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return path


def test_data_behind_a_zeroed_start_is_content(node: Path) -> None:
    write(node, 9 * MIB, noise(512))
    assert looked_at(node)[0].holds == "data without a known signature"


def test_a_file_system_whose_boot_sector_has_an_empty_table(node: Path) -> None:
    run("mkfs.ext4", "-q", node)
    write(node, 510, b"\x55\xaa")
    disk, problems = looked_at(node)
    assert (disk.holds, disk.table, problems) == ("ext4 on the whole disk", "", ())


def test_a_fat_file_system_on_the_whole_disk(node: Path) -> None:
    run("mkfs.vfat", node)
    disk, problems = looked_at(node)
    assert (disk.holds, disk.table, problems) == ("vfat on the whole disk", "", ())


def test_a_file_system_beside_a_table_is_named(node: Path) -> None:
    run("mkfs.ext4", "-q", node)
    table(node, "label: dos\nstart=1MiB, size=8MiB, type=83\n")
    disk, problems = looked_at(node)
    assert disk.holds == "ext4 on the whole disk; mbr, 1 partition: Linux"
    assert problems == ("the whole disk holds ext4 and mbr partition table",)


def test_a_virtual_machines_disk_in_a_former_swap_area_is_named(node: Path) -> None:
    table(node, "label: gpt\nstart=1MiB, size=16MiB, type=S\n")
    area = blank(node.with_name("area"), 16 * MIB)
    area.chmod(0o600)
    run("mkswap", area)
    table(area, "label: dos\nstart=1MiB, size=8MiB, type=83\n")
    insert(node, MIB, area)
    disk, problems = looked_at(node)
    assert disk.holds == "gpt, 1 partition: swap + mbr partition table"
    assert problems == ("partition 1 holds swap and mbr partition table",)
    assert decode(Disk, encode(disk)) == disk


@pytest.mark.parametrize(
    ("label", "part_of"),
    [
        (write_md_label, "a Linux software RAID (host:0)"),
        (write_imsm_label, "an Intel RST RAID"),
        (write_ddf_label, "a DDF RAID"),
    ],
)
def test_half_of_a_mirror_names_its_array(
    node: Path, label: Callable[[Path], Path], part_of: str
) -> None:
    table(node, "label: dos\nstart=1MiB, size=16MiB, type=83\n")
    disk, problems = looked_at(label(node))
    assert disk.part_of == part_of
    assert disk.holds == f"part of {part_of}; mbr, 1 partition: Linux"
    assert problems == (f"the whole disk is part of {part_of}",)
    assert [part.start for part in disk.partitions] == [MIB]


def test_a_physical_volume_on_the_whole_disk_is_part_of_its_group(node: Path) -> None:
    disk, _ = looked_at(write_lvm_label(node))
    assert (disk.part_of, disk.holds) == ("an LVM volume group", "part of an LVM volume group")


def test_a_damaged_gpt_is_named_in_sfdisks_words(node: Path) -> None:
    table(node, "label: gpt\nstart=1MiB, size=16MiB\n")
    write(node, 512, bytes(512))
    disk, problems = looked_at(node)
    assert disk.holds == "gpt, 1 partition: Linux"
    assert problems == (
        "The primary GPT table is corrupt, but the backup appears OK, so that will be used.",
    )


def test_a_disk_whose_first_logical_partition_was_deleted_is_readable(node: Path) -> None:
    table(
        node,
        "label: dos\nstart=1MiB, size=8MiB, type=5\n"
        "start=2MiB, size=1MiB, type=83\nstart=4MiB, size=1MiB, type=83\n",
    )
    write(node, MIB + 446, bytes(16))
    disk, problems = looked_at(node)
    assert (disk.holds, problems) == ("mbr, 2 partitions: extended, Linux", ())


@pytest.mark.parametrize(
    ("start", "problems"),
    [("2048", ()), ("4096", ("Linux has other partitions than the table",))],
)
def test_partitions_that_the_kernel_has_elsewhere_are_named(
    node: Path, start: str, problems: tuple[str, ...]
) -> None:
    table(node, "label: dos\nstart=1MiB, size=8MiB, type=83\n")
    assert looked_at(node, partition="1", start=start, size="16384")[1] == problems


def test_a_path_of_a_multipath_device_names_it(node: Path) -> None:
    root = node.parent.parent
    write_tree(
        root / "sys" / SATA / "holders/dm-3/dm", {"uuid": "mpath-36001405", "name": "mpatha"}
    )
    disk, _ = looked_at(node)
    assert disk.part_of == "the multipath device mpatha"
    assert disk.holds == "part of the multipath device mpatha; blank (whole disk read)"


def test_two_paths_of_one_disk_are_named_and_neither_is_a_disk_of_its_own(node: Path) -> None:
    blank(node.with_name("sdc"), SIZE)
    root = node.parent.parent
    for place in (SATA, SATA.replace("ata3", "ata4").replace("host2", "host3")[:-1] + "c"):
        add_disk(root / "sys", place, SIZE, {"device/wwid": "naa.600140500000001"})
    inspection = inspect_disks(HostPaths(sysfs=root / "sys", dev=root / "dev"))
    first, second = inspection.disks
    names = f"{node}, {node.with_name('sdc')}"
    assert first.part_of == second.part_of == f"one disk with several paths ({names})"
    assert inspection.problems == (f"{names}: one disk, seen by several paths",)
