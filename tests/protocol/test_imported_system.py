"""Whether clones of imported disks can get an identity: judged on the server as at a capture."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from agent.identity.linux.suitability import imaged_system
from agent.imaging import manifest as manifests
from agent.imaging.capture import capture
from agent.inspection.host_paths import HostPaths
from agent.wire.imaged_system import ImagedSystem
from providers.imaging.image_mount import in_private_mounts
from providers.imaging.store import ChunkStore
from tests.protocol.identity_disks import Rack, run
from tests.protocol.image_shell import ImageShell
from tests.protocol.imaging_disks import MemoryStore, ignore, loop

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

SUITABLE = ImagedSystem("Golden Linux", "1", "systemd", "systemd-networkd", ())
NAMESPACE = Path("/proc/thread-self/ns/mnt")
UNKNOWN = "whether a clone of it can get an identity of its own is unknown: "


@pytest.fixture
def import_file(tmp_path: Path) -> Callable[..., tuple[ImagedSystem | None, str]]:
    """Return a function that imports a file: what the image says, and the command's last line."""

    def imported(file: Path, *options: str) -> tuple[ImagedSystem | None, str]:
        shell = ImageShell(tmp_path)
        said = shell("import", file, "--name", "golden", *options)
        data = shell.store.get_manifest(shell.store.names.resolve("golden"))
        return manifests.decode(data).system, said.splitlines()[-1]

    return imported


Import = Callable[..., tuple[ImagedSystem | None, str]]


def test_an_import_finds_what_a_capture_finds(
    rack: Rack, golden: Path, import_file: Import, tmp_path: Path
) -> None:
    disk = rack.build(golden)
    assert import_file(rack.node) == (
        SUITABLE,
        "a clone of Golden Linux can get an identity of its own",
    )
    with loop(rack.node) as node:
        seen = evolve(disk, node=node)
        system = imaged_system(rack.paths.sysfs, seen)
        captured = capture(seen, MemoryStore(), ignore, system)
    digest = manifests.digest(manifests.encode(captured))
    assert ChunkStore(tmp_path / "state/store").names.resolve("golden") == digest


def test_an_import_says_what_keeps_clones_from_an_identity(
    rack: Rack, golden: Path, import_file: Import
) -> None:
    (golden / "usr/bin/python3.11").unlink()
    rack.build(golden)
    system, said = import_file(rack.node)
    assert system is not None
    assert [each.code for each in system.obstacles] == ["RW462"]
    assert said == (
        "no clone of Golden Linux can get an identity of its own: RW462: the system in the image "
        "lacks python3 of version 3.11 or newer"
    )


def test_what_this_kernel_does_not_mount_is_no_obstacle(
    rack: Rack, golden: Path, import_file: Import, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    run(["mkfs.ext4", "-q", str(other), "24M"])
    with other.open("r+b") as file:
        file.seek(1024 + 0x58)  # s_inode_size
        file.write(b"\3\0")
    part = tmp_path / "part"
    run(["mkfs.ext4", "-q", "-d", str(golden), str(part), "24M"])
    rack.assemble(part, other)
    assert import_file(rack.node) == (
        None,
        f"{UNKNOWN}partition 2 (ext4) cannot be mounted on this computer",
    )


def test_nobody_looks_without_the_right_to_mount_or_where_that_was_not_wanted(
    rack: Rack, golden: Path, import_file: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    rack.build(golden)
    assert import_file(rack.node, "--no-system") == (None, f"{UNKNOWN}that was not asked for")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert import_file(rack.node) == (None, f"{UNKNOWN}only root can mount its file systems")


def test_mounts_for_a_look_are_seen_by_nobody_else(tmp_path: Path) -> None:
    def look() -> tuple[Path, bool]:
        run(["mount", "-t", "tmpfs", "none", str(tmp_path)])
        (tmp_path / "inside").touch()
        return NAMESPACE.readlink(), (tmp_path / "inside").exists()

    here = NAMESPACE.readlink()
    there, inside = in_private_mounts(look)
    assert inside
    assert there != here == NAMESPACE.readlink()
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_a_files_name_has_no_meaning(rack: Rack, golden: Path, import_file: Import) -> None:
    """Not even that of a disk of this computer, of which the kernel has another view."""
    rack.build(golden)
    block = next(HostPaths().sysfs.glob("class/block/*/*/partition"), None)
    name = block.parent.parent.name if block else "sda"
    file = rack.node.with_name(name)
    rack.node.rename(file)
    assert import_file(file)[0] == SUITABLE
