"""Looking inside images: real file systems, shown by FUSE and mounted by the kernel."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from attrs import evolve
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.chunk import unpack
from agent.imaging.extent import Extent
from agent.imaging.manifest import LogicalVolume, Manifest
from providers.imaging.store import ChunkStore
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
)

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

STATUS = """\
Package: {name}
Status: install ok installed
Architecture: amd64
Version: {version}
Maintainer: A <a@example.org>
Description: A package

"""
RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'
FIRST, SECOND = (4 * MIB, 40 * MIB), (44 * MIB, 16 * MIB)
NOBODY = 65534


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Images:
    """A state directory with images, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.store = ChunkStore(self.state / "store", reserve=0)

    def capture(self, name: str, disk: Path) -> str:
        with loop(disk) as node:
            return self.keep(name, capture(described(node), self.store, ignore))

    def keep(self, name: str, image: Manifest) -> str:
        digest = self.store.put_manifest(manifest_format.encode(image))
        self.store.names.tag(name, digest)
        return digest

    def command(self, *arguments: str | Path) -> list[str]:
        words = map(str, arguments)
        return [sys.executable, "-m", "reconciler.cli", "image", *words, f"--state={self.state}"]

    def run(self, *arguments: str | Path, inside: tuple[str, ...] = ()) -> Done:
        done = subprocess.run(
            [*inside, *self.command(*arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def mounted(
        self, *arguments: str | Path, **environment: str
    ) -> "Iterator[subprocess.Popen[str]]":
        process = subprocess.Popen(
            self.command("mount", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            said = next((line for line in process.stdout if line.startswith("Ctrl-C")), "")
            assert said, process.stderr.read()
            yield process
        finally:
            process.terminate()
            process.communicate()  # the server has its error stream: both have ended then


def mounts(place: Path | str) -> list[str]:
    """Return the mounts with this in their lines, and the loop devices."""
    lines = (
        Path("/proc/self/mounts").read_text().splitlines() + run("losetup", "--list").splitlines()
    )
    return [line for line in lines if str(place) in line]


def system(root: Path, versions: dict[str, str]) -> Path:
    """Make a tree that looks like a Debian system."""
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/os-release").write_text(RELEASE)
    (root / "var/lib/dpkg").mkdir(parents=True)
    packages = (STATUS.format(name=name, version=each) for name, each in versions.items())
    (root / "var/lib/dpkg/status").write_text("".join(packages))
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*:1::::::\n")
    (root / "etc/motd").write_text("motd 1\n")
    (root / "srv").mkdir()
    (root / "srv/big").write_bytes(noise(2 * MIB))
    (root / "srv/old").write_text("old")
    for path in (*root.rglob("*"), root):
        if not path.is_symlink():
            os.utime(path, (1, 1))
    return root


def disk(path: Path, root: Path, second: Path | None = None) -> Path:
    """Make a disk with the tree in partition 1 and perhaps another one in partition 2."""
    blank(path, 64 * MIB)
    table(path, "label: dos\nstart=4MiB, size=40MiB, type=83\nstart=44MiB, size=16MiB, type=83\n")
    ext4(path, *FIRST, root)
    if second is not None:
        ext4(path, *SECOND, second)
    return path


PACKAGES = {"bash": "5.2-1", "openssl": "3.0.11-1", "gone": "1.0"}


def changed(root: Path) -> None:
    """Turn the golden system into a newer one."""
    (root / "etc/motd").write_text("motd 2\n")  # of the same size
    os.utime(root / "etc/motd", (1, 1))
    with (root / "srv/big").open("r+b") as file:
        file.write(b"one byte is another one")  # where it lies
    os.utime(root / "srv/big", (1, 1))
    (root / "etc/passwd").chmod(0o600)
    os.chown(root / "etc/shadow", 0, 42)
    (root / "etc/os-release").unlink()
    (root / "etc/os-release").symlink_to("/usr/lib/os-release")
    (root / "srv/old").unlink()
    (root / "srv/new\x1b[2J").write_text("new")
    newer = {"bash": "5.2-1", "openssl": "3.0.14-1", "added": "2.0"}
    packages = (STATUS.format(name=name, version=each) for name, each in newer.items())
    (root / "var/lib/dpkg/status").write_text("".join(packages))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Two generations of a system: ``golden`` and ``newer``."""
    images = Images(tmp_path_factory.mktemp("golden"))
    root = system(images.folder / "root", PACKAGES)
    (images.folder / "data").mkdir()
    (images.folder / "data/file").write_text("data\n")
    first = disk(images.folder / "first", root, images.folder / "data")
    images.capture("golden", first)
    second = shutil.copy(first, images.folder / "second")
    place = ("--offset", str(FIRST[0]), "--sizelimit", str(FIRST[1]))
    with loop(second, *place) as node, mounted_writable(node, images.folder / "spot") as spot:
        changed(spot)
    images.capture("newer", Path(second))
    return images


@contextmanager
def mounted_writable(node: str, spot: Path, *options: str) -> Iterator[Path]:
    spot.mkdir(exist_ok=True)
    run("mount", *options, node, spot)
    try:
        yield spot
    finally:
        run("umount", spot)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    spot = tmp_path / "mnt"
    spot.mkdir()
    return spot


def test_one_file_is_taken_from_a_backup(golden: Images, place: Path, tmp_path: Path) -> None:
    source = golden.folder / "root/srv/big"
    with golden.mounted("golden", place) as process:
        shutil.copy(place / "1/srv/big", tmp_path / "big")
        with pytest.raises(OSError, match="Read-only"):
            (place / "1/srv/mine").touch()
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == f"unmounted: {place}\n"
        assert process.returncode == 0
    assert (tmp_path / "big").read_bytes() == source.read_bytes()
    assert mounts(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("library", ["fuse", "fuse3"])
def test_the_disk_is_shown_with_zeros_where_nothing_is_used(
    golden: Images, place: Path, library: str
) -> None:
    digest = golden.store.names.resolve("golden")
    image = manifest_format.decode(golden.store.get_manifest(digest))
    with golden.mounted(digest[:10], place, "--no-files", FUSE_LIBRARY_NAME=library) as process:
        files = {each.name: each.stat().st_size for each in place.iterdir()}
        assert files == {
            "disk.raw": 64 * MIB,
            "partition-1.raw": 40 * MIB,
            "partition-2.raw": 16 * MIB,
        }
        shown = (place / "disk.raw").read_bytes()
        assert (place / "partition-2.raw").read_bytes() == shown[44 * MIB : 60 * MIB]
        run("fusermount3", "-u", place)
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    wanted = bytearray(64 * MIB)
    captured = (golden.folder / "first").read_bytes()
    for extent in image.used:
        wanted[extent.offset : extent.end] = captured[extent.offset : extent.end]
    assert shown == bytes(wanted)


def test_nothing_stays_mounted_when_the_command_is_killed(golden: Images, place: Path) -> None:
    with golden.mounted("golden", place) as process:
        assert (place / "1/etc/passwd").exists()
        process.kill()
        process.communicate()  # until the server, too, has closed the error stream
    assert mounts(place) == []


def test_what_stays_when_all_is_killed_is_taken_away_as_the_error_says(
    golden: Images, place: Path
) -> None:
    with golden.mounted("golden", place) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        process.communicate()
    assert mounts(place) != []
    done = golden.run("mount", "golden", place)
    assert done.status == 1
    assert f"umount --lazy {place}" in done.err
    assert "RW450" in done.err
    run("umount", "--lazy", place)
    assert mounts(place) == []
    with golden.mounted("golden", place):
        assert (place / "1/etc/passwd").exists()


def test_a_corrupt_or_missing_chunk_is_an_input_output_error_with_a_code(
    golden: Images, place: Path, tmp_path: Path
) -> None:
    images = Images(tmp_path / "copy")
    shutil.copytree(golden.state, images.state, dirs_exist_ok=True)
    image = manifest_format.decode(images.store.get_manifest(images.store.names.resolve("golden")))
    chunks = {each.span.offset: images.store.path(each.digest) for each in image.chunks()}
    chunks[0].unlink()
    chunks[4 * MIB].write_bytes(b"nonsense")
    with images.mounted("golden", place, "--no-files") as process:
        with (place / "disk.raw").open("rb", buffering=0) as file:
            with pytest.raises(OSError, match="Input/output error"):
                file.read(4096)
            file.seek(4 * MIB)
            with pytest.raises(OSError, match="Input/output error"):
                file.read(4096)
            file.seek(44 * MIB)
            assert any(file.read(4096))
        process.terminate()
        said = process.communicate()[1]
    assert "RW430" in said
    assert "RW402" in said
    tested = images.store.restore_test(images.store.names.resolve("golden"))
    assert tested is not None
    assert len(tested.details) == 3
    assert "bytes 0 to 1,048,576 (partition table): it is missing" in tested.details[1]
    assert "it is corrupt: no zstd frame" in tested.details[2]
    assert images.run("verify", "golden").out.count("it is corrupt and was set aside: no zstd") == 1


def test_a_place_that_cannot_be_mounted_on_is_refused(golden: Images, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file", tmp_path / "nowhere"):
        done = golden.run("mount", "golden", place)
        assert done.status == 1
        assert "RW450" in done.err


def test_an_image_is_named_by_its_name_or_its_digest(golden: Images) -> None:
    digest = golden.store.names.resolve("golden")
    for name, code in (("nothing", "RW434"), (digest[:7], "RW434"), ("f" * 8, "RW434")):
        assert code in golden.run("sbom", name).err
    assert golden.run("sbom", digest[:8]).status == 0


def test_several_images_that_begin_so_are_an_error(golden: Images) -> None:
    folder = golden.state / "store/images"
    digest = golden.store.names.resolve("golden")
    twin = folder / f"{digest[:63]}{'0' if digest[63] != '0' else '1'}"
    twin.mkdir()
    try:
        assert "RW437" in golden.run("sbom", twin.name[:12]).err
    finally:
        twin.rmdir()


def test_volumes_of_lvm_are_composed_by_their_extents(place: Path, tmp_path: Path) -> None:
    images = Images(tmp_path / "images")
    root = system(tmp_path / "root", PACKAGES)
    (tmp_path / "var").mkdir()
    (root / "var/lib").rename(tmp_path / "var/lib")
    (root / "etc/fstab").write_text("LABEL=var /var ext4 defaults 0 2\n")
    first = ext4(blank(tmp_path / "first", 32 * MIB), 0, 32 * MIB, root).read_bytes()
    second = ext4(blank(tmp_path / "second", 8 * MIB), 0, 8 * MIB, tmp_path / "var").read_bytes()
    path = blank(tmp_path / "disk", 42 * MIB)
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(first[20 * MIB :] + second + first[: 20 * MIB])
    with loop(path) as node:
        image = capture(described(node), images.store, ignore)
    ends = (Extent(21 * MIB, 20 * MIB), Extent(MIB, 12 * MIB))
    volumes = (
        LogicalVolume("vg", "root-a", "", "ext4", "", "used-blocks", "", ends),
        LogicalVolume(
            "vg", "var", "", "ext4", "var", "used-blocks", "", (Extent(13 * MIB, 8 * MIB),)
        ),
    )
    images.keep("lvm", evolve(image, volumes=volumes))
    with images.mounted("lvm", place):
        assert (place / "volume-vg-root--a.raw").read_bytes() == first
        found = (place / "vg-root--a/srv/big").read_bytes()
    assert found == (root / "srv/big").read_bytes()
    components = json.loads(images.run("sbom", "lvm").out)["components"]
    assert [each["name"] for each in components] == ["debian", *sorted(PACKAGES)]


# --- differences ----------------------------------------------------------------


def test_a_difference_begins_with_how_much(golden: Images) -> None:
    done = golden.run("diff", "golden", "newer", "--files", "2")
    assert done.err == ""
    assert done.out.splitlines() == [
        "partitions: the same",
        "packages: 1 changed, 1 added, 1 removed",
        "files: 6 changed, 1 added, 1 removed",
        "",
        "Packages",
        "  + added 2.0",
        "  - gone 1.0",
        "  ~ openssl 3.0.11-1 → 3.0.14-1",
        "",
        "Files",
        "  ~ /etc/motd  (content)",
        "  ~ /etc/os-release  (target ../usr/lib/os-release -> /usr/lib/os-release)",
        "  … and 6 more (--files all)",
    ]
    assert done.status == 0
    shown = golden.run("diff", "golden", "newer", "--files", "all").out
    assert "  + /srv/new\\x1b[2J\n" in shown
    assert "more" not in shown


def test_a_difference_is_complete_as_json(golden: Images) -> None:
    found = json.loads(golden.run("diff", "golden", "newer", "--format", "json").out)
    files = {each["path"]: (each["change"], each["details"]) for each in found["files"]}
    assert files == {
        "/etc/motd": ("changed", ["content"]),
        "/etc/os-release": (
            "changed",
            ["target ../usr/lib/os-release -> /usr/lib/os-release"],
        ),
        "/etc/passwd": ("changed", ["mode 0644 -> 0600"]),
        "/etc/shadow": ("changed", ["owner 0:0 -> 0:42"]),
        "/srv/big": ("changed", ["content"]),
        "/srv/old": ("removed", []),
        "/srv/new\x1b[2J": ("added", []),
        "/var/lib/dpkg/status": ("changed", ["content"]),
    }
    assert {each["name"]: (each["before"], each["after"]) for each in found["packages"]} == {
        "added": ([], ["2.0"]),
        "gone": (["1.0"], []),
        "openssl": (["3.0.11-1"], ["3.0.14-1"]),
    }
    assert (found["partitions"], found["notCompared"]) == ([], [])
    assert found["before"] == golden.store.names.resolve("golden")


def test_an_image_does_not_differ_from_itself(golden: Images) -> None:
    done = golden.run("diff", "golden", "golden")
    assert done.out == "partitions: the same\npackages: the same\nfiles: the same\n"
    assert done.status == 0
    assert mounts(golden.state) == []


_WAITS = """
import sys
from reconciler.app import image_contents
from reconciler.cli.main import main
read = image_contents.read_software
def waiting(tree):
    print("here", flush=True)
    sys.stdin.readline()
    return read(tree)
image_contents.read_software = waiting
main()
"""


def test_nobody_else_sees_what_a_command_mounts(golden: Images) -> None:
    words = golden.command("sbom", "golden")[3:]
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "here\n"  # its file systems are mounted
        seen = mounts(golden.store.names.resolve("golden")[:12])
        assert '"components"' in process.communicate("\n", timeout=60)[0]
        assert process.returncode == 0
    assert [line for line in seen if "/proc" not in line and " /" in line] == []


def test_files_in_chunks_that_both_images_have_are_not_read(golden: Images, tmp_path: Path) -> None:
    images = Images(tmp_path / "copy")
    shutil.copytree(golden.state, images.state, dirs_exist_ok=True)
    middle = noise(2 * MIB)[MIB : MIB + 4096]
    image = manifest_format.decode(images.store.get_manifest(images.store.names.resolve("golden")))
    digests = (each.digest for each in image.chunks())
    (digest,) = (each for each in digests if middle in unpack(images.store.get(each), each))
    images.store.path(digest).write_bytes(b"nonsense")
    assert images.run("diff", "golden", "newer").out == golden.run("diff", "golden", "newer").out


def test_what_became_of_partitions_is_said(golden: Images, tmp_path: Path) -> None:
    path = blank(tmp_path / "disk", 96 * MIB)
    script = "label: dos\nstart=4MiB, size=48MiB, type=83\nstart=60MiB, size=8MiB, type=82\n"
    table(path, script + "start=70MiB, size=16MiB, type=83\n")
    ext4(path, 4 * MIB, 48 * MIB, golden.folder / "root")
    swap = blank(tmp_path / "swap", 8 * MIB)
    swap.chmod(0o600)
    subprocess.run(["mkswap", "-L", "label", swap], check=True, capture_output=True)
    insert(path, 60 * MIB, swap)
    golden.capture("resized", path)
    done = golden.run("diff", "golden", "resized")
    assert "  ~ disk: size 67108864 -> 100663296\n" in done.out
    assert "  ~ partition 1: size 41943040 -> 50331648" in done.out
    assert "  ~ partition 2: file system ext4 -> swap, size 16777216 -> 8388608" in done.out
    assert "  ~ partition 3: added (no file system)\n" in done.out
    assert "files: the same" in done.out, "the same tree in another file system is the same"


def test_xfs_images_of_one_machine_are_compared(tmp_path: Path, place: Path) -> None:
    images = Images(tmp_path / "images")
    root = system(tmp_path / "root", PACKAGES)
    path = blank(tmp_path / "disk", 320 * MIB)
    run("mkfs.xfs", "-q", path)
    with loop(path) as node, mounted_writable(node, tmp_path / "spot") as spot:
        shutil.copytree(root, spot, symlinks=True, dirs_exist_ok=True)
    images.capture("one", path)
    with loop(path) as node, mounted_writable(node, tmp_path / "spot") as spot:
        (spot / "etc/motd").write_text("motd 2\n")
    images.capture("two", path)
    done = images.run("diff", "one", "two")
    assert done.status == 0
    assert "files: 1 changed\n\nFiles\n  ~ /etc/motd  (content)\n" in done.out
    with images.mounted("two", place):
        assert (place / "0/etc/motd").read_text() == "motd 2\n"
        assert (place / "0/srv/big").read_bytes() == (root / "srv/big").read_bytes()
    assert mounts(place) == []


def test_btrfs_images_of_one_machine_are_compared_in_all_subvolumes(
    tmp_path: Path, place: Path
) -> None:
    images = Images(tmp_path / "images")
    root = system(tmp_path / "root", PACKAGES)
    path = blank(tmp_path / "disk", 160 * MIB)
    run("mkfs.btrfs", "-q", path)
    with loop(path) as node, mounted_writable(node, tmp_path / "spot") as spot:
        run("btrfs", "subvolume", "create", spot / "@rootfs")
        run("btrfs", "subvolume", "create", spot / "data")
        run("btrfs", "subvolume", "set-default", spot / "data")
        shutil.copytree(root, spot / "@rootfs", symlinks=True, dirs_exist_ok=True)
        (spot / "data/file").write_text("one")
    images.capture("one", path)
    with loop(path) as node, mounted_writable(node, tmp_path / "spot", "-osubvolid=5") as spot:
        (spot / "@rootfs/etc/motd").write_text("motd 2\n")
        (spot / "data/file").write_text("two")
    images.capture("two", path)
    done = images.run("diff", "one", "two")
    assert done.status == 0
    assert "  ~ /etc/motd  (content)\n  ~ 0:/data/file  (content)\n" in done.out
    with images.mounted("two", place):
        assert (place / "0/@rootfs/etc/motd").read_text() == "motd 2\n"
        assert (place / "0/data/file").read_text() == "two"
    assert mounts(place) == []


# --- what is installed ------------------------------------------------------------


def test_a_bill_of_materials_names_system_image_and_packages(
    golden: Images, tmp_path: Path
) -> None:
    path = tmp_path / "bill.json"
    done = golden.run("sbom", "golden", "--out", path)
    assert done.out == f"written: {path}, 3 package(s)\n"
    text = path.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    digest = golden.store.names.resolve("golden")
    about = bill["metadata"]["component"]
    assert (about["name"], about["hashes"]) == ("golden", [{"alg": "BLAKE3", "content": digest}])
    first, *packages = bill["components"]
    assert (first["type"], first["name"], first["version"]) == ("operating-system", "debian", "12")
    assert [each["purl"] for each in packages] == [
        "pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/gone@1.0?arch=amd64&distro=debian-12",
        "pkg:deb/debian/openssl@3.0.11-1?arch=amd64&distro=debian-12",
    ]


def test_a_separate_var_is_found_by_fstab(tmp_path: Path) -> None:
    images = Images(tmp_path / "images")
    root = system(tmp_path / "root", PACKAGES)
    (tmp_path / "var").mkdir()
    (root / "var/lib").rename(tmp_path / "var/lib")
    (root / "etc/fstab").write_text("LABEL=var /var ext4 defaults 0 2\n")
    path = disk(tmp_path / "disk", root)
    ext4(path, *SECOND, tmp_path / "var", "-L", "var")
    images.capture("two", path)
    assert len(json.loads(images.run("sbom", "two").out)["components"]) == 4


def test_packages_of_rpm_are_read_without_entering_the_image(tmp_path: Path) -> None:
    images = Images(tmp_path / "images")
    root = system(tmp_path / "root", {})
    shutil.rmtree(root / "var/lib/dpkg")
    spec = tmp_path / "tool.spec"
    spec.write_text(
        "Name: tool\nVersion: 1.0\nRelease: 1\nEpoch: 2\nSummary: A\nLicense: MIT\n"
        "BuildArch: noarch\n%description\nA\n%files\n"
    )
    run("rpmbuild", "-bb", "--define", f"_topdir {tmp_path}", spec)
    (root / "usr/lib/sysimage/rpm").mkdir(parents=True)
    database = (f"--root={root}", "--dbpath=/usr/lib/sysimage/rpm")
    run("rpm", *database, "--nodeps", "--install", tmp_path / "RPMS/noarch/tool-1.0-1.noarch.rpm")
    images.capture("rpm", disk(tmp_path / "disk", root))
    bill = json.loads(images.run("sbom", "rpm").out)
    assert [each.get("purl") for each in bill["components"]][1:] == [
        "pkg:rpm/debian/tool@1.0-1?arch=noarch&distro=debian-12&epoch=2"
    ]


def test_links_of_a_hostile_image_do_not_lead_out_of_it(tmp_path: Path) -> None:
    images = Images(tmp_path / "images")
    outside = system(tmp_path / "outside", {"secret": "1"})
    root = system(tmp_path / "root", {})
    for path in ("usr/lib/os-release", "var/lib/dpkg/status"):
        (root / path).unlink()
        (root / path).symlink_to(outside / path)
    os.mkfifo(root / "etc/pipe")
    os.mknod(root / "etc/device", 0o666 | 0o020000, os.makedev(1, 5))  # endless zeros
    images.capture("hostile", disk(tmp_path / "disk", root))
    done = images.run("sbom", "hostile")
    assert (done.status, done.out) == (1, "")
    assert "RW459" in done.err
    (root / "etc/motd").write_text("motd 2\n")
    images.capture("changed", disk(tmp_path / "disk", root))
    found = json.loads(images.run("diff", "hostile", "changed", "--format", "json").out)
    assert [each["path"] for each in found["files"]] == ["/etc/motd"]
    assert found["packages"] is None, "neither image has a database of its own"


def test_a_damaged_file_system_is_an_error_and_the_rest_is_compared(
    golden: Images, place: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(golden.folder / "first", tmp_path / "disk"))
    with path.open("r+b") as file:
        file.seek(FIRST[0] + 4096)
        file.write(b"\xff" * 4096)  # the group descriptors
    golden.capture("damaged", path)
    done = golden.run("diff", "golden", "damaged")
    assert done.status == 1
    assert "packages: not known\n" in done.out
    assert "not compared: the files of partition 1 were not compared: RW565" in done.out
    assert "  ~ partition 1: content" in done.out
    assert "RW459" in golden.run("sbom", "damaged").err
    with golden.mounted("damaged", place):
        assert list((place / "1").iterdir()) == []
        assert (place / "2/file").read_text() == "data\n"


@pytest.mark.parametrize("arguments", [("diff", "golden", "newer"), ("sbom", "golden")])
def test_who_is_not_root_is_told_so(golden: Images, arguments: tuple[str, ...]) -> None:
    nobody = ("setpriv", f"--reuid={NOBODY}", "--clear-groups", "--inh-caps=-all")
    done = golden.run(*arguments, inside=nobody)
    assert done.status == 1
    assert "RW997" in done.err
