"""What the agent reads from captured trees of /sys and captured output of commands."""

import json
from pathlib import Path

import pytest

from agent.commands.blkid import Signature, parse_signature
from agent.commands.ip import parse_addresses
from agent.commands.sfdisk import PartitionTable, TableEntry, parse_table
from agent.errors import TerminalError
from agent.inspection.disk_content import summary
from agent.inspection.disks import inspect_disks
from agent.inspection.hardware import (
    count_in_list,
    cpu_count,
    firmware_kind,
    inspect_hardware,
    memory_bytes,
    physical_macs,
    secure_boot_enabled,
    usable_text,
    usable_uuid,
)
from agent.inspection.hardware_path import hardware_path
from agent.inspection.host_keys import fingerprint, host_key_fingerprints
from agent.inspection.host_paths import HostPaths
from agent.inspection.installed_system import parse_os_release, pretty_name
from agent.machine import uptime_seconds
from agent.wire.disk import Partition
from reconciler.views.disk_layout import describe
from tests.unit.agent_sysfs import (
    EMMC,
    FC,
    ISCSI,
    NVME,
    NVME_FABRIC,
    SATA,
    USB,
    VIRTIO,
    VIRTIO_SCSI,
    XEN,
    add_disk,
    add_interface,
    write_tree,
)

GIB = 1024**3


def smbios(sysfs: Path) -> tuple[str, str, str, str]:
    found = inspect_hardware(HostPaths(sysfs=sysfs, proc=sysfs))
    return found.uuid, found.serial, found.vendor, found.product


def test_smbios_is_read_with_the_uuid_in_lower_case(tmp_path: Path) -> None:
    write_tree(
        tmp_path / "class/dmi/id",
        {
            "product_uuid": "4C4C4544-0042-3510-8052-B4C04F4E4A32",
            "product_serial": "7B5R4N2",
            "sys_vendor": "Dell Inc.",
            "product_name": "PowerEdge R640",
        },
    )
    assert smbios(tmp_path) == (
        "4c4c4544-0042-3510-8052-b4c04f4e4a32",
        "7B5R4N2",
        "Dell Inc.",
        "PowerEdge R640",
    )


def test_a_machine_without_smbios_has_empty_fields(tmp_path: Path) -> None:
    assert smbios(tmp_path) == ("", "", "", "")


@pytest.mark.parametrize(
    "text",
    ["Not Settable", "", "4c4c4544", "4c4c4544-0042-3510-8052-b4c04f4e4a3g"],
)
def test_what_is_no_uuid_is_none(text: str) -> None:
    assert usable_uuid(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "To Be Filled By O.E.M.",
        "Default string",
        "System Serial Number",
        "None",
        "0",
        "00000000",
        "123456789",
        "Not Specified",
        "...",
        "N/A",
    ],
)
def test_a_placeholder_is_no_serial(text: str) -> None:
    assert usable_text(text) == ""


@pytest.mark.parametrize("text", ["7B5R4N2", "0123-4567", "1234567", "None of the above"])
def test_a_real_serial_is_kept(text: str) -> None:
    assert usable_text(text) == text


def test_only_physical_ethernet_counts_and_the_boot_nic_comes_first(tmp_path: Path) -> None:
    real = {"device/vendor": "0x8086"}
    add_interface(tmp_path, "eno1", {"address": "AA:00:00:00:00:01", **real})
    add_interface(tmp_path, "eno2", {"address": "aa:00:00:00:00:02", **real})
    add_interface(tmp_path, "br0", {"address": "aa:00:00:00:00:01"})
    add_interface(tmp_path, "ib0", {"address": "80:00:02:08:fe:80", "type": "32", **real})
    add_interface(
        tmp_path, "eno1v0", {"address": "aa:00:00:00:00:03", "device/physfn/vendor": "1", **real}
    )
    add_interface(
        tmp_path,
        "eno3",
        {"address": "aa:00:00:00:00:02", "bonding_slave/perm_hwaddr": "aa:00:00:00:00:04", **real},
    )
    assert physical_macs(tmp_path) == (
        "aa:00:00:00:00:01",
        "aa:00:00:00:00:02",
        "aa:00:00:00:00:04",
    )
    assert physical_macs(tmp_path, "aa:00:00:00:00:04")[0] == "aa:00:00:00:00:04"
    assert physical_macs(tmp_path, "ff:00:00:00:00:00")[0] == "aa:00:00:00:00:01"


def test_secure_boot_is_the_byte_after_the_attributes(tmp_path: Path) -> None:
    assert (firmware_kind(tmp_path), secure_boot_enabled(tmp_path)) == ("bios", False)
    name = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    write_tree(tmp_path, {name: b"\x06\x00\x00\x00\x01"})
    assert (firmware_kind(tmp_path), secure_boot_enabled(tmp_path)) == ("uefi", True)
    write_tree(tmp_path, {name: b"\x06\x00\x00\x00\x00"})
    assert not secure_boot_enabled(tmp_path)
    write_tree(tmp_path, {name: b""})
    assert not secure_boot_enabled(tmp_path)


def test_processors_and_memory(tmp_path: Path) -> None:
    write_tree(tmp_path, {"devices/system/cpu/online": "0-3,6", "meminfo": "MemTotal:  16 kB"})
    assert cpu_count(tmp_path) == 5
    assert memory_bytes(tmp_path) == 16 * 1024
    assert memory_bytes(tmp_path / "absent") == 0


@pytest.mark.parametrize("text", ["", "x", "1-", "1-x", "-"])
def test_what_is_no_cpu_list_counts_nothing_or_its_one_number(text: str) -> None:
    assert count_in_list(text) in (0, 1)


@pytest.mark.parametrize(
    ("place", "attributes", "path"),
    [
        (VIRTIO, {}, "pci-0000:00:04.0"),
        (SATA, {"../../../../../ata_port/ata3/port_no": "1"}, "pci-0000:00:1f.2-ata-1"),
        (SATA, {}, "pci-0000:00:1f.2-ata-3"),
        (USB, {}, "pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0"),
        (NVME, {"nsid": "1"}, "pci-0000:3d:00.0-nvme-1"),
        (VIRTIO_SCSI, {}, "pci-0000:00:05.0-scsi-0:0:1:0"),
        (EMMC, {}, "platform-fe340000.mmc"),
        (XEN, {}, "sysfs-vbd-51712"),
    ],
)
def test_the_hardware_path_is_udevs(
    tmp_path: Path, place: str, attributes: dict[str, str], path: str
) -> None:
    block = add_disk(tmp_path, place, GIB, attributes)
    assert hardware_path(tmp_path / "block" / block.name) == path


def test_scsi_hosts_are_counted_on_their_own_controller(tmp_path: Path) -> None:
    add_disk(tmp_path, VIRTIO_SCSI, GIB)
    second = VIRTIO_SCSI.replace("3", "7").replace("sdc", "sdd")
    add_disk(tmp_path, second, GIB)
    assert hardware_path(tmp_path / "block/sdd") == "pci-0000:00:05.0-scsi-4:0:1:0"


def paths(tmp_path: Path) -> HostPaths:
    return HostPaths(sysfs=tmp_path / "sys", dev=tmp_path / "dev")


def test_what_is_no_disk_is_passed_over(tmp_path: Path) -> None:
    for name in ("loop0", "ram0", "zram0", "dm-0", "sr0", "fd0", "md127", "nbd0", "mmcblk0boot0"):
        add_disk(tmp_path / "sys", f"devices/virtual/block/{name}", GIB)
    add_disk(tmp_path / "sys", NVME, GIB, {"hidden": "1"})
    assert inspect_disks(paths(tmp_path)).disks == ()


def test_a_drive_without_medium_is_a_disk_of_no_size(tmp_path: Path) -> None:
    add_disk(tmp_path / "sys", USB, 0, {"removable": "1"})
    (disk,) = inspect_disks(paths(tmp_path)).disks
    assert (disk.holds, disk.removable, disk.identity.size) == ("no medium", True, 0)


def test_an_unreadable_disk_is_a_problem_and_hides_no_other(tmp_path: Path) -> None:
    add_disk(tmp_path / "sys", SATA, GIB)
    add_disk(tmp_path / "sys", USB, 0)
    inspection = inspect_disks(paths(tmp_path))
    assert [disk.holds for disk in inspection.disks] == ["unreadable", "no medium"]
    (problem,) = inspection.problems
    assert problem.startswith(f"{tmp_path}/dev/sda: RW568: the partition table of ")


@pytest.mark.parametrize(
    ("place", "attributes", "wwn", "serial", "model", "removable"),
    [
        (
            SATA,
            {
                "device/wwid": "naa.5000c500a1b2c3d4",
                "device/vpd_pg80": b"\x00\x80\x00\x14            ZA1B2C3D",
                "device/vendor": "ATA     ",
                "device/model": "ST1000NX0313    ",
            },
            "naa.5000c500a1b2c3d4",
            "ZA1B2C3D",
            "ST1000NX0313",
            False,
        ),
        (
            SATA,
            {
                "device/wwid": "t10.ATA     QEMU HARDDISK                           QM00001",
                "device/vendor": "ATA",
                "device/model": "QEMU HARDDISK",
            },
            "",
            "",
            "QEMU HARDDISK",
            False,
        ),
        (
            NVME,
            {
                "nsid": "1",
                "wwid": "eui.0025385b71b0c8e1",
                "device/serial": "S4EVNX0M123456      ",
                "device/model": "Samsung SSD 970 EVO Plus 1TB            ",
            },
            "eui.0025385b71b0c8e1",
            "S4EVNX0M123456",
            "Samsung SSD 970 EVO Plus 1TB",
            False,
        ),
        (VIRTIO, {"serial": "disk-1", "device/vendor": "0x1af4"}, "", "disk-1", "", False),
        (
            USB,
            {"device/vendor": "SanDisk ", "device/model": "Ultra           "},
            "",
            "",
            "SanDisk Ultra",
            True,
        ),
        (
            EMMC,
            {"device/serial": "0x1a2b3c4d", "device/name": "DG4016"},
            "",
            "0x1a2b3c4d",
            "DG4016",
            False,
        ),
    ],
)
def test_a_disks_identity_comes_from_its_own_attributes(  # noqa: PLR0913, PLR0917 - a table
    tmp_path: Path,
    place: str,
    attributes: dict[str, str | bytes],
    wwn: str,
    serial: str,
    model: str,
    removable: bool,  # noqa: FBT001 - a column
) -> None:
    block = add_disk(tmp_path / "sys", place, 64 * 512, attributes)
    node = tmp_path / "dev" / block.name
    node.parent.mkdir()
    node.write_bytes(bytes(64 * 512))
    (disk,) = inspect_disks(paths(tmp_path)).disks
    assert (disk.identity.wwn, disk.identity.serial, disk.model) == (wwn, serial, model)
    assert disk.identity.size == 64 * 512
    assert disk.removable is removable
    assert (disk.node, disk.holds, disk.table) == (str(node), "blank (whole disk read)", "")


@pytest.mark.parametrize(
    ("place", "attributes", "transport"),
    [
        (SATA, {}, ""),
        (NVME, {"device/transport": "pcie"}, ""),
        (FC, {}, "fc"),
        (ISCSI, {}, "iscsi"),
        (NVME_FABRIC, {"device/nvme0/transport": "tcp"}, "nvme-tcp"),
    ],
)
def test_the_network_that_leads_to_a_disk_is_named(
    tmp_path: Path, place: str, attributes: dict[str, str | bytes], transport: str
) -> None:
    add_disk(tmp_path / "sys", place, 0, attributes)
    (disk,) = inspect_disks(paths(tmp_path)).disks
    assert disk.transport == transport


GPT = {
    "partitiontable": {
        "label": "gpt",
        "id": "D1852442-02B2-0B42-BC9B-1B9D2A982CAB",
        "device": "/dev/nvme0n1",
        "unit": "sectors",
        "firstlba": 2048,
        "lastlba": 131038,
        "sectorsize": 4096,
        "partitions": [
            {
                "node": "/dev/nvme0n1p1",
                "start": 2048,
                "size": 32768,
                "type": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
                "uuid": "E6767A69-104A-8C45-AE43-50F42501B2C8",
                "name": "efi",
            }
        ],
    }
}
MBR = {
    "partitiontable": {
        "label": "dos",
        "id": "0x1444ddc5",
        "device": "/dev/vda",
        "unit": "sectors",
        "partitions": [
            {"node": "/dev/vda1", "start": 2048, "size": 32768, "type": "83", "bootable": True},
            {"node": "/dev/vda12", "start": 34816, "size": 40960, "type": "5"},
        ],
    }
}


def test_a_gpt_is_read_in_bytes_with_names_in_lower_case() -> None:
    assert parse_table(json.dumps(GPT).encode(), 512) == PartitionTable(
        "gpt",
        (
            TableEntry(
                1,
                2048 * 4096,
                32768 * 4096,
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
                "e6767a69-104a-8c45-ae43-50f42501b2c8",
                "efi",
            ),
        ),
    )


def test_an_mbr_gets_the_kernels_partition_uuids() -> None:
    assert parse_table(json.dumps(MBR).encode(), 512) == PartitionTable(
        "mbr",
        (
            TableEntry(1, 2048 * 512, 32768 * 512, "0x83", "1444ddc5-01"),
            TableEntry(12, 34816 * 512, 40960 * 512, "0x05", "1444ddc5-0c"),
        ),
    )


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"[]",
        b"{}",
        b'{"partitiontable":{}}',
        b'{"partitiontable":7}',
        b'{"partitiontable":{"label":"gpt","device":"x","partitions":[{"node":"x"}]}}',
        b'{"partitiontable":{"label":"gpt","device":"x","partitions":[3]}}',
    ],
)
def test_what_is_no_table_is_one_kind_of_error(output: bytes) -> None:
    with pytest.raises(TerminalError) as caught:
        parse_table(output, 512)
    assert caught.value.code == "RW568"


def test_blkids_escapes_are_undone() -> None:
    output = (
        b"ID_FS_LABEL=my_root\nID_FS_LABEL_ENC=my\\x20r\\xc3\\xb6\\xc3\\xb6t\n"
        b"ID_FS_UUID=757798ce-e443-4127-974d-11602f6f72fd\nID_FS_TYPE=ext4\n"
    )
    assert parse_signature(output) == Signature(
        "ext4", "my rööt", "757798ce-e443-4127-974d-11602f6f72fd"
    )
    assert parse_signature(b"") == Signature()


def test_the_summary_of_a_disk() -> None:
    assert summary(PartitionTable(), ()) == ""
    assert summary(PartitionTable("gpt"), ()) == "gpt, no partitions"


def test_a_partition_without_a_file_system_is_called_after_its_type() -> None:
    bios_boot = "21686148-6449-6e6f-744e-656564454649"
    partitions = tuple(
        Partition(number, 1 << 20, 1 << 20, kind, "", filesystem, "")
        for number, kind, filesystem in (
            (1, bios_boot, ""),
            (2, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "vfat"),
            (3, "00000000-0000-0000-0000-000000000001", ""),
        )
    )
    said = summary(PartitionTable("gpt"), partitions)
    assert said == "gpt, 3 partitions: BIOS boot, vfat, unknown"
    assert [describe(each) for each in partitions] == ["BIOS boot", "vfat", "unknown"]


@pytest.mark.parametrize(
    ("kind", "content"), [("0x0f", "extended"), ("0x07", "NTFS or exFAT"), ("0xEE", "unknown")]
)
def test_an_mbr_partition_is_called_after_its_type_byte(kind: str, content: str) -> None:
    assert Partition(1, 0, 0, kind, "", "", "").content == content


IP = [
    {
        "ifname": "lo",
        "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}],
    },
    {
        "ifname": "eth0",
        "addr_info": [
            {"family": "inet", "local": "10.20.7.13", "prefixlen": 24, "scope": "global"},
            {"family": "inet6", "local": "fd00::2", "prefixlen": 64, "scope": "global"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
        ],
    },
    {"ifname": "eth1"},
]


def test_only_addresses_of_global_scope_are_reported() -> None:
    assert parse_addresses(json.dumps(IP).encode()) == ("10.20.7.13/24", "fd00::2/64")


@pytest.mark.parametrize("output", [b"", b"{}x", b"[3]", b'[{"addr_info":[{"scope":"global"}]}]'])
def test_what_is_no_address_list_is_one_kind_of_error(output: bytes) -> None:
    with pytest.raises(TerminalError) as caught:
        parse_addresses(output)
    assert caught.value.code == "RW569"


# github.com's host key and its fingerprint, as published.
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl github"
PRINT = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


def test_a_fingerprint_is_what_ssh_keygen_prints(tmp_path: Path) -> None:
    assert fingerprint(PUBLIC) == PRINT
    write_tree(
        tmp_path / "etc/ssh", {"ssh_host_ed25519_key.pub": PUBLIC, "ssh_host_x_key.pub": "?"}
    )
    assert host_key_fingerprints(tmp_path) == (PRINT,)


@pytest.mark.parametrize("line", ["", "ssh-rsa", "ssh-rsa !!!", "ssh-rsa ä"])
def test_what_is_no_public_key_has_no_fingerprint(line: str) -> None:
    assert fingerprint(line) == ""


def test_os_release_is_read_with_its_quotes(tmp_path: Path) -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n# x\nID=debian\nBROKEN=\'\nnot a line\n'
    assert parse_os_release(text) == {
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
        "ID": "debian",
    }
    write_tree(tmp_path, {"usr/lib/os-release": text})
    assert pretty_name(tmp_path) == "Debian GNU/Linux 12 (bookworm)"


def test_uptime_is_whole_seconds() -> None:
    assert (uptime_seconds("3138.52 6100.11"), uptime_seconds("")) == (3138, 0)
