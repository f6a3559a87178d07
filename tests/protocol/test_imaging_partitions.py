"""Backups of chosen partitions and restores of single ones, with the real tools."""

import filecmp
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from agent.commands.blkid import probe
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.errors import RefusedDiskError
from agent.imaging.manifest import Manifest
from agent.imaging.partition_choice import Choice
from agent.imaging.restore import restore
from agent.steps.disk_choice import only_partitions
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.protocol.identity_disks import Rack
from tests.protocol.imaging_disks import (
    MIB,
    blank,
    described,
    garbage,
    gpt_disk,
    ignore,
    loop,
    mbr_disk,
    run,
    table,
    tree,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.needs_root]

MAKE = {"gpt": gpt_disk, "mbr": mbr_disk}
DATA = {"gpt": 3, "mbr": 5}
"""The partition with an ext4 that is restored: the third, or the first logical one."""


def place(manifest: Manifest, number: int) -> tuple[int, int]:
    (found,) = (part for part in manifest.partitions if part.number == number)
    return found.start, found.size


def files(disk: Path, start: int, size: int, folder: Path) -> Path:
    """Copy the files of an ext4 on a disk out."""
    folder.mkdir()
    with loop(disk, "--offset", str(start), "--sizelimit", str(size)) as node:
        run("debugfs", "-R", f"rdump / {folder}", node)
        run("e2fsck", "-f", "-n", node)
    return folder


def assert_same_files(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    names.remove("lost+found")
    assert names
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_one_partition_comes_back_and_the_others_keep_what_was_changed(
    tmp_path: Path, table: str
) -> None:
    number = DATA[table]
    disk = MAKE[table](tmp_path / "disk", tree(tmp_path / "then", 1, 8 * MIB))
    store = ChunkStore(tmp_path / "store", reserve=0)
    with loop(disk) as node:
        manifest = capture(described(node), store, ignore, partitions=(number,))
        digest = store.put_manifest(manifest_format.encode(manifest))
    methods = {part.number: part.method for part in manifest.partitions}
    assert methods.pop(number) == "used-blocks"
    assert set(methods.values()) == {"omitted"}
    outcome = run_restore_test(store, digest, tmp_path)
    assert outcome.ok
    assert "partition 2: not in the image" in outcome.details or table == "mbr"
    start, size = place(manifest, number)
    wanted = files(disk, start, size, tmp_path / "wanted")
    # All of the disk is another system now, with the same partitions.
    target = MAKE[table](tmp_path / "target", tree(tmp_path / "now", 900, 8 * MIB))
    before = target.read_bytes()
    with loop(target) as node:
        choice = Choice((number,))
        result = restore(manifest, described(node), store, ignore, choice=choice)
    after = target.read_bytes()
    assert result.partitions == (str(number),)
    assert after[:start] == before[:start]
    assert after[start + size :] == before[start + size :]
    assert_same_files(wanted, files(target, start, size, tmp_path / "restored"))


def test_a_whole_disk_from_chosen_partitions_has_the_others_empty(tmp_path: Path) -> None:
    disk = gpt_disk(tmp_path / "disk", tree(tmp_path / "files", 1, 8 * MIB))
    store = ChunkStore(tmp_path / "store", reserve=0)
    with loop(disk) as node:
        manifest = capture(described(node), store, ignore, partitions=(1, 2))
    target = garbage(tmp_path / "target", disk.stat().st_size)
    target = gpt_disk(target, tree(tmp_path / "others", 50, 8 * MIB))
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
        start, size = place(manifest, 3)
        assert not probe(Path(node), start, size).filesystem
    dumps = [json.loads(run("sfdisk", "--json", path))["partitiontable"] for path in (disk, target)]
    uuids = [[part["uuid"] for part in dump["partitions"]] for dump in dumps]
    assert uuids[0] == uuids[1]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((7,), "has no partition 7; it has 1, 2, 3, 4"), ((9, 1, 8), "has no partitions 8, 9; it")],
)
def test_a_backup_of_a_partition_that_is_not_there_is_refused(
    tmp_path: Path, numbers: tuple[int, ...], words: str
) -> None:
    disk = gpt_disk(tmp_path / "disk", tree(tmp_path / "files", 1, MIB))
    store = ChunkStore(tmp_path / "store", reserve=0)
    with pytest.raises(RefusedDiskError, match=words) as caught:
        capture(described(disk), store, ignore, partitions=numbers)
    assert caught.value.code == "RW428"
    with pytest.raises(RefusedDiskError, match="has no partition 1; it has none"):
        capture(described(blank(tmp_path / "blank", MIB)), store, ignore, partitions=(1,))


def test_a_system_whose_root_is_not_chosen_is_no_system_of_the_image(
    rack: Rack, golden: Path
) -> None:
    disk = rack.build(golden)
    assert rack.look(only_partitions(disk, (1,))).name == "Golden Linux"
    (obstacle,) = rack.look(only_partitions(disk, (2,))).obstacles
    assert obstacle.code == "RW460"


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_the_boot_code_comes_with_partitions_and_the_table_stays(
    tmp_path: Path, table: str
) -> None:
    disk = MAKE[table](tmp_path / "disk", tree(tmp_path / "files", 1, 4 * MIB))
    store = ChunkStore(tmp_path / "store", reserve=0)
    with loop(disk) as node:
        manifest = capture(described(node), store, ignore)
    target = MAKE[table](tmp_path / "target", tree(tmp_path / "others", 50, 4 * MIB))
    with target.open("r+b") as file:
        file.write(b"\x90" * 440)
        if table == "mbr":
            file.seek(512)
            file.write(b"another loader" * 1000)
    before = target.read_bytes()
    numbers = (1, 3) if table == "gpt" else (1,)
    with loop(target) as node:
        choice = Choice(numbers, boot_code=True)
        assert restore(manifest, described(node), store, ignore, choice=choice).boot_code
        restore(manifest, described(node), store, ignore, choice=choice)
    wanted, after = disk.read_bytes(), target.read_bytes()
    assert after[:440] == wanted[:440]
    assert after[440:512] == before[440:512]
    assert wanted[440:444] != before[440:444] or table == "gpt"
    source = wanted if table == "mbr" else before
    assert after[512:MIB] == source[512:MIB]


def test_boot_code_that_would_be_incomplete_is_refused(tmp_path: Path) -> None:
    disk = gpt_disk(tmp_path / "disk", tree(tmp_path / "files", 1, MIB))
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disk), store, ignore)
    before = disk.read_bytes()
    with pytest.raises(RefusedDiskError, match="in partition 1, which is not restored") as caught:
        restore(manifest, described(disk), store, ignore, choice=Choice((3,), boot_code=True))
    assert caught.value.code == "RW419"
    assert disk.read_bytes() == before
    data = blank(tmp_path / "data", 4 * MIB)
    run("sfdisk", "--quiet", data, stdin="label: dos\nstart=1MiB, size=1MiB\n")
    plain = capture(described(data), store, ignore)
    with pytest.raises(RefusedDiskError, match="the image has no boot code for BIOS"):
        restore(plain, described(data), store, ignore, choice=Choice((1,), boot_code=True))


DOS = "label: dos\nunit: sectors\n1 : start=63, size=120000, type=5\n"


def scripted(path: Path, script: str) -> Path:
    run("sfdisk", "--quiet", "--force", blank(path, 64 * MIB), stdin=script)
    with path.open("r+b") as file:
        file.write(b"\xfa\x90" * 200)
    return path


def test_boot_code_leaves_extended_partitions_before_the_first_one(tmp_path: Path) -> None:
    five = "5 : start=126, size=40000, type=83\n"
    disk = scripted(tmp_path / "disk", DOS + five)
    target = scripted(tmp_path / "target", DOS + five + "6 : start=40189, size=40000, type=83\n")
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disk), store, ignore)
    before = run("sfdisk", "--dump", target)
    restore(manifest, described(target), store, ignore, choice=Choice((5,), boot_code=True))
    assert run("sfdisk", "--dump", target) == before


def test_boot_code_that_would_cover_an_extended_partition_is_refused(tmp_path: Path) -> None:
    one = "label: dos\nunit: sectors\n1 : start=40960, size=8192, type=83\n"
    disk = scripted(tmp_path / "disk", one)
    target = scripted(
        tmp_path / "target",
        f"{one}2 : start=63, size=20000, type=5\n5 : start=4096, size=8000, type=83\n",
    )
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disk), store, ignore)
    before = target.read_bytes()
    with pytest.raises(RefusedDiskError, match="the boot code has no room"):
        restore(manifest, described(target), store, ignore, choice=Choice((1,), boot_code=True))
    assert target.read_bytes() == before


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Return a disk with a group on its partitions 2 and 3, of which the latter has no volume."""
    disk = blank(tmp_path / "disk", 64 * MIB)
    table(
        disk,
        "label: gpt\nstart=1MiB, size=8MiB\nstart=9MiB, size=20MiB, type=V\n"
        "start=29MiB, size=20MiB, type=V\n",
    )
    with (
        loop(disk, "--offset", str(9 * MIB), "--sizelimit", str(20 * MIB)) as two,
        loop(disk, "--offset", str(29 * MIB), "--sizelimit", str(20 * MIB)) as three,
    ):
        lvm = partial(lvm_on, two, three)
        lvm("pvcreate", two, three)
        lvm("vgcreate", "vg", two, three)
        lvm("lvcreate", "-an", "-Zn", "-Wn", "-l", "2", "-n", "root", "vg", two)
    return disk


def lvm_on(two: str, three: str, command: str, *words: str) -> str:
    devices = ("--devices", f"{two},{three}")
    options = ("--driverloaded", "n", "--config", "activation{udev_rules=0 udev_sync=0}")
    return run("lvm", command, "--yes", *devices, *options, *words)


@pytest.mark.parametrize("mode", ["used", "full"])
def test_one_physical_volume_of_a_group_is_neither_captured_nor_restored_alone(
    tmp_path: Path, group: Path, mode: str
) -> None:
    store = ChunkStore(tmp_path / "store", reserve=0)
    taken = partial(capture, described(group), store, ignore, full=mode == "full")
    with pytest.raises(RefusedDiskError, match="has LVM on partitions 2, 3") as caught:
        taken(partitions=(2,))
    assert caught.value.code == "RW428"
    both = taken(partitions=(2, 3))
    before = group.read_bytes()
    with pytest.raises(RefusedDiskError, match="the image has LVM on partitions 2, 3") as caught:
        restore(both, described(group), store, ignore, choice=Choice((2,)))
    assert caught.value.code == "RW419"
    assert group.read_bytes() == before
    restore(both, described(group), store, ignore, choice=Choice((2, 3)))


def test_a_group_on_the_disk_that_has_more_volumes_is_not_restored_in_part(
    tmp_path: Path, group: Path
) -> None:
    other = tmp_path / "other"
    shutil.copy(group, other)
    with other.open("r+b") as file:  # its third partition held no LVM then
        file.seek(29 * MIB)
        file.write(bytes(MIB))
    with loop(other, "--offset", str(9 * MIB), "--sizelimit", str(20 * MIB)) as two:
        run("wipefs", "--all", two)
        run("lvm", "pvcreate", "--yes", "--devices", two, "--driverloaded", "n", two)
        run("lvm", "vgcreate", "--devices", two, "--driverloaded", "n", "alone", two)
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(other), store, ignore)
    before = group.read_bytes()
    with pytest.raises(RefusedDiskError, match=r"the LVM volume group vg on .* has 1 more"):
        restore(manifest, described(group), store, ignore, choice=Choice((2,)))
    assert group.read_bytes() == before
