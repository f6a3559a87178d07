from pathlib import Path

import pytest

from agent.imaging.errors import RefusedDiskError
from agent.imaging.occupancy import disk_ids, mounts_of, occupants, partition_node, swaps_on
from agent.imaging.refusal import Seen, in_use, refuse_other_disk, refuse_target
from agent.wire.disk import Disk, DiskIdentity

SEEN = Seen(size=200, sector_size=512, read_only=False)


def disk(**identity: object) -> Disk:
    values = {"wwn": "", "serial": "", "path": "pci-0000:00:04.0", "size": 200, **identity}
    return Disk(
        identity=DiskIdentity(**values),  # type: ignore[arg-type]
        node="/dev/vda",
        model="",
        sector_size=512,
        table="",
        removable=False,
        read_only=False,
    )


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (
            Seen(size=199, sector_size=512, read_only=False),
            (
                "RW412: the image needs 200 bytes, /dev/vda has 199 bytes. "
                "Choose a disk that is at least as large as the captured one, or restore a "
                "smaller image (`rackwright image shrink`)."
            ),
        ),
        (
            Seen(size=200, sector_size=4096, read_only=False),
            (
                "RW413: the image has 512-byte sectors, /dev/vda has 4096-byte sectors. "
                "Restore to a disk with the image's sector size; "
                "partition tables and file systems depend on it."
            ),
        ),
        (
            Seen(size=200, sector_size=512, read_only=True),
            (
                "RW411: /dev/vda is read-only, a restore must write to it. "
                "Take the write protection off or choose another disk."
            ),
        ),
    ],
)
def test_an_unfit_target_is_refused_with_both_values(seen: Seen, text: str) -> None:
    with pytest.raises(RefusedDiskError) as caught:
        refuse_target("/dev/vda", seen, size=200, sector_size=512)
    assert str(caught.value) == text


def test_a_fitting_target_is_not_refused() -> None:
    refuse_target("/dev/vda", SEEN, size=200, sector_size=512)
    refuse_target(
        "/dev/vda", Seen(size=999, sector_size=512, read_only=False), size=200, sector_size=512
    )


@pytest.mark.parametrize(
    ("identity", "seen", "text"),
    [
        (
            {"size": 300},
            SEEN,
            (
                "RW414: /dev/vda is another disk: a size in bytes of 300 was inspected, "
                "it now has 200. Inspect the machine's disks again and plan anew."
            ),
        ),
        (
            {"serial": "S4EVNF0M"},
            Seen(200, 512, read_only=False, serial="S4EVNF0N"),
            (
                "RW414: /dev/vda is another disk: the serial S4EVNF0M was inspected, "
                "it now has S4EVNF0N. Inspect the machine's disks again and plan anew."
            ),
        ),
        (
            {"wwn": "0x5000c500a1b2c3d4"},
            Seen(200, 512, read_only=False, wwn="naa.5000c500ffffffff"),
            (
                "RW414: /dev/vda is another disk: the WWN 0x5000c500a1b2c3d4 was inspected, "
                "it now has naa.5000c500ffffffff. Inspect the machine's disks again and plan anew."
            ),
        ),
    ],
)
def test_another_disk_is_refused_with_both_values(
    identity: dict[str, object], seen: Seen, text: str
) -> None:
    with pytest.raises(RefusedDiskError) as caught:
        refuse_other_disk(disk(**identity), seen)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("identity", "seen"),
    [
        ({}, SEEN),
        ({"serial": "S4EVNF0M"}, SEEN),  # the kernel does not show every disk's serial
        ({"serial": "S4EVNF0M"}, Seen(200, 512, read_only=False, serial="  s4evnf0m ")),
        (
            {"wwn": "0x5000c500a1b2c3d4"},
            Seen(200, 512, read_only=False, wwn="naa.5000c500a1b2c3d4"),
        ),
        ({"wwn": "eui.0025385a71b0"}, Seen(200, 512, read_only=False, wwn="eui.0025385A71B0")),
    ],
)
def test_the_same_disk_is_recognised_however_its_ids_are_written(
    identity: dict[str, object], seen: Seen
) -> None:
    refuse_other_disk(disk(**identity), seen)


def test_the_refusal_of_a_used_disk_says_what_uses_it() -> None:
    assert str(in_use("/dev/vda", ("vda1 mounted at /boot", "vda2 used as swap"))) == (
        "RW410: /dev/vda is in use: vda1 mounted at /boot, vda2 used as swap. "
        "Unmount it or stop what uses it, then try again."
    )
    assert "another program holds it" in str(in_use("/dev/vda", ()))


MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 254:2 / /mnt/two\\040words rw,relatime shared:2 master:1 - ext4 /dev/vda2 rw
25 22 0:40 /@home /home rw - btrfs /dev/vda3 rw,subvol=/@home
26 22 254:16 / /srv rw - ext4 /dev/vdb rw
garbage
"""


def test_mounts_are_found_by_device_number_and_for_btrfs_by_source() -> None:
    names = {"254:0": "vda", "254:1": "vda1", "254:2": "vda2", "254:3": "vda3"}
    assert mounts_of(MOUNTINFO, names) == (
        "vda1 mounted at /",
        "vda2 mounted at /mnt/two words",
        "vda3 mounted at /home",
    )


def test_swap_is_found() -> None:
    swaps = "Filename\t\t\t\tType\t\tSize\n/dev/vda2                               partition\t8\n"
    assert swaps_on(swaps, ["vda1", "vda2"]) == ("vda2 used as swap",)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A /sys and /proc with a disk of two partitions and a loop device over a file."""
    for name, number in (("vda", "254:0"), ("vda/vda1", "254:1"), ("vda/vda2", "254:2")):
        folder = tmp_path / "sys/class/block" / name
        folder.mkdir(parents=True)
        (folder / "dev").write_text(number + "\n")
    for name, start, size in (("vda1", 2048, 100), ("vda2", 4096, 200)):
        folder = tmp_path / "sys/class/block/vda" / name
        (folder / "partition").write_text(name[-1])
        (folder / "start").write_text(f"{start}\n")
        (folder / "size").write_text(f"{size}\n")
    (tmp_path / "sys/class/block/vda/vda2/holders/dm-0").mkdir(parents=True)
    (tmp_path / "sys/class/block/vda/serial").write_text("QM00001\n")
    (tmp_path / "sys/class/block/vda/wwid").write_text("naa.5000c500a1b2c3d4\n")
    loop = tmp_path / "sys/block/loop0"
    (loop / "loop").mkdir(parents=True)
    (loop / "dev").write_text("7:0\n")
    (loop / "loop/backing_file").write_text("/srv/disk.img\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        MOUNTINFO + "27 22 7:0 / /loop rw - ext4 /dev/loop0 rw\n"
    )
    return tmp_path


def test_everything_that_uses_a_disk_is_named(system: Path) -> None:
    found = occupants("/dev/vda", sys=system / "sys", proc=system / "proc")
    assert found == (
        "vda1 mounted at /",
        "vda2 mounted at /mnt/two words",
        "vda2 held by dm-0",
    )


def test_a_file_is_in_use_while_a_loop_device_over_it_is_mounted(system: Path) -> None:
    sys, proc = system / "sys", system / "proc"
    assert occupants("/srv/disk.img", sys=sys, proc=proc) == ("loop0 mounted at /loop",)
    assert occupants("/srv/other.img", sys=sys, proc=proc) == ()


def test_ids_and_partition_nodes_come_from_the_kernel(system: Path) -> None:
    sys = system / "sys"
    assert disk_ids("/dev/vda", sys=sys) == ("QM00001", "naa.5000c500a1b2c3d4")
    assert disk_ids("/dev/vdb", sys=sys) == ("", "")
    assert partition_node("/dev/vda", 4096 * 512, 200 * 512, sys=sys) == "/dev/vda2"
    assert partition_node("/dev/vda", 4096 * 512, 201 * 512, sys=sys) is None


def test_an_ata_identifier_is_no_wwn(system: Path) -> None:
    (system / "sys/class/block/vda/wwid").write_text("t10.ATA     QEMU HARDDISK   QM00001\n")
    assert disk_ids("/dev/vda", sys=system / "sys")[1] == ""
