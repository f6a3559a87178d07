"""Images out of files of disks and into such files, with qemu-img and real file systems."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from agent.commands import qemu_img
from agent.errors import CommandError, MissingCommandError
from providers.imaging.disk_file import raw_disk
from providers.imaging.errors import DiskFileError, NoSpaceError
from providers.imaging.image_record import RestoreTest
from reconciler.state.database import open_database
from reconciler.state.image_events import ImageEvents
from tests.protocol.image_shell import ImageShell
from tests.protocol.imaging_disks import MIB, blank, gpt_disk, run, tree
from tests.protocol.test_imaging_content import exfat_mounted


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    return gpt_disk(folder / "disk.raw", tree(folder / "content", 1, 5 * MIB), 64 * MIB)


@pytest.fixture
def shell(tmp_path: Path) -> ImageShell:
    return ImageShell(tmp_path)


def converted(disk: Path, target: Path, file_format: str, *options: str) -> Path:
    run("qemu-img", "convert", "-f", "raw", "-O", file_format, *options, disk, target)
    return target


def test_every_format_of_a_disk_is_the_same_image(shell: ImageShell, disk: Path) -> None:
    said = shell("import", disk, "--name", "raw")
    digest = shell.store.names.resolve("raw")
    assert said == (
        f"raw is image {digest[:12]} from now on; it can be restored\n"
        "no clone can get an identity of its own: RW460: no Linux root file system was found on "
        "the disk (gpt, 4 partitions: BIOS boot, vfat, ext4, swap): no file system on it has "
        "/etc/os-release\n"
    )
    formats = [("qcow2",), ("qcow2", "-c"), ("vmdk",), ("vhdx",)]
    formats += [("vmdk", "-o", "subformat=streamOptimized")]
    for number, (file_format, *options) in enumerate(formats):
        file = converted(disk, shell.folder / f"{number}.{file_format}", file_format, *options)
        shell("import", file, "--name", f"name-{number}")
        assert shell.store.names.resolve(f"name-{number}") == digest
    assert shell.store.usable(digest)
    database = open_database(shell.state / "rackwright.db")
    events = ImageEvents(database).of_image(digest)
    database.close()
    assert [each.what for each in events] == ["import"] * 6
    assert events[0].reason == "from disk.raw"


@pytest.mark.parametrize("file_format", ["raw", "qcow2"])
def test_what_is_exported_is_the_image_again(
    shell: ImageShell, disk: Path, file_format: str
) -> None:
    shell("import", disk, "--name", "golden")
    digest = shell.store.names.resolve("golden")
    target = shell.folder / "out"
    said = shell("export", "golden", target, "--format", file_format)
    assert said == f"written: {target}, image {digest[:12]}\n"
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_blocks * 512 < 40 * MIB
    shell("import", target, "--name", "again")
    assert shell.store.names.resolve("again") == digest
    assert sorted(each.name for each in shell.folder.iterdir()) == ["out", "state"]


@pytest.mark.needs_root
@pytest.mark.parametrize("file_format", ["raw", "qcow2"])
def test_an_export_to_exfat_is_whole_and_replaces_nothing(
    shell: ImageShell, disk: Path, file_format: str
) -> None:
    shell("import", disk, "--name", "golden")
    volume = blank(shell.folder / "stick", 256 * MIB)
    run("mkfs.exfat", volume)
    with exfat_mounted(volume) as place:
        target = place / "out"
        shell("export", "golden", target, "--format", file_format)
        with pytest.raises(PermissionError):
            os.link(target, place / "link")
        assert [each.name for each in place.iterdir()] == ["out"]
        assert "it is there already" in shell.refusal("export", "golden", target)
        shell("import", target, "--name", "again")
    assert shell.store.names.resolve("again") == shell.store.names.resolve("golden")


def test_an_export_replaces_nothing_and_leaves_nothing_of_a_damaged_image(
    shell: ImageShell, disk: Path
) -> None:
    shell("import", disk, "--name", "golden")
    target = shell.folder / "out"
    target.write_bytes(b"mine")
    assert shell.refusal("export", "golden", target) == (
        f"RW442: {target} cannot be written: it is there already. Name another file, or remove it."
    )
    assert target.read_bytes() == b"mine"
    target.unlink()
    assert shell.refusal("export", "golden", shell.folder / "no" / "where") == (
        f"RW442: {shell.folder}/no/where cannot be written: No such file or directory. Name "
        "another file, or make room there."
    )
    chunk = next(path for path in (shell.state / "store" / "chunks").rglob("*") if path.is_file())
    chunk.write_bytes(b"rot")
    digest = shell.store.names.resolve("golden")
    said = shell.refusal("export", "golden", target)
    assert said.startswith(
        f"RW446: image {digest[:12]} is damaged: chunk {chunk.name[:12]}, bytes "
    )
    assert "it is corrupt: no zstd frame" in said
    assert f" See with `rackwright image verify {digest[:12]}` all that is; " in said
    assert not shell.store.usable(digest)
    assert [each.name for each in shell.folder.iterdir()] == ["state"]


def test_a_name_stays_where_it_was_if_the_restore_test_fails(shell: ImageShell, disk: Path) -> None:
    broken = shell.folder / "broken.raw"
    subprocess.run(["cp", "--sparse=always", disk, broken], check=True)
    with broken.open("r+b") as file:  # the root directory's inode: the map is as it was
        file.seek(18 * MIB + 4096)
        table = struct.unpack("<I", file.read(32)[8:12])[0]
        file.seek(18 * MIB + table * 4096 + 256)
        inode = file.read(256)
        file.seek(-256, os.SEEK_CUR)
        file.write(inode[:40] + b"\xff" * 60 + inode[100:])
    said = shell("import", broken, "--name", "golden", expect=1)
    assert "got no name, its restore test failed:\n" in said
    assert "partition 3, ext4: e2fsck ended with" in said
    assert shell.store.images() == ()


def backing(folder: Path, disk: Path) -> Path:
    other = folder / "other.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, other)
    return other


def external_data(folder: Path, _disk: Path) -> Path:
    other = folder / "other.qcow2"
    run(
        *("qemu-img", "create", "-q", "-f", "qcow2"),
        *("-o", f"data_file={folder / 'data'},data_file_raw=on", other, "64M"),
    )
    return other


def encrypted(folder: Path, _disk: Path) -> Path:
    return with_header(folder, 32, b"\0\0\0\2")


def cut(folder: Path, _disk: Path) -> Path:
    other = folder / "other"
    other.write_bytes(b"QFI\xfb\0\0\0\3")
    return other


def nonsense(folder: Path, _disk: Path) -> Path:
    other = folder / "other"
    other.write_bytes(b"QFI\xfb\0\0\0\3" + b"\0" * 9 + b"\xff" * 2000)
    return other


def descriptor(folder: Path, disk: Path) -> Path:
    other = folder / "other.vmdk"
    other.write_text(f'# Disk DescriptorFile\nversion=1\nRW 131072 FLAT "{disk}" 0\n')
    return other


def embedded_descriptor(folder: Path, disk: Path) -> Path:
    other = converted(disk, folder / "other.vmdk", "vmdk")
    with other.open("r+b") as file:
        file.seek(12)
        file.write(bytes(8))
    return other


def child(folder: Path, disk: Path) -> Path:
    parent, other = converted(disk, folder / "parent.vmdk", "vmdk"), folder / "other.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", parent, other)
    parent.unlink()
    return other


def odd(folder: Path, _disk: Path) -> Path:
    return blank(folder / "other", 1000)


def packed(*command: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, disk: Path) -> Path:
        other = folder / "other"
        with other.open("wb") as file:
            subprocess.run([*command, str(disk)], stdout=file, check=True)
            file.truncate(-(-file.tell() // 512) * 512)
        return other

    return make


def container(file_format: str, *options: str) -> Callable[[Path, Path], Path]:
    return lambda folder, disk: converted(disk, folder / "other", file_format, *options)


def with_header(folder: Path, offset: int, value: bytes) -> Path:
    other = converted(blank(folder / "blank", MIB), folder / "other.qcow2", "qcow2")
    (folder / "blank").unlink()
    with other.open("r+b") as file:
        file.seek(offset)
        file.write(value)
    return other


def part_of(file_format: str, *options: str) -> Callable[[Path, Path], Path]:
    """Return what makes the first half of a file, as a download that broke off."""

    def make(folder: Path, disk: Path) -> Path:
        other = folder / "other"
        if file_format == "raw":
            shutil.copy(disk, other)
        else:
            converted(disk, other, file_format, *options)
        os.truncate(other, other.stat().st_size // 2 // 512 * 512)
        return other

    return make


def part_of_mbr(kind: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _disk: Path) -> Path:
        other = blank(folder / "other", 64 * MIB)
        lines = {
            "primary": "start=2048,size=8192\nstart=20480,size=81920\n",
            "logical": "start=2048,size=8192\nstart=20480,type=5\nstart=22528,size=40960\n",
            "later": "start=2048,size=8192\nstart=20480,type=5\nstart=22528,size=8192\n"
            "start=81920,size=8192\n",
        }
        run("sfdisk", other, stdin=f"label: dos\n{lines[kind]}")
        os.truncate(other, 30 * MIB)
        return other

    return make


def pipe(folder: Path, _disk: Path) -> Path:
    os.mkfifo(folder / "other")
    return folder / "other"


CUT = "it is damaged, or not all of it is there: qemu-img says "


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (part_of("raw"), "its partition 4 ends at byte "),
        (part_of_mbr("primary"), "its partition 2 ends at byte 52,428,800 of the disk, which has "),
        (part_of_mbr("logical"), "its partition 5 ends at byte 32,505,856 of the disk, which has "),
        (part_of_mbr("later"), "its partition table goes on at byte "),
        (part_of("qcow2"), f"{CUT}"),
        (part_of("qcow2", "-c"), f"{CUT}"),
        (part_of("vmdk"), f"{CUT}"),
        (part_of("vmdk", "-o", "subformat=streamOptimized"), f"{CUT}"),
        (part_of("vhdx"), "qemu-img says "),
        (pipe, "it is a pipe, not a file"),
        (lambda _folder, _disk: Path("/dev/null"), "it is a character device, not a file"),
        (backing, "it refers to the backing file '"),
        (external_data, "its data is in another file"),
        (encrypted, "it is encrypted"),
        (cut, "it ends in its header"),
        (nonsense, "its data is in another file"),
        (descriptor, "it is a descriptor that refers to other files"),
        (embedded_descriptor, "it has only a descriptor, which refers to other files"),
        (child, "it refers to '"),
        (odd, "1,000 bytes are no whole number of sectors"),
        (container("vdi"), "it is a disk of VirtualBox (vdi)"),
        (container("vpc"), "it is a virtual hard disk (vhd)"),
        (container("vpc", "-o", "subformat=fixed"), "it is a virtual hard disk (vhd)"),
        (container("qed"), "it is a disk of QEMU's format qed"),
        (container("parallels"), "it is a disk of Parallels"),
        (packed("gzip", "--stdout"), "it is packed by gzip"),
        (packed("xz", "-0", "--stdout"), "it is packed by xz"),
        (packed("zstd", "-1", "--stdout", "--quiet"), "it is packed by zstd"),
        (packed("bzip2", "--stdout"), "it is packed by bzip2"),
        (lambda folder, _: folder / "nowhere", "there is no such file"),
    ],
)
def test_files_that_refer_to_others_or_are_none_are_refused(
    shell: ImageShell, disk: Path, make: Callable[[Path, Path], Path], said: str
) -> None:
    file = make(shell.folder, disk)
    text = shell.refusal("import", file, "--name", "golden")
    assert text.startswith(f"RW441: {file} cannot be imported: {said}")
    assert shell.store.image_digests() == frozenset()


def test_a_disk_that_was_cut_behind_its_partitions_is_a_disk(shell: ImageShell, disk: Path) -> None:
    """Its backup table alone is gone, which restores to other disks make anew."""
    other = shell.folder / "other"
    shutil.copy(disk, other)
    os.truncate(other, 64 * MIB - 512 * 33)
    assert "it can be restored" in shell("import", other, "--name", "golden")
    run("truncate", "--size", "64M", other)  # as the refusal of more says
    assert "it can be restored" in shell("import", other, "--name", "golden")


def test_a_boot_sector_of_a_file_system_is_no_table(shell: ImageShell, tmp_path: Path) -> None:
    """One whose code reads as an entry that reaches behind the end."""
    file = blank(tmp_path / "disk", 16 * MIB)
    run("mkfs.vfat", file)
    with file.open("r+b") as opened:
        opened.seek(446)
        opened.write(b"\x80\0\0\0\x0c\0\0\0" + struct.pack("<II", 2048, 1 << 30) + bytes(48))
    shell("import", file, "--name", "golden")
    assert shell.store.images()[0].disk_size == 16 * MIB


def test_an_import_over_corrupt_chunks_mends_them(shell: ImageShell, disk: Path) -> None:
    shell("import", disk, "--name", "golden")
    digest = shell.store.names.resolve("golden")
    chunks = [path for path in (shell.state / "store/chunks").rglob("*") if path.is_file()]
    chunks[0].write_bytes(b"rot")
    chunks[1].unlink()
    chunks[2].unlink()
    chunks[2].mkdir()
    assert "it can be restored" in shell("import", disk, "--name", "golden")
    assert shell.store.names.resolve("golden") == digest
    assert "undamaged" in shell("verify", "--all")
    assert shell.store.usable(digest)


def test_an_export_to_a_pipe_is_refused(shell: ImageShell, disk: Path) -> None:
    shell("import", disk, "--name", "golden")
    assert shell.refusal("export", "golden", "-") == (
        "RW442: - cannot be written: an image is written whole or not at all, which a pipe cannot "
        "be. Name a file (./- is one of that name), or read the disk from `rackwright image mount`."
    )
    assert not Path("-").exists()


def test_an_empty_path_is_not_the_directory_where_one_is(shell: ImageShell) -> None:
    for words in (("mount", "golden", ""), ("import", "", "--name", "x"), ("export", "golden", "")):
        with pytest.raises(click.BadParameter, match="the path is empty"):
            shell(*words)


def test_an_empty_store_says_how_images_come(shell: ImageShell) -> None:
    assert shell.store
    said = shell("ls")
    assert "backup" in said
    assert "`rackwright image import FILE --name NAME`" in said


def test_a_format_that_is_said_has_to_be_the_one_of_the_file(shell: ImageShell, disk: Path) -> None:
    for said in ("qcow2", "vmdk", "vhdx"):
        text = shell.refusal("import", disk, "--name", "golden", "--format", said)
        assert "its first bytes are not those of " + said in text


def test_what_is_called_raw_is_never_read_as_anything_else(
    shell: ImageShell, tmp_path: Path
) -> None:
    file = blank(tmp_path / "disk", 4 * MIB)
    with file.open("r+b") as opened:
        opened.write(b"QFI\xfb\0\0\0\3" + (4096).to_bytes(8, "big"))
    shell("import", file, "--name", "golden", "--format", "raw")
    assert shell.store.images()[0].disk_size == 4 * MIB


def test_a_bad_name_is_refused_before_anything_is_read(shell: ImageShell, disk: Path) -> None:
    assert shell.refusal("import", disk, "--name", "../x").startswith("RW435")
    assert shell.store.image_digests() == frozenset()


def test_a_disk_for_which_there_is_no_room_is_refused(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = converted(disk, tmp_path / "disk.qcow2", "qcow2")
    monkeypatch.setattr("providers.imaging.disk_file.RESERVE", 1 << 60)
    with pytest.raises(NoSpaceError), raw_disk(file, "qcow2", tmp_path):
        pass
    assert not (tmp_path / "disk.raw").exists()


def test_what_qemu_img_refuses_is_no_disk(tmp_path: Path) -> None:
    file = with_header(tmp_path, 20, b"\0\0\0\x63")  # a cluster has 2^99 bytes
    with pytest.raises(DiskFileError, match="qemu-img says"), raw_disk(file, "qcow2", tmp_path):
        pass


def test_a_file_never_grows_beyond_its_bound(tmp_path: Path, disk: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(CommandError):
        qemu_img.convert(disk, "raw", target, "raw", 20 * MIB)
    assert target.stat().st_size <= 20 * MIB


def test_without_qemu_img_that_is_said(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("prlimit", "setpriv"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(MissingCommandError, match="the command qemu-img does not exist here"):
        qemu_img.info(disk, "raw")


def test_an_image_whose_chunk_came_back_can_be_proved_again(shell: ImageShell, disk: Path) -> None:
    shell("import", disk, "--name", "golden")
    digest = shell.store.names.resolve("golden")
    chunks = shell.state / "store" / "chunks"
    chunk = max((path for path in chunks.rglob("*") if path.is_file()), key=str)
    chunk.write_bytes(b"rot")
    assert "is damaged and is not restored any more" in shell("verify", "--all", expect=1)
    assert not shell.store.usable(digest)
    assert "it is corrupt and was set aside" in shell("verify", "golden", expect=1)
    other = shell.folder / "other.raw"
    subprocess.run(["cp", "--sparse=always", disk, other], check=True)
    shell("import", other, "--name", "other")  # as the next backup does
    shell.store.record_restore_test(digest, RestoreTest(ok=False, details=("damaged",), at="now"))
    assert "undamaged" in shell("verify", "golden")
    assert not shell.store.usable(digest)  # reading chunks is no restore test
    said = shell("verify", "--prove", "golden")
    assert f"restore test of {digest[:12]}: can be restored\n" in said
    assert shell.store.usable(digest)
