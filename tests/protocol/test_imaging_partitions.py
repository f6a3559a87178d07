"""Backups of chosen partitions and restores of single ones, with the real tools."""

import filecmp
import json
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
