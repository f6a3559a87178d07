"""Systems whose root lies on LVM: real metadata, real file systems, disks that are files."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.commands import dmsetup
from agent.commands.blkid import probe
from agent.errors import TerminalError
from agent.identity.linux.installed_config import installed_config_on
from agent.imaging.capture import capture
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent
from agent.imaging.lvm_disk import refuse_clash
from agent.imaging.manifest import Manifest
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem
from tests.protocol.identity_disks import CONFIG, MIB, NEW, START, Rack, run
from tests.protocol.imaging_disks import MemoryStore, blank, described, ignore, loop
from tests.protocol.lvm_disks import (
    THIN_POOL,
    Lvm,
    hidden,
    lvm,
    rewrite,
    with_volumes,
    write_volume,
)

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

NO_ROOT = "no Linux root file system was found on the disk"
ON_LVM = ImagedSystem("Golden Linux", "vg/root", "systemd", "systemd-networkd", ())
SIZE = 32
"""MiB of a volume's file system."""


@contextmanager
def physical(part: Path, *, size: int = 160, group: str = "vg") -> Iterator[Lvm]:
    """Make a physical volume with an empty group in a file and provide LVM's tools for it."""
    blank(part, size * MIB)
    with lvm(part, Extent(0, size * MIB)) as tools:
        tools("pvcreate", tools.nodes[0])
        tools("vgcreate", group, tools.nodes[0])
        yield tools


def file_system(image: Path, content: Path, label: str = "") -> Path:
    run(["mkfs.ext4", "-q", "-L", label, "-d", str(content), str(image), f"{SIZE}M"])
    return image


def fill(part: Path, tools: Lvm, name: str, content: Path, group: str = "vg") -> None:
    """Make an ext4 of a tree in a volume; it has the volume's name as its label."""
    image = file_system(part.with_name(f"{name}.ext4"), content, name)
    write_volume(part, tools.pieces(group, name), image)
    image.unlink()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "part"


def one_piece(part: Path, golden: Path, fstab: str = "/dev/mapper/vg-root / ext4\n") -> Path:
    """A group with root and swap."""
    (golden / "etc/fstab").write_text(fstab)
    with physical(part) as tools:
        tools.create("vg", "swap", "8M")
        tools.create("vg", "root", f"{SIZE}M")
        fill(part, tools, "root", golden)
    return part


def two_pieces(part: Path, golden: Path) -> Path:
    """A root that was made larger after another volume had come behind it."""
    (golden / "etc/fstab").write_text("/dev/vg/root / ext4\n")
    with physical(part) as tools:
        tools.create("vg", "root", "16M")
        tools.create("vg", "swap", "8M")
        tools("lvextend", "-L", f"{SIZE}M", "vg/root")
        assert len(tools.pieces("vg", "root")) == 2
        fill(part, tools, "root", golden)
    return part


def outside(rack: Rack, start: int, length: int) -> tuple[bytes, bytes]:
    data = rack.node.read_bytes()
    return data[:start], data[start + length :]


def only_obstacle(found: ImagedSystem) -> tuple[str, str]:
    (obstacle,) = found.obstacles
    return obstacle.code, obstacle.cause


@contextmanager
def opened(rack: Rack, piece: Extent, folder: Path) -> Iterator[Path]:
    """Mount what lies in a piece of the disk's only partition."""
    folder.mkdir(exist_ok=True)
    place = f"offset={START + piece.offset},sizelimit={piece.length}"
    run(["mount", "-o", f"ro,loop,{place}", str(rack.node), str(folder)])
    try:
        yield folder
    finally:
        run(["umount", str(folder)])


def test_a_root_on_lvm_becomes_this_machines_and_nothing_else_changes(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    one_piece(part, golden)
    with lvm(part, Extent(0, 160 * MIB)) as tools:
        (piece,) = tools.pieces("vg", "root")
    disk = rack.assemble(part)
    assert rack.look(disk) == ON_LVM
    before = outside(rack, START + piece.offset, piece.length)
    assert rack.apply(disk)["root"] == "vg/root"
    assert outside(rack, START + piece.offset, piece.length) == before
    with opened(rack, piece, tmp_path / "mnt") as root:
        assert (root / "etc/hostname").read_text() == "node-0713\n"
        assert (root / "etc/machine-id").read_text() == NEW.machine_id + "\n"
        assert (root / "usr/lib/rackwright/agent/service.py").is_file()
    assert installed_config_on(rack.paths.sysfs, disk) == CONFIG


def test_a_group_of_the_same_name_on_another_disk_has_no_part_in_it(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    """The kernel shows the other disk meanwhile, which is a copy of the captured one."""
    one_piece(part, golden)
    leftover = tmp_path / "leftover"
    run(["cp", "--sparse=always", str(part), str(leftover)])
    before = leftover.read_bytes()
    disk = rack.assemble(part)
    with loop(leftover):
        assert rack.look(disk) == ON_LVM
        rack.apply(disk)
    assert leftover.read_bytes() == before


NAMES = [
    "/dev/disk/by-id/dm-uuid-LVM-{group}{volume}",
    pytest.param("UUID={uuid}", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_var_on_a_volume_of_its_own_is_found(
    rack: Rack, golden: Path, part: Path, tmp_path: Path, name: str
) -> None:
    (golden / "var").rename(tmp_path / "var")
    (golden / "var").mkdir()
    with physical(part) as tools:
        for volume in ("root", "var"):
            tools.create("vg", volume, f"{SIZE}M")
        fill(part, tools, "var", tmp_path / "var")
        (piece,) = tools.pieces("vg", "var")
        fields = ("vg_uuid,lv_uuid", "--noheadings", "--separator", ",", "vg/var")
        group, volume = tools("lvs", "-o", *fields).strip().replace("-", "").split(",")
        uuid = probe(part, *piece).uuid
        source = name.format(group=group, volume=volume, uuid=uuid)
        (golden / "etc/fstab").write_text(f"/dev/vg/root / ext4\n{source} /var ext4\n")
        fill(part, tools, "root", golden)
    disk = rack.assemble(part)
    assert rack.look(disk) == ON_LVM
    rack.apply(disk)
    with opened(rack, piece, tmp_path / "mnt") as var:
        assert not (var / "lib/rackwright").exists()
        assert not (var / "lib/systemd/random-seed").exists()


@pytest.mark.nightly
def test_a_usr_on_a_partition_beside_a_root_on_lvm(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    (golden / "usr").rename(tmp_path / "usr")
    (golden / "usr").mkdir()
    one_piece(part, golden, "/dev/vg/root / ext4\nPARTLABEL=Linux\\0401 /usr ext4\n")
    usr = file_system(tmp_path / "usr.ext4", tmp_path / "usr")
    disk = rack.assemble(part, usr)
    assert rack.look(disk) == ON_LVM
    rack.apply(disk)


def test_a_root_in_two_pieces_is_looked_into(rack: Rack, golden: Path, part: Path) -> None:
    assert rack.look(rack.assemble(two_pieces(part, golden))) == ON_LVM


def test_a_root_in_two_pieces_is_not_changed_without_device_mapper(
    rack: Rack, golden: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = rack.assemble(two_pieces(part, golden))
    monkeypatch.setattr(dmsetup, "is_there", lambda: False)
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert (caught.value.code, caught.value.cause) == (
        "RW465",
        (
            "a volume of LVM cannot be mounted: it lies in 2 pieces, which this machine cannot put "
            "together without device-mapper"
        ),
    )
    assert rack.digest() == before


def thin(part: Path, tools: Lvm) -> str:
    parts = {"tmeta": "pool_tmeta", "tdata": "pool_tdata"}
    for name, size in zip(parts, ("4M", "40M"), strict=True):
        tools.create("vg", name, size)
    added = THIN_POOL.format(count=10)
    rewrite(tools, "vg", part.parent, lambda text: with_volumes(hidden(text, parts), added))
    no_map = "there is no map of used blocks for LVM volumes of the type"
    return (
        f"volume vg/pool is not looked into: {no_map} thin-pool; "
        f"volume vg/thin is not looked into: {no_map} thin"
    )


def encrypted(part: Path, tools: Lvm) -> str:
    tools.create("vg", "root", "16M")
    (piece,) = tools.pieces("vg", "root")
    header = b"LUKS\xba\xbe\0\1" + b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0")
    with part.open("r+b") as file:
        file.seek(piece.offset)
        file.write(header.ljust(168, b"\0") + b"01234567-89ab-cdef-0123-456789abcdef\0")
    return "volume vg/root is LUKS encryption, which is not looked into"


def exported(_part: Path, tools: Lvm) -> str:
    tools.create("vg", "root", "16M")
    tools("vgexport", "vg")
    return "partition 1 is LVM that is not understood: its LVM volume group vg is exported"


@pytest.mark.parametrize(
    "make", [thin, encrypted, pytest.param(exported, marks=pytest.mark.nightly)]
)
def test_what_cannot_be_opened_is_an_obstacle_that_is_named(
    rack: Rack, part: Path, make: Callable[[Path, Lvm], str]
) -> None:
    with physical(part) as tools:
        cause = make(part, tools)
    disk = rack.assemble(part)
    found = only_obstacle(rack.look(disk))
    assert found == ("RW460", f"{NO_ROOT} (gpt, 1 partition: LVM2_member): {cause}")
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert (caught.value.code, caught.value.cause) == found
    assert rack.digest() == before


def test_a_root_that_reaches_to_another_disk_is_an_obstacle(
    rack: Rack, part: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    blank(both, 128 * MIB)
    with lvm(both, Extent(0, 64 * MIB), Extent(64 * MIB, 64 * MIB)) as tools:
        for node in tools.nodes:
            tools("pvcreate", node)
        tools("vgcreate", "vg", *tools.nodes)
        tools.create("vg", "root", "100M")
    with part.open("wb") as first:
        first.write(both.read_bytes()[: 64 * MIB])
    assert only_obstacle(rack.look(rack.assemble(part))) == (
        "RW460",
        (
            f"{NO_ROOT} (gpt, 1 partition: LVM2_member): volume vg/root is not looked into: a "
            "part of it lies in an LVM physical volume that is not on this disk"
        ),
    )


def test_the_system_of_a_guest_is_not_taken_for_the_machines(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    """Beside a root on a partition, and beside one on LVM that its own fstab names."""
    one_piece(part, golden)
    (golden / "etc/fstab").write_text("/dev/xvda1 / ext4\n")
    with lvm(part, Extent(0, 160 * MIB)) as tools:
        tools.create("vg", "guest", f"{SIZE}M")
        fill(part, tools, "guest", golden)
        tools.create("vg", "broken", "16M")
        (piece,) = tools.pieces("vg", "broken")
    damaged = tmp_path / "broken"
    run(["mkfs.ext4", "-q", str(damaged), "16M"])
    with damaged.open("r+b") as file:
        file.seek(1024 + 0x58)  # s_inode_size
        file.write(b"\3\0")
    write_volume(part, [piece], damaged)
    assert rack.look(rack.assemble(part)) == ON_LVM


def test_of_two_systems_of_which_both_call_themselves_the_root_none_is_chosen(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    one_piece(part, golden)
    (golden / "etc/fstab").write_text("LABEL=plain / ext4\n")
    plain = file_system(tmp_path / "plain", golden, "plain")
    assert only_obstacle(rack.look(rack.assemble(plain, part))) == (
        "RW461",
        "the disk holds several root file systems (partition 1, volume vg/root)",
    )


def test_beside_a_volume_that_cannot_be_mounted_only_one_that_calls_itself_the_root_counts(
    rack: Rack, golden: Path, part: Path
) -> None:
    one_piece(part, golden, "")
    with lvm(part, Extent(0, 160 * MIB)) as tools:
        tools.create("vg", "broken", "16M")
        (piece,) = tools.pieces("vg", "broken")
    image = part.with_name("broken")
    run(["mkfs.ext4", "-q", str(image), "16M"])
    with image.open("r+b") as file:
        file.seek(1024 + 0x58)
        file.write(b"\3\0")
    write_volume(part, [piece], image)
    assert only_obstacle(rack.look(rack.assemble(part))) == (
        "RW465",
        "volume vg/broken (ext4) cannot be mounted",
    )


def groups_seen(node: str, system_dir: Path) -> str:
    """Return the groups that LVM sees on a device with the configuration of a system."""
    settings = (
        f'devices {{ filter=[ "a|^{node}$|", "r|.*|" ] use_devicesfile=1 '
        'obtain_device_list_from_udev=0 external_device_info_source="none" }'
    )
    done = subprocess.run(
        ["vgs", "--config", settings, "--driverloaded", "n", "--noheadings", "-o", "vg_name"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "LVM_SYSTEM_DIR": str(system_dir), "LVM_SUPPRESS_FD_WARNINGS": "1"},
    )
    return done.stdout.strip()


def test_lvms_list_of_the_golden_machines_disks_goes(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    """Otherwise LVM would not see the clone's disk, and the clone not find its root."""
    devices = golden / "etc/lvm/devices"
    devices.mkdir(parents=True)
    listed = "VERSION=1.1.1\nIDTYPE=sys_serial IDNAME=GOLDEN-1 DEVNAME=/dev/sda2 PVID=none PART=2\n"
    (devices / "system.devices").write_text(listed)
    disk = rack.assemble(one_piece(part, golden))
    (piece,) = the_only_piece(rack)
    with opened(rack, piece, tmp_path / "mnt") as root, physical_of(rack) as node:
        assert groups_seen(node, root / "etc/lvm") == ""
    rack.apply(disk)
    with opened(rack, piece, tmp_path / "mnt") as root, physical_of(rack) as node:
        kept = root / "etc/rackwright/replaced/etc/lvm/devices/system.devices"
        assert kept.read_text().strip() == listed.strip()
        assert groups_seen(node, root / "etc/lvm") == "vg"


def the_only_piece(rack: Rack) -> list[Extent]:
    with lvm(rack.node, Extent(START, 160 * MIB)) as tools:
        return [Extent(piece.offset - START, piece.length) for piece in tools.pieces("vg", "root")]


@contextmanager
def physical_of(rack: Rack) -> Iterator[str]:
    place = ("--offset", str(START), "--sizelimit", str(160 * MIB))
    with loop(rack.node, *place) as node:
        yield node


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ("uname", ["RW462"]),
        pytest.param("machineid", ["RW462"], marks=pytest.mark.nightly),
        pytest.param("lvmlocal", [], marks=pytest.mark.nightly),
    ],
)
def test_a_group_that_lvm_keeps_for_the_golden_machines_name_is_an_obstacle(
    rack: Rack, golden: Path, part: Path, source: str, codes: list[str]
) -> None:
    (golden / "etc/lvm").mkdir()
    (golden / "etc/lvm/lvm.conf").write_text(
        f'global {{\n\t# system_id_source = "uname"\n\tsystem_id_source = "{source}"\n}}\n'
    )
    one_piece(part, golden)
    with lvm(part, Extent(0, 160 * MIB)) as tools:
        tools("vgchange", "--yes", "--systemid", "golden", "vg")
    found = rack.look(rack.assemble(part))
    assert [each.code for each in found.obstacles] == codes
    for each in found.obstacles:
        assert "LVM keeps it for the system ID golden, which is made of the " in each.cause


def image_of(disk: Disk) -> Manifest:
    return capture(disk, MemoryStore(), ignore)


def test_an_image_is_not_put_beside_a_copy_of_its_group_or_another_of_its_name(
    rack: Rack, golden: Path, part: Path, tmp_path: Path
) -> None:
    one_piece(part, golden)
    copy = tmp_path / "copy"
    run(["cp", "--sparse=always", str(part), str(copy)])
    image = image_of(rack.assemble(part))
    others = {"copy": copy}
    for name, group in (("same-name", "vg"), ("other", "data")):
        others[name] = tmp_path / name
        with physical(others[name], group=group) as tools:
            tools.create(group, "root", "16M")
    target = described(blank(tmp_path / "target", 8 * MIB))

    def clash(name: str) -> str:
        with pytest.raises(RefusedDiskError) as caught:
            refuse_clash(image, target, [target, described(others[name])])
        assert caught.value.code == "RW463"
        return caught.value.cause.partition(" of the image is on ")[0]

    assert clash("copy") == "a copy of an LVM volume group"
    assert clash("same-name") == "an LVM volume group with the name of one"
    refuse_clash(image, target, [target, described(others["other"])])


def test_disks_of_one_group_may_be_restored_beside_each_other(tmp_path: Path) -> None:
    both = tmp_path / "both"
    blank(both, 128 * MIB)
    with lvm(both, Extent(0, 64 * MIB), Extent(64 * MIB, 64 * MIB)) as tools:
        for node in tools.nodes:
            tools("pvcreate", node)
        tools("vgcreate", "vg", *tools.nodes)
        for name, node in zip("ab", tools.nodes, strict=True):
            tools.create("vg", name, "16M", node)
    disks = []
    for number, name in enumerate("ab"):
        disks.append(tmp_path / name)
        disks[-1].write_bytes(both.read_bytes()[number * 64 * MIB :][: 64 * MIB])
    first, second = map(described, disks)
    target = described(blank(tmp_path / "target", 8 * MIB))
    refuse_clash(image_of(first), target, [target, second])
    with pytest.raises(RefusedDiskError):
        refuse_clash(image_of(first), target, [target, first])
