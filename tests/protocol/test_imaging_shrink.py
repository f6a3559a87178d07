"""Images made to fit smaller disks, by the command, and restored to such disks."""

import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from attrs import evolve
from builders.drift import verify

from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.extent import Extent
from agent.imaging.manifest import Manifest
from agent.imaging.restore import restore
from agent.wire.imaged_system import ImagedSystem, Obstacle
from providers.imaging.image_mount import enter_private_mounts
from tests.protocol.identity_disks import loop_devices_left
from tests.protocol.image_shell import ImageShell
from tests.protocol.imaging_disks import (
    MIB,
    blank,
    described,
    ext4,
    ignore,
    insert,
    loop,
    noise,
    run,
    table,
    tree,
    vfat,
)
from tests.protocol.lvm_disks import lvm

pytestmark = pytest.mark.needs_root

T = TypeVar("T")
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
SYSTEM = ImagedSystem("Debian GNU/Linux 12 (bookworm)", "2", "systemd", "ifupdown", ())
ROOT = Path(__file__).parents[2]


class Shell(ImageShell):
    """One that makes images of disks too. No command leaves a loop device behind."""

    def refusal(self, *arguments: str | Path) -> str:
        images = self.store.image_digests()
        said = super().refusal(*arguments)
        assert self.store.image_digests() == images
        return said

    def assert_clean(self) -> None:
        super().assert_clean()
        assert not loop_devices_left(str(self.folder))

    def start(self, *arguments: str, path: str = "") -> "subprocess.Popen[str]":
        words = ["image", *arguments, "--state", str(self.state)]
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler.cli", *words],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{path}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def capture(
        self,
        disk: Path,
        name: str,
        sector_size: int = 512,
        *,
        full: bool = False,
        system: ImagedSystem | None = None,
    ) -> str:
        with loop(disk, "--sector-size", str(sector_size)) as node:
            seen = described(node, sector_size)
            found = capture(seen, self.store, ignore, system, full=full)
        digest = self.store.put_manifest(manifest_format.encode(found))
        self.store.names.tag(name, digest)
        return digest

    def manifest(self, name: str) -> Manifest:
        store = self.store
        return manifest_format.decode(store.get_manifest(store.names.resolve(name)))

    def restored(self, name: str) -> Path:
        """Return a disk of the image's size that was full of something and has the image now."""
        wanted = self.manifest(name)
        target = self.folder / f"restored-{name}"
        target.write_bytes(noise(MIB) * (wanted.disk_size // MIB))
        with loop(target, "--sector-size", str(wanted.sector_size)) as node:
            seen = described(node, wanted.sector_size)
            restore(wanted, seen, self.store, ignore)
            assert verify(wanted, node) == []
        return target


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def inside(disk: Path, place: tuple[int, int], filesystem: str, work: Callable[[Path], T]) -> T:
    """Return what ``work`` does in a mounted file system.

    In a process with mounts of its own: else a mount namespace that anybody makes meanwhile would
    have a copy of the mount and keep the file system in use.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            enter_private_mounts()
            folder = disk.with_suffix(".mounted")
            folder.mkdir(exist_ok=True)
            with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
                run("mount", "-t", filesystem, node, folder)
                try:
                    result = work(folder)
                finally:
                    run("umount", folder)
            with os.fdopen(writer, "wb") as file:
                pickle.dump(result, file)
        except BaseException:  # noqa: BLE001 - it must not go on as a second test run
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    assert said, "see the standard error"
    return pickle.loads(said)  # noqa: S301 - of this very test


def listing(folder: Path) -> list[str]:
    """Return every file with its kind, mode, owner, size, time, target and content.

    resize2fs changes times of directories, where files in them get other inode numbers.
    """
    words = "%P|%y|%m|%U:%G|%s|%l|%n"
    kinds = ("(", "-type", "d", "-printf", f"{words}\n", ")", "-o", "-printf", f"{words}|%T@\n")
    said = run("find", folder, "-mindepth", "1", *kinds)
    sums = run("sh", "-c", f"cd {folder} && find . -type f -print0 | sort -z | xargs -0 b2sum")
    return [*sorted(each for each in said.splitlines() if "lost+found" not in each), sums]


def age(folder: Path, size: int, *, left: int) -> None:
    """Fill a file system of ``size`` bytes nearly up, then delete all but the last files."""
    for number in range(size * 85 // 100 // MIB):
        (folder / f"old-{number}").write_bytes(noise(MIB, number))
    (folder / "link").symlink_to("old-0")
    (folder / "tree").mkdir(mode=0o750)
    os.link(folder / "old-0", folder / "tree/hard")
    os.chown(folder / "tree", 1000, 1000)
    files = sorted(folder.glob("old-*"), key=lambda path: int(path.name[4:]))
    for path in files[:-left]:
        path.unlink()
    sparse = folder / "tree/sparse"
    blank(sparse, 10 * MIB)
    with sparse.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"end")


def content(folder: Path, size: int, seed: int = 1) -> None:
    tree(folder / "content", seed, size)


def capacity(folder: Path) -> int:
    return int(run("df", "-B1", "--output=size", folder).split()[1])


def made(disk: Path, place: tuple[int, int], command: str) -> None:
    with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
        run(*command.split(), node)


def sfdisk(disk: Path, *options: str) -> dict[str, object]:
    return json.loads(run("sfdisk", "--json", *options, disk))["partitiontable"]


def kept(disk: Path) -> list[dict[str, object]]:
    """Return what of a table's partitions stays: all but start and size."""
    found = [{**each} for each in sfdisk(disk)["partitions"]]  # type: ignore[attr-defined]
    for each in found:
        each.pop("start")
        each.pop("size")
        each["node"] = each["node"].removeprefix(str(disk))
    return found


def places(disk: Path) -> dict[int, tuple[int, int]]:
    assert "No errors detected" in run("sfdisk", "--verify", disk)
    name = str(disk)
    return {
        int(each["node"].removeprefix(name).lstrip("p")): (each["start"] * 512, each["size"] * 512)
        for each in sfdisk(disk)["partitions"]  # type: ignore[attr-defined]
    }


def swap(path: Path, offset: int, size: int) -> None:
    area = path.with_name("swap")
    blank(area, size).chmod(0o600)
    run("mkswap", "--uuid", "11111111-2222-3333-4444-555555555555", area)
    insert(path, offset, area)


def checked(disk: Path, place: tuple[int, int], command: str) -> None:
    with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
        run(*command.split(), node)


GPT = (
    "label: gpt\nlabel-id: 12345678-9ABC-DEF0-1234-56789ABCDEF0\n"
    f"start=1MiB, size=1MiB, type={BIOS_BOOT}\n"
    'start=2MiB, size=160MiB, type=L, name="root", attrs="LegacyBIOSBootable"\n'
    "start=163MiB, size=16MiB, type=S\n"
    "start=179MiB, size=17MiB, type=U\n"
)


def gpt_disk(path: Path, age_it: Callable[[Path], None]) -> Path:
    """A root that was used, with swap and an EFI system partition behind it, and free space."""
    blank(path, 256 * MIB)
    table(path, GPT)
    with path.open("r+b") as file:
        file.write(Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()[:440])
        file.seek(0x5C)
        file.write(struct.pack("<Q", 2048))
        file.seek(MIB)
        file.write(b"core.img" * 1000)
    root = (2 * MIB, 160 * MIB)
    made(path, root, "mkfs.ext4 -q -F")
    inside(path, root, "ext4", age_it)
    swap(path, 163 * MIB, 16 * MIB)
    vfat(path, 179 * MIB, 17 * MIB)
    with path.open("r+b") as file:
        file.seek(179 * MIB + 0x1C)
        file.write(struct.pack("<I", 179 * 2048))
    return path


def test_a_used_root_with_swap_behind_it_becomes_smaller(shell: Shell) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(age, size=160 * MIB, left=12))
    origin = shell.capture(disk, "golden", system=SYSTEM)
    before = shell.store.get_manifest(origin)
    said = shell("shrink", "golden", "small", "--to", "150MiB", "--reason", "for the new rack")
    assert said.splitlines() == [
        "disk: 268,435,456 bytes, on the new one 157,286,400",
        said.splitlines()[1],
        "partition 3: from 170,917,888 to 121,634,816",
        "partition 4: from 187,695,104 to 138,412,032",
        f"small is image {shell.store.names.resolve('small')[:12]} from now on; it can be restored",
    ]
    assert said.splitlines()[1].startswith(
        "partition 2 (ext4): 167,772,160 bytes, on the new disk 119,537,664; its file system needs "
    )
    assert shell.store.get_manifest(origin) == before  # the original is as it was
    small = shell.manifest("small")
    assert (small.disk_size, small.system) == (150 * MIB, SYSTEM)
    assert [each.method for each in small.partitions] == [
        each.method for each in shell.manifest("golden").partitions
    ]
    shown = json.loads(shell("show", "small", "--format", "json"))
    assert shown["acts"][0]["what"] == "shrink"
    assert shown["acts"][0]["reason"] == f"made from golden ({origin[:12]}): for the new rack"
    target = shell.restored("small")
    assert target.stat().st_size == 150 * MIB
    assert kept(target) == kept(disk)
    assert sfdisk(target)["id"] == sfdisk(disk)["id"]
    now, was = places(target), places(disk)
    assert now == {
        1: was[1],
        2: (2 * MIB, 114 * MIB),
        3: (116 * MIB, 16 * MIB),
        4: (132 * MIB, 17 * MIB),
    }
    checked(target, now[2], "e2fsck -f -n")
    checked(target, now[4], "fsck.fat -n")
    before = inside(disk, was[2], "ext4", listing)
    assert inside(target, now[2], "ext4", listing) == before
    assert inside(target, now[2], "ext4", capacity) > 100 * MIB
    raw, other = disk.read_bytes(), target.read_bytes()
    assert raw[:440] == other[:440]
    assert raw[MIB : 2 * MIB] == other[MIB : 2 * MIB]
    assert raw[163 * MIB :][: 64 << 10] == other[116 * MIB :][: 64 << 10]
    assert struct.unpack_from("<I", other, 132 * MIB + 0x1C) == (132 * 2048,)


@pytest.mark.nightly
def test_as_small_as_it_can_be_and_not_a_mib_less(shell: Shell) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(age, size=160 * MIB, left=12))
    shell.capture(disk, "golden")
    said = shell.refusal("shrink", "golden", "small", "--to", "60MiB")
    least = int(said.split("has to have ")[1].split()[0].replace(",", ""))
    assert said.startswith(
        f"RW449: the smaller disk has to have {least:,} bytes or more, 62,914,560"
    )
    assert "partition 2 (ext4) has 167,772,160 bytes and needs " in said
    assert f"Ask for `--to {least}B` or more" in said
    said = shell.refusal("shrink", "golden", "small", "--to", f"{least // MIB - 1}MiB")
    assert said.startswith(f"RW449: the smaller disk has to have {least:,} bytes or more, ")
    shell("shrink", "golden", "small", "--to", f"{least}B")
    target = shell.restored("small")
    assert target.stat().st_size == least
    checked(target, places(target)[2], "e2fsck -f -n")
    before = inside(disk, places(disk)[2], "ext4", listing)
    assert inside(target, places(target)[2], "ext4", listing) == before


def test_a_dry_run_says_sizes_and_makes_nothing(shell: Shell) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(age, size=160 * MIB, left=5))
    origin = shell.capture(disk, "golden")
    chunks = sorted((shell.state / "store/chunks").rglob("*"))
    said = shell("shrink", "golden", "small", "--dry-run")
    assert said.endswith("nothing was made\n")
    found = json.loads(shell("shrink", "golden", "small", "--dry-run", "--format", "json"))
    needs = found["fileSystem"]["needs"]
    size = found["places"][1]["after"]["size"]
    assert needs + 64 * MIB <= size < needs + 66 * MIB
    assert found == {
        "madeFrom": origin,
        "image": None,
        "name": None,
        "disk": {"before": 256 * MIB, "after": 36 * MIB + size},
        "partition": 2,
        "fileSystem": {"type": "ext4", "needs": needs},
        "places": found["places"],
        "restoreTest": None,
        "unsigned": None,
    }
    assert found["places"][2] == {
        "partition": 3,
        "before": {"start": 163 * MIB, "size": 16 * MIB},
        "after": {"start": 2 * MIB + size, "size": 16 * MIB},
    }
    assert shell.store.image_digests() == {origin}
    assert sorted((shell.state / "store/chunks").rglob("*")) == chunks
    shell("shrink", "golden", "small")
    assert shell.manifest("small").disk_size == found["disk"]["after"]


MBR = (
    "label: dos\nlabel-id: 0xcafebabe\n"
    "start=1MiB, size=120MiB, type=83, bootable\n"
    "start=122MiB, size=60MiB, type=5\n"
    "start=183MiB, size=20MiB, type=83\n"
    "start=123MiB, size=16MiB, type=82\n"
    "start=140MiB, size=40MiB, type=83\n"
)


def test_logical_partitions_behind_the_smaller_one_move_as_they_are(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 204 * MIB)
    table(disk, MBR)
    with disk.open("r+b") as file:
        file.write(b"\xfa\x90" * 200)
        file.seek(512)
        file.write(b"core.img" * 1000)
    was = places(disk)
    for number in (1, 3, 6):
        made(disk, was[number], "mkfs.ext4 -q -F")
        inside(disk, was[number], "ext4", partial(content, seed=number, size=4 * MIB))
    swap(disk, was[5][0], was[5][1])
    shell.capture(disk, "golden")
    shell("shrink", "golden", "small", "--to", "150MiB", "--partition", "1")
    target = shell.restored("small")
    assert target.stat().st_size == 150 * MIB
    assert kept(target) == kept(disk)  # also the disk's signature, of which PARTUUIDs are made
    assert [each.uuid for each in shell.manifest("small").partitions] == [
        "cafebabe-01",
        "cafebabe-05",
        "cafebabe-06",
        "cafebabe-03",
    ]
    now = places(target)
    assert now == {
        1: (MIB, 69 * MIB),
        2: (70 * MIB, 60 * MIB),
        3: (130 * MIB, 20 * MIB),
        5: (71 * MIB, 16 * MIB),
        6: (88 * MIB, 40 * MIB),
    }
    assert disk.read_bytes()[512:MIB] == target.read_bytes()[512:MIB]
    for number in (1, 3, 6):
        checked(target, now[number], "e2fsck -f -n")
        before = inside(disk, was[number], "ext4", listing)
        assert inside(target, now[number], "ext4", listing) == before
    said = shell.refusal("shrink", "golden", "other", "--partition", "6")
    assert said.startswith(
        "RW448: the image cannot be shrunk: partition 6 cannot be shrunk: it is a logical"
    )


def test_a_disk_with_sectors_of_4096_bytes_keeps_them(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 200 * MIB)
    root, area = (MIB, 150 * MIB), (151 * MIB, 16 * MIB)
    with loop(disk, "--sector-size", "4096") as node:
        script = "label: gpt\nstart=256, size=38400, type=L\nstart=38656, size=4096, type=S\n"
        # The kernel may have no parser for the new table: then sfdisk ends with 1.
        subprocess.run(
            ["sfdisk", "--quiet", "--no-reread", node],
            input=script,
            text=True,
            capture_output=True,
            check=False,
        )
    made(disk, root, "mkfs.ext4 -q -F -b 4096")
    inside(disk, root, "ext4", partial(age, size=120 * MIB, left=10))
    swap(disk, *area)
    shell.capture(disk, "golden", 4096)
    shell("shrink", "golden", "small", "--to", "100MiB")
    small = shell.manifest("small")
    assert (small.disk_size, small.sector_size) == (100 * MIB, 4096)
    assert [(each.start, each.size, each.filesystem, each.method) for each in small.partitions] == [
        (MIB, 82 * MIB, "ext4", "used-blocks"),
        (83 * MIB, 16 * MIB, "swap", "used-blocks"),
    ]
    assert [each.uuid for each in small.partitions] == [
        each.uuid for each in shell.manifest("golden").partitions
    ]
    target = shell.restored("small")
    checked(target, (MIB, 82 * MIB), "e2fsck -f -n")
    with loop(target, "--sector-size", "4096") as node:
        assert "No errors detected" in run("sfdisk", "--verify", node)
    before = inside(disk, root, "ext4", listing)
    assert inside(target, (MIB, 82 * MIB), "ext4", listing) == before


@pytest.mark.parametrize("sector_size", [512, pytest.param(4096, marks=pytest.mark.nightly)])
def test_an_ntfs_becomes_smaller_and_another_one_moves(shell: Shell, sector_size: int) -> None:
    disk = blank(shell.folder / "disk", 160 * MIB)
    was, unit = {1: (MIB, 100 * MIB), 2: (101 * MIB, 40 * MIB)}, MIB // sector_size
    with loop(disk, "--sector-size", str(sector_size)) as node:
        script = (
            f"label: gpt\nstart={unit}, size={100 * unit}\nstart={101 * unit}, size={40 * unit}\n"
        )
        subprocess.run(
            ["sfdisk", "--quiet", "--no-reread", node],
            input=script,
            text=True,
            capture_output=True,
            check=False,
        )
    content = shell.folder / "content"
    for number, place in was.items():
        start = place[0] // sector_size
        made(disk, place, f"mkfs.ntfs -q -F -f -s {sector_size} -p {start} -H 16 -S 63")
        with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
            for seed in range(20 if number == 1 else 3):
                content.write_bytes(noise(2 * MIB, seed))
                run("ntfscp", "-q", node, content, f"file-{seed}")
    shell.capture(disk, "golden", sector_size)
    assert [each.method for each in shell.manifest("golden").partitions] == ["used-blocks"] * 2
    shell("shrink", "golden", "small", "--partition", "1", "--to", "120MiB")
    small = shell.manifest("small")
    assert [each.method for each in small.partitions] == ["used-blocks"] * 2
    target = shell.restored("small")
    now = {each.number: (each.start, each.size) for each in small.partitions}
    assert now == {1: (MIB, 78 * MIB), 2: (79 * MIB, 40 * MIB)}
    raw = target.read_bytes()
    for start, size in now.values():
        assert struct.unpack_from("<I", raw, start + 0x1C) == (start // sector_size,)
        assert raw[start : start + 80] == raw[start + size - sector_size :][:80]
        sectors = struct.unpack_from("<Q", raw, start + 0x28)[0]
        assert sectors * sector_size <= size - sector_size
    for number, place in now.items():
        checked(target, place, "ntfsfix --no-action")
        checked(target, place, "ntfsresize --info --force")
        with loop(target, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
            for seed in range(20 if number == 1 else 3):
                got = subprocess.run(
                    ["ntfscat", "--force", node, f"file-{seed}"], check=True, capture_output=True
                ).stdout
                assert got == noise(2 * MIB, seed)


@pytest.mark.nightly
def test_an_image_for_clones_keeps_room_for_their_agent(shell: Shell) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(content, size=MIB))
    shell.capture(disk, "golden")
    shell.capture(disk, "clones", system=SYSTEM)
    obstacle = Obstacle("RW462", "it has no Python", "Install it")
    shell.capture(disk, "unsuitable", system=evolve(SYSTEM, obstacles=(obstacle,)))
    needs = {}
    for name in ("golden", "clones", "unsuitable"):
        said = shell("shrink", name, "small", "--to", "150MiB", "--dry-run", "--format", "json")
        needs[name] = json.loads(said)["fileSystem"]["needs"]
    assert needs["clones"] == needs["golden"] + 64 * MIB
    assert needs["unsuitable"] == needs["golden"]


@pytest.mark.nightly
def test_a_btrfs_becomes_smaller(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 640 * MIB)
    table(disk, "label: gpt\nstart=1MiB, size=600MiB\nstart=602MiB, size=20MiB, type=S\n")
    was = places(disk)
    made(disk, was[1], "mkfs.btrfs -q -f")

    def fill(folder: Path) -> None:
        run("btrfs", "subvolume", "create", folder / "root")
        tree(folder / "root/content", 3, 60 * MIB)
        for path in sorted((folder / "root/content").iterdir())[::2]:
            path.unlink()

    inside(disk, was[1], "btrfs", fill)
    swap(disk, was[2][0], was[2][1])
    shell.capture(disk, "golden")
    process = shell.start("shrink", "golden", "small", "--to", "420MiB")
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "partition 1 (btrfs): 629,145,600 bytes, on the new disk 417,333,248" in said
    shell.assert_clean()
    assert str(shell.folder) not in Path("/proc/self/mounts").read_text()
    target = shell.restored("small")
    now = places(target)
    checked(target, now[1], "btrfs check --check-data-csum")
    before = inside(disk, was[1], "btrfs", listing)
    assert inside(target, now[1], "btrfs", listing) == before


@pytest.mark.nightly
def test_a_file_system_on_the_whole_disk_becomes_smaller(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 160 * MIB)
    made(disk, (0, 160 * MIB), "mkfs.ext4 -q -F")
    inside(disk, (0, 160 * MIB), "ext4", partial(age, size=160 * MIB, left=8))
    before = inside(disk, (0, 160 * MIB), "ext4", listing)
    shell.capture(disk, "golden")
    said = shell("shrink", "golden", "small", "--to", "100MiB")
    assert said.splitlines()[1].startswith("the disk's file system (ext4): 167,772,160 bytes, on")
    target = shell.restored("small")
    assert target.stat().st_size == 100 * MIB
    checked(target, (0, 100 * MIB), "e2fsck -f -n")
    assert inside(target, (0, 100 * MIB), "ext4", listing) == before


@pytest.mark.nightly
def test_space_behind_the_last_partition_goes_without_a_smaller_file_system(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 400 * MIB)
    table(disk, "label: gpt\nstart=1MiB, size=320MiB\n")
    made(disk, (MIB, 320 * MIB), "mkfs.xfs -q -f")
    shell.capture(disk, "golden")
    said = shell("shrink", "golden", "small", "--to", "330MiB")
    assert said.splitlines()[0] == "disk: 419,430,400 bytes, on the new one 346,030,080"
    assert len(said.splitlines()) == 2
    target = shell.restored("small")
    assert places(target) == {1: (MIB, 320 * MIB)}
    checked(target, (MIB, 320 * MIB), "xfs_repair -n")
    said = shell.refusal("shrink", "golden", "other", "--to", "300MiB")
    assert "no partition can be shrunk: partition 1: XFS cannot be shrunk. Make a smaller" in said
    said = shell.refusal("shrink", "golden", "other", "--to", "400MiB")
    assert said.startswith(
        "RW448: the image cannot be shrunk: its disk has 419,430,400 bytes, 419,430,400 are no less"
    )


@pytest.mark.nightly
def test_an_image_with_every_sector_stays_one(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 100 * MIB)
    table(disk, "label: dos\nstart=1MiB, size=90MiB\n")
    made(disk, (MIB, 90 * MIB), "mkfs.ext4 -q -F")
    shell.capture(disk, "golden", full=True)
    shell("shrink", "golden", "small", "--to", "60MiB")
    (only,) = shell.manifest("small").partitions
    assert (only.method, only.reason) == ("full-sector", "every sector was asked for")
    checked(shell.restored("small"), (MIB, 59 * MIB), "e2fsck -f -n")


def test_a_disk_whose_grub_would_not_start_any_more_is_not_made(shell: Shell) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(content, size=MIB))
    with disk.open("r+b") as file:
        file.seek(0x5C)
        file.write(struct.pack("<Q", 2 * 2048 + 40))
    shell.capture(disk, "golden")
    said = shell.refusal("shrink", "golden", "small")
    assert said.startswith(
        "RW448: the image cannot be shrunk: a smaller disk would not start: its boot sector reads "
        "GRUB from sector 4136, in partition 2, whose content would lie elsewhere. "
    )


@pytest.mark.nightly
def test_a_group_of_lvm_behind_the_smaller_partition_moves_whole(shell: Shell) -> None:
    disk = blank(shell.folder / "disk", 200 * MIB)
    table(disk, "label: gpt\nstart=1MiB, size=120MiB, type=L\nstart=121MiB, size=60MiB, type=V\n")
    was = places(disk)
    made(disk, was[1], "mkfs.ext4 -q -F")
    with lvm(disk, Extent(*was[2])) as tools:
        tools("pvcreate", tools.nodes[0])
        tools("vgcreate", "vg", tools.nodes[0])
        tools.create("vg", "root", "40M")
        (root,) = tools.pieces("vg", "root")
        ext4(disk, root.offset, root.length, tree(shell.folder / "content", 1, 6 * MIB))
    shell.capture(disk, "golden")
    shell("shrink", "golden", "small", "--to", "120MiB")
    target = shell.restored("small")
    now = places(target)
    assert now == {1: (MIB, 58 * MIB), 2: (59 * MIB, 60 * MIB)}
    with lvm(target, Extent(*now[2])) as tools:
        assert tools("vgck", "vg") == ""
        assert tools.pieces("vg", "root") == [Extent(root.offset - 62 * MIB, root.length)]
    (volume,) = shell.manifest("small").volumes
    assert (volume.name, volume.filesystem, volume.method) == ("root", "ext4", "used-blocks")
    raw, other = disk.read_bytes(), target.read_bytes()
    for extent in (extent for extent in shell.manifest("small").used if extent.offset >= now[2][0]):
        if extent.end <= sum(now[2]):
            before = raw[extent.offset + 62 * MIB : extent.end + 62 * MIB]
            assert other[extent.offset : extent.end] == before
    said = shell.refusal("shrink", "golden", "other", "--partition", "2")
    assert "partition 2 cannot be shrunk: it is a physical volume of LVM, whose volumes" in said


def with_grub(path: Path, label: str) -> Path:
    """A disk that GRUB starts from its BIOS boot partition, or from the space behind an MBR."""
    blank(path, 200 * MIB)
    if label == "gpt":
        first = 2048
        partitions = f"start=1MiB, size=1MiB, type={BIOS_BOOT}\nstart=2MiB, size=150MiB\n"
    else:
        first, partitions = 1, "start=1MiB, size=1MiB\nstart=2MiB, size=150MiB\n"
    table(path, f"label: {label}\n{partitions}start=153MiB, size=20MiB\n")
    root = (2 * MIB, 150 * MIB)
    made(path, root, "mkfs.ext4 -q -F")

    def fill(folder: Path) -> None:
        age(folder, 120 * MIB, left=5)
        (folder / "grub").mkdir()
        lines = "serial", "terminal_output serial", "echo started from $prefix", "reboot"
        (folder / "grub/grub.cfg").write_text("\n".join(lines))

    inside(path, root, "ext4", fill)
    prefix = f"(hd0,{'gpt' if label == 'gpt' else 'msdos'}2)/grub"
    made_core = path.with_suffix(".core")
    modules = ("biosdisk", "part_gpt", "part_msdos", "ext2", "serial", "terminal", "echo")
    run(
        "grub-mkimage", "-O", "i386-pc", "-o", made_core, "-p", prefix, *modules, "reboot", "normal"
    )
    core = bytearray(made_core.read_bytes())
    struct.pack_into("<QHH", core, 0x1F4, first + 1, -(-len(core) // 512) - 1, 0x820)
    boot = bytearray(Path("/usr/lib/grub/i386-pc/boot.img").read_bytes())
    struct.pack_into("<Q", boot, 0x5C, first)
    with path.open("r+b") as file:
        file.write(boot[:440])
        file.seek(first * 512)
        file.write(core)
    return path


def started(disk: Path) -> str:
    """Return what a machine with BIOS says on its serial line when it starts from the disk."""
    return subprocess.run(
        [
            *("qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-no-reboot", "-net", "none"),
            # Its clock follows its instructions: GRUB may hang where a busy computer stops it
            # while it measures the time.
            *("-icount", "shift=2,sleep=off", "-drive", f"file={disk},format=raw,snapshot=on"),
            *("-serial", "stdio", "-monitor", "none", "-nographic"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


@pytest.mark.parametrize("label", ["gpt", pytest.param("dos", marks=pytest.mark.nightly)])
def test_a_machine_starts_from_the_smaller_disk_as_from_the_first_one(
    shell: Shell, label: str
) -> None:
    disk = with_grub(shell.folder / "disk", label)
    said = f"started from (hd0,{'gpt' if label == 'gpt' else 'msdos'}2)/grub"
    assert said in started(disk)
    shell.capture(disk, "golden")
    shell("shrink", "golden", "small", "--partition", "2")
    target = shell.restored("small")
    assert target.stat().st_size < 120 * MIB
    assert said in started(target)


def test_a_chunk_that_is_missing_or_a_name_that_is_none_makes_nothing(shell: Shell) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(content, size=8 * MIB))
    shell.capture(disk, "golden")
    assert shell.refusal("shrink", "golden", "../small").startswith("RW435")
    assert shell.refusal("shrink", "golden", "golden").startswith(
        "RW435: 'golden' cannot be the name of an image: it is the name of the image that it would "
        "be made of"
    )
    assert shell.refusal("shrink", "silver", "small").startswith("RW434")
    chunks = [path for path in (shell.state / "store/chunks").rglob("*") if path.is_file()]
    max(chunks, key=lambda path: path.stat().st_size).unlink()
    assert shell.refusal("shrink", "golden", "small").startswith("RW430: the store has no chunk")


HANGS = """#!/bin/sh
# Not resize2fs: it says how small it can be, and then never ends.
[ "$1" = -P ] && exec /usr/sbin/resize2fs "$@"
touch {flag}
exec sleep 600
"""


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.nightly)]
)
def test_an_interrupted_command_leaves_nothing(shell: Shell, number: int) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(content, size=MIB))
    origin = shell.capture(disk, "golden")
    programs, flag = shell.folder / "bin", shell.folder / "flag"
    programs.mkdir()
    os.mkfifo(flag)
    (programs / "resize2fs").write_text(HANGS.replace("touch {flag}", f"echo > {flag}"))
    (programs / "resize2fs").chmod(0o755)
    process = shell.start("shrink", "golden", "small", path=f"{programs}:")
    flag.read_text()  # once it runs
    assert list((shell.state / "image-work").glob("*"))
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "interrupted")
    shell.assert_clean()
    assert shell.store.image_digests() == {origin}
    assert [each.name for each in shell.store.images()] == ["golden"]


def test_a_tool_that_fails_is_quoted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = gpt_disk(shell.folder / "disk", partial(content, size=MIB))
    shell.capture(disk, "golden")
    programs = shell.folder / "bin"
    programs.mkdir()
    (programs / "resize2fs").write_text(
        '#!/bin/sh\n[ "$1" = -P ] && exec /usr/sbin/resize2fs "$@"\n'
        "echo No space left to move blocks >&2; exit 1\n"
    )
    (programs / "resize2fs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    said = shell.refusal("shrink", "golden", "small", "--to", "100MiB")
    assert "its ext4 could not be made 67,108,864 bytes small: resize2fs says No space left" in said
