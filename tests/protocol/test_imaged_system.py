"""What a capture says of the system on a disk: real file systems, on disks that are files."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from agent.commands.blkid import probe
from agent.errors import TerminalError
from agent.identity.linux.suitability import imaged_system
from agent.imaging import manifest as manifests
from agent.imaging.capture import capture
from agent.wire.imaged_system import ImagedSystem
from tests.protocol.identity_disks import MIB, START, Rack, run
from tests.protocol.imaging_disks import MemoryStore, blank, ignore, loop
from tests.unit.agent_sysfs import write_tree

pytestmark = [pytest.mark.timeout(120), pytest.mark.needs_root]

NO_ROOT = "no Linux root file system was found on the disk"
SUITABLE = ImagedSystem("Golden Linux", "1", "systemd", "systemd-networkd", ())


@contextmanager
def mounted(part: Path, folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    run(["mount", "-o", ",".join(("loop", *options)), str(part), str(folder)])
    try:
        yield folder
    finally:
        run(["umount", str(folder)])


def ext4(part: Path, tree: Path, size: int = 24) -> Path:
    run(["mkfs.ext4", "-q", "-d", str(tree), str(part), f"{size}M"])
    return part


def only_obstacle(found: ImagedSystem) -> tuple[str, str]:
    (obstacle,) = found.obstacles
    assert obstacle.action
    return obstacle.code, obstacle.cause


def test_a_system_that_can_be_cloned_is_named(rack: Rack, golden: Path) -> None:
    assert rack.look(rack.build(golden)) == SUITABLE


def test_the_image_of_an_unchanged_disk_keeps_its_digest(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    disk = rack.build(golden)
    digests = set()
    for _ in range(2):
        with loop(rack.node) as node:
            seen = evolve(disk, node=node)
            found = imaged_system(rack.paths.sysfs, seen)
            image = capture(seen, MemoryStore(), ignore, found)
        assert manifests.decode(manifests.encode(image)).system == SUITABLE
        digests.add(manifests.digest(manifests.encode(image)))
    run(["mount", "-o", f"loop,offset={START}", str(rack.node), str(tmp_path)])
    (tmp_path / "usr/bin/openssl").unlink()
    run(["umount", str(tmp_path)])
    for _ in range(2):
        with loop(rack.node) as node:
            seen = evolve(disk, node=node)
            found = imaged_system(rack.paths.sysfs, seen)
            image = capture(seen, MemoryStore(), ignore, found)
        assert only_obstacle(found) == (
            "RW462",
            "the system in the image lacks the command openssl",
        )
        digests.add(manifests.digest(manifests.encode(image)))
    assert len(digests) == 2


def without_python(root: Path) -> None:
    (root / "usr/bin/python3.11").unlink()


def without_systemd(root: Path) -> None:
    (root / "usr/lib/systemd/systemd").unlink()


def loop_of_links(root: Path) -> None:
    shutil.rmtree(root / "etc/ssh")
    (root / "etc/ssh").symlink_to("ssh")


def pipe_for_hosts(root: Path) -> None:
    (root / "etc/hosts").unlink()
    os.mkfifo(root / "etc/hosts")


def folder_for_hostname(root: Path) -> None:
    (root / "etc/hostname").unlink()
    (root / "etc/hostname").mkdir()


def file_for_folder(root: Path) -> None:
    write_tree(root, {"usr/local/bin": "x"})


def var_elsewhere(root: Path) -> None:
    (root / "etc/fstab").write_text("/dev/mapper/vg-var /var ext4\n")


def var_by_serial(root: Path) -> None:
    (root / "etc/fstab").write_text("/dev/disk/by-id/X-part2 /var ext4\n")


def no_system(root: Path) -> None:
    shutil.rmtree(root / "etc")


UNSUITABLE: list[tuple[Callable[[Path], None], str, str]] = [
    (without_python, "RW462", "the system in the image lacks python3 of version 3.11 or newer"),
    (without_systemd, "RW462", "the system in the image lacks systemd"),
    (loop_of_links, "RW464", "/etc/ssh in the image leads through too many symbolic links"),
    (pipe_for_hosts, "RW464", "/etc/hosts in the image is not a regular file"),
    (folder_for_hostname, "RW464", "/etc/hostname in the image cannot be used: Is a directory"),
    (file_for_folder, "RW464", "/usr/local/bin in the image cannot be used: File exists"),
    (
        var_elsewhere,
        "RW468",
        "/etc/fstab mounts /var from /dev/mapper/vg-var, which is not on the disk",
    ),
    (
        var_by_serial,
        "RW468",
        "/etc/fstab mounts /var from /dev/disk/by-id/X-part2, which is not on the disk",
    ),
    (
        no_system,
        "RW460",
        f"{NO_ROOT} (gpt, 1 partition: ext4): no file system on it has /etc/os-release",
    ),
]


@pytest.mark.parametrize(("spoil", "code", "cause"), UNSUITABLE)
def test_a_capture_says_what_the_identity_step_would_fail_with(
    rack: Rack, golden: Path, spoil: Callable[[Path], None], code: str, cause: str
) -> None:
    spoil(golden)
    disk = rack.build(golden)
    assert only_obstacle(rack.look(disk)) == (code, cause)
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert (caught.value.code, caught.value.cause) == (code, cause)
    assert rack.digest() == before


ATTRIBUTES = [
    ("+i", "etc/resolv.conf", "/etc/resolv.conf in the image is immutable (chattr +i)"),
    ("+a", "etc/hosts", "/etc/hosts in the image is append-only (chattr +a)"),
    ("+i", "etc/ssh", "/etc/ssh in the image is immutable (chattr +i)"),
    ("+i", "var/lib/rackwright/agent.key", "/var/lib/rackwright/agent.key in the image is imm"),
]


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_what_chattr_holds_fast_is_found_before_anything_is_changed(
    rack: Rack, golden: Path, tmp_path: Path, case: tuple[str, str, str]
) -> None:
    attribute, path, cause = case
    (golden / "etc/resolv.conf").write_text("nameserver 10.0.0.1\n")
    part = ext4(tmp_path / "part", golden)
    with mounted(part, tmp_path / "mnt") as root:
        run(["chattr", attribute, str(root / path)])
    disk = rack.assemble(part)
    code, said = only_obstacle(rack.look(disk))
    assert code == "RW464"
    assert said.startswith(cause)
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert caught.value.cause == said
    assert rack.digest() == before


def test_a_full_file_system_is_found_before_anything_is_changed(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    part = ext4(tmp_path / "part", golden)
    with mounted(part, tmp_path / "mnt") as root:
        fill = ["dd", "if=/dev/zero", f"of={root}/fill", "bs=64k", "conv=fsync", "status=none"]
        assert subprocess.run(fill, capture_output=True, check=False).returncode != 0
        os.truncate(root / "fill", (root / "fill").stat().st_size - 64 * 1024)
    disk = rack.assemble(part)
    code, cause = only_obstacle(rack.look(disk))
    assert code == "RW462"
    assert cause.startswith("the system in the image lacks room: its file system is full before /")
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert caught.value.cause == cause
    assert rack.digest() == before


def test_of_two_systems_none_is_chosen(rack: Rack, golden: Path) -> None:
    assert only_obstacle(rack.look(rack.build(golden, golden))) == (
        "RW461",
        "the disk holds several root file systems (partition 1, partition 2)",
    )


def test_lvm_without_a_group_is_an_obstacle(rack: Rack, tmp_path: Path) -> None:
    part = blank(tmp_path / "part", 16 * MIB)
    with loop(part) as node:
        run(["pvcreate", "--quiet", "--yes", node])
    found = rack.look(rack.assemble(part))
    assert only_obstacle(found) == (
        "RW460",
        (
            f"{NO_ROOT} (gpt, 1 partition: LVM2_member): partition 1 is LVM that is not "
            "understood: the metadata of its LVM volume group is not on it"
        ),
    )
    assert (found.name, found.root, found.init, found.network) == ("", "", "", "")


def damaged_f2fs(part: Path) -> None:
    blank(part, 64 * MIB)
    run(["mkfs.f2fs", "-q", str(part)])
    with part.open("r+b") as file:
        file.seek(2 * MIB)  # both checkpoints, without which no kernel mounts it
        file.write(bytes(4 * MIB))


def damaged_ext4(part: Path) -> None:
    run(["mkfs.ext4", "-q", str(part), "24M"])
    with part.open("r+b") as file:
        file.seek(1024 + 0x58)  # s_inode_size
        file.write(b"\3\0")


@pytest.mark.parametrize("make", [damaged_f2fs, damaged_ext4])
def test_beside_a_file_system_that_cannot_be_mounted_no_system_is_sure(
    rack: Rack, golden: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    part = tmp_path / "other"
    make(part)
    disk = rack.assemble(ext4(tmp_path / "part", golden), part)
    code, cause = only_obstacle(rack.look(disk))
    assert code == "RW465"
    assert cause == f"partition 2 ({disk.partitions[1].filesystem}) cannot be mounted"


@pytest.mark.parametrize(
    ("folder", "name", "code"), [("Windows/System32", "Windows", "RW466"), ("Photos", "", "RW460")]
)
def test_windows_is_recognised_by_its_files(
    rack: Rack, tmp_path: Path, folder: str, name: str, code: str
) -> None:
    part = blank(tmp_path / "part", 16 * MIB)
    with loop(part) as node:
        run(["mkfs.ntfs", "-q", "-F", node])
    with mounted_ntfs(part, tmp_path / "mnt") as root:
        (root / folder).mkdir(parents=True)
    found = rack.look(rack.assemble(part))
    assert (found.name, only_obstacle(found)[0]) == (name, code)


@contextmanager
def mounted_ntfs(part: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    run(["ntfs-3g", str(part), str(folder)])
    try:
        yield folder
    finally:
        run(["umount", str(folder)])


NAMES = {
    "plain": ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"', "Debian GNU/Linux 12 (bookworm)"),
    "control": ('PRETTY_NAME="Evil\x1b[31m Linux"', "Evil [31m Linux"),
    "bytes": ("PRETTY_NAME=\udcff\udcfe", ""),
    "long": (f"PRETTY_NAME={'x' * 600}", f"{'x' * 499}…"),
    "none": ("ID=plain", ""),
}


@pytest.mark.parametrize(("text", "name"), NAMES.values(), ids=NAMES)
def test_any_name_can_stand_in_a_manifest(rack: Rack, golden: Path, text: str, name: str) -> None:
    (golden / "etc/os-release").write_bytes(text.encode("utf-8", "surrogateescape"))
    disk = rack.build(golden)
    found = rack.look(disk)
    assert (found.name, found.obstacles) == (name, ())
    image = evolve(capture(disk, MemoryStore(), ignore), system=found)
    assert manifests.decode(manifests.encode(image)).system == found


def with_orphan(part: Path, folder: Path, copy: Path) -> Path:
    """Return a copy of a file system in use: its log is not replayed, a deleted file is open."""
    with mounted(part, folder) as root, (root / "orphan").open("wb") as file:
        file.write(bytes(MIB))
        os.fsync(file.fileno())
        (root / "orphan").unlink()
        (root / "etc/late").write_text("x")
        subprocess.run(["sync", "-f", str(root)], check=True)
        (root / "etc/later").write_text("y")
        os.sync()
        run(["cp", "--sparse=always", str(part), str(copy)])
    return copy


MAKERS: dict[str, tuple[list[str], int]] = {
    "ext4": (["mkfs.ext4", "-q"], 32),
    "xfs": (["mkfs.xfs", "-q"], 300),
    "btrfs": (["mkfs.btrfs", "-q"], 128),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_looking_at_a_system_that_was_not_shut_down_writes_nothing(
    rack: Rack, golden: Path, tmp_path: Path, kind: str
) -> None:
    command, size = MAKERS[kind]
    part = blank(tmp_path / "part", size * MIB)
    run([*command, str(part)])
    with mounted(part, tmp_path / "mnt") as root:
        run(["cp", "-a", f"{golden}/.", str(root)])
    disk = rack.assemble(with_orphan(part, tmp_path / "mnt", tmp_path / "copy"))
    assert disk.partitions[0].filesystem == kind
    assert rack.look(disk) == SUITABLE  # which compares the whole disk


SOURCES = [
    ("var", "/dev/disk/by-uuid/{uuid}"),
    ("var", "/dev/disk/by-partuuid/{partuuid}"),
    ("var", "/dev/disk/by-label/fs1"),
    ("usr", "UUID={uuid}"),
    ("usr", "PARTLABEL=Linux\\0401"),
]


@pytest.mark.parametrize(("place", "source"), SOURCES)
def test_a_part_of_the_system_on_a_partition_of_its_own_is_found(
    rack: Rack, golden: Path, tmp_path: Path, place: str, source: str
) -> None:
    if place == "usr":
        (golden / "etc/os-release").rename(golden / "usr/lib/os-release")
        (golden / "etc/os-release").symlink_to("../usr/lib/os-release")
    (golden / place).rename(tmp_path / place)
    (golden / place).mkdir()
    disk = rack.build(golden, tmp_path / place)
    second = disk.partitions[1]
    uuid = probe(rack.node, second.start, second.size).uuid
    line = source.format(uuid=uuid, partuuid=second.uuid)
    with mounted(rack.node, tmp_path / "mnt", f"offset={START}", f"sizelimit={24 * MIB}") as root:
        (root / "etc/fstab").write_text(f"/dev/sda1 / ext4\n{line} /{place} ext4\n")
    assert rack.look(disk) == SUITABLE
    rack.apply(disk)
    with rack.opened(1) as part:
        assert (part / "lib/rackwright").exists() == (place == "usr")


def test_a_var_in_a_subvolume_of_the_roots_own_btrfs(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    part = blank(tmp_path / "part", 128 * MIB)
    run(["mkfs.btrfs", "-q", "-L", "pool", str(part)])
    (golden / "etc/fstab").write_text("LABEL=pool /var btrfs subvol=@var\n")
    with mounted(part, tmp_path / "mnt") as root:
        for name in ("@", "@var"):
            run(["btrfs", "subvolume", "create", str(root / name)])
        run(["cp", "-a", f"{golden}/.", str(root / "@")])
        run(["cp", "-a", f"{golden}/var/.", str(root / "@var")])
    assert rack.look(rack.assemble(part)) == SUITABLE


def test_a_disk_that_cannot_be_looked_at_here_is_captured_all_the_same(
    rack: Rack, golden: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = rack.build(golden)
    monkeypatch.setenv("PATH", str(tmp_path))  # without losetup and mount
    assert imaged_system(rack.paths.sysfs, disk) is None


def test_a_disk_without_partitions_has_no_system(rack: Rack) -> None:
    assert only_obstacle(rack.look(rack.assemble())) == (
        "RW460",
        f"{NO_ROOT} (gpt, no partitions): no file system on it has /etc/os-release",
    )
