import dataclasses
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.deploy_os import mmdebstrap
from providers.lab.golden import grub, mke2fs, root_tar
from providers.lab.golden.disk import make_blank
from providers.lab.golden.identity import DiskIdentity
from providers.lab.golden.partition_table import layout, sfdisk_script
from providers.lab.golden.recipe import DEBIAN12

GIB = 1 << 30
MIB_SECTORS = 2048
UUID = "af87f219-6ea9-4715-a42f-a8ef0c9d3cb2"
IDENTITY = DiskIdentity("golden", "0" * 32, UUID, "1a2b3c4d", "ssh-ed25519 AAAA rack\n")


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("ip", "iproute2"),
        ("openssl", "openssl"),
        ("python3", "python3"),
        ("sfdisk", "fdisk"),
        ("ssh-keygen", "openssh-server"),
        ("systemctl", "systemd-sysv"),
    ],
)
def test_the_golden_system_has_what_an_agent_runs(program, package):
    assert package in DEBIAN12.packages, f"nothing brings {program}"


def test_a_gpt_disk_boots_by_bios_and_by_uefi():
    plan = layout("gpt", 3 * GIB)
    assert sfdisk_script(plan.table, plan.partitions) == (
        "label: gpt\n"
        "unit: sectors\n"
        'start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name="bios-boot"\n'
        'start=4096, size=131072, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="esp"\n'
        'start=135168, size=6154240, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"\n'
    )


def test_an_mbr_disk_has_one_partition_and_a_gap_for_grub():
    plan = layout("mbr", 3 * GIB)
    assert sfdisk_script(plan.table, plan.partitions) == (
        "label: dos\nunit: sectors\nstart=2048, size=6289408, type=83, bootable\n"
    )
    assert (plan.boot_code_start, plan.boot_code_length, plan.esp) == (1, 2047, None)


@given(st.sampled_from(["gpt", "mbr"]), st.integers(GIB, 64 * GIB))
def test_partitions_lie_on_the_disk_side_by_side_at_whole_mib(table, size):
    plan = layout(table, size)
    backup = 33 if table == "gpt" else 0
    end = 1
    for partition in plan.partitions:
        assert partition.start % MIB_SECTORS == 0
        assert partition.start >= end
        assert partition.length > 0
        end = partition.start + partition.length
    assert end <= size // 512 - backup
    assert plan.boot_code_start + plan.boot_code_length <= plan.root.start


def test_the_boot_sector_keeps_what_belongs_to_the_disk():
    boot_image = bytes([0xEB]) + bytes([0x11]) * 509 + b"\x55\xaa"
    old = bytes([0x22]) * 512
    sector = grub.boot_sector(boot_image, old, 2048)
    assert len(sector) == 512
    assert sector[:3] == boot_image[:3]
    assert sector[0x03:0x5A] == old[0x03:0x5A]
    assert struct.unpack_from("<Q", sector, 0x5C) == (2048,)
    assert sector[0x66:0x68] == b"\x90\x90"
    assert sector[0x68:0x1B8] == boot_image[0x68:0x1B8]
    assert sector[0x1B8:0x1FE] == old[0x1B8:0x1FE]
    assert sector[0x1FE:] == b"\x55\xaa"


def test_the_core_image_knows_where_its_second_sector_is():
    core = bytes(0x1F4) + struct.pack("<QHH", 0, 61, 0x820) + bytes(1024)
    located = grub.located_core(core, 2048)
    assert struct.unpack_from("<QHH", located, 0x1F4) == (2049, 61, 0x820)
    assert located[:0x1F4] + located[0x200:] == core[:0x1F4] + core[0x200:]


def test_a_core_image_that_overflows_its_gap_is_not_written(tmp_path):
    disk = tmp_path / "disk.raw"
    make_blank(disk, 1 << 20)
    with pytest.raises(ValueError, match=r"^the GRUB core image has 3 sectors, the gap 2$"):
        grub.write_bios_boot(disk, bytes(1025), 1, 2)
    assert disk.read_bytes() == bytes(1 << 20)


def test_every_boot_loader_finds_the_root_by_its_uuid():
    assert grub.finder(UUID) == (
        f"search --no-floppy --fs-uuid --set=root {UUID}\nset prefix=($root)/boot/grub\n"
    )
    menu = grub.menu(UUID)
    assert "set timeout=0\n" in menu
    assert f"linux /vmlinuz root=UUID={UUID} ro console=tty0 console=ttyS0,115200n8\n" in menu


def test_the_file_system_is_one_that_grub_reads_and_the_kernel_does_not_finish():
    plan = layout("mbr", GIB)
    argv = mke2fs.arguments(Path("disk.raw"), plan.root, UUID, Path("tree"))
    assert argv[argv.index("-O") + 1] == "^metadata_csum_seed,^orphan_file"
    assert argv[argv.index("-E") + 1] == "offset=1048576,nodiscard,lazy_itable_init=0"
    assert argv[-2:] == ["disk.raw", str((GIB - 2**20) // 4096)]


def test_an_identity_is_in_its_files():
    files = IDENTITY.files(with_esp=True)
    assert files["/etc/hostname"] == "golden\n"
    assert files["/etc/machine-id"] == "0" * 32 + "\n"
    assert files["/etc/fstab"] == (
        f"UUID={UUID} / ext4 errors=remount-ro 0 1\n"
        "UUID=1A2B-3C4D /boot/efi vfat umask=0077,noauto 0 0\n"
    )
    assert files["/root/.ssh/authorized_keys"] == "ssh-ed25519 AAAA rack\n"


def test_a_disk_without_esp_mounts_none():
    assert "/boot/efi" not in IDENTITY.files(with_esp=False)["/etc/fstab"]


def test_two_disks_share_no_identity():
    first, second = (DiskIdentity.random("golden", "") for _ in range(2))
    assert first.machine_id != second.machine_id
    assert first.root_uuid != second.root_uuid
    assert len(first.machine_id) == 32
    assert len(first.esp_volume_id) == 8


def test_the_recipe_has_what_an_agent_and_a_clone_need():
    assert {"openssh-server", "openssl", "python3", "iproute2"} <= set(DEBIAN12.packages)
    assert DEBIAN12.links["/etc/systemd/system/fstrim.timer"] == "/dev/null"


def test_any_change_of_a_recipe_is_another_recipe():
    changes = [
        dataclasses.replace(DEBIAN12, packages=(*DEBIAN12.packages, "vim")),
        dataclasses.replace(DEBIAN12, files={**DEBIAN12.files, "/etc/motd": "hello"}),
        dataclasses.replace(DEBIAN12, links={}),
    ]
    assert len({recipe.digest for recipe in [DEBIAN12, *changes]}) == 4
    assert dataclasses.replace(DEBIAN12).digest == DEBIAN12.digest


def test_the_overlay_goes_in_before_the_kernel_builds_its_ram_disk():
    argv = mmdebstrap.tar_arguments(
        DEBIAN12.suite,
        Path("/cache/root.tar"),
        packages=DEBIAN12.packages,
        excluded_paths=DEBIAN12.excluded_paths,
        overlay=Path("/scratch/overlay"),
        sources=DEBIAN12.sources,
    )
    assert argv[argv.index("mmdebstrap") :][:2] == ["mmdebstrap", "--mode=root"]
    assert "--essential-hook=sync-in /scratch/overlay /" in argv
    assert argv[-4:] == ["bookworm", "/cache/root.tar", *DEBIAN12.sources]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("I: downloading packages with apt...\n", "downloading packages with apt..."),
        ("Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]\n", None),
        ("W: I: said nothing\n", None),
        ("", None),
    ],
)
def test_only_messages_of_mmdebstrap_are_progress(line, text):
    assert root_tar.progress_text(line) == text


def test_the_overlay_is_laid_out_with_modes_and_links(tmp_path):
    root_tar.lay_out(DEBIAN12, tmp_path)
    script = tmp_path / "usr/local/sbin/show-identity"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    unit = tmp_path / "etc/systemd/system/show-identity.service"
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644
    assert str((tmp_path / "etc/systemd/system/fstrim.timer").readlink()) == "/dev/null"


def test_a_blank_disk_takes_no_space(tmp_path):
    disk = tmp_path / "disk.raw"
    make_blank(disk, 4 * GIB)
    assert disk.stat().st_size == 4 * GIB
    assert disk.stat().st_blocks == 0
