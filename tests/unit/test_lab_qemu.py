import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from agent.errors import CodedError
from providers.lab import firmware, qemu
from providers.lab.accelerator import counting_rom
from providers.lab.directory import MachineFiles
from providers.lab.firmware import FlashImages
from providers.lab.rack_file import parse_rack

FLASH = FlashImages(Path("/fw/code.fd"), Path("/fw/vars.fd"))
PLACE = qemu.Place("tcg", "tap3", 7)


def machine(firmware_kind="bios", bus="virtio"):
    return parse_rack(
        f"""
machines:
  - name: node-01
    firmware: {firmware_kind}
    memory: 1.5GiB
    cpus: 3
    mac: "52:54:00:77:00:11"
    uuid: 77000000-0000-4000-8000-000000000011
    disk: {{size: 1GiB, serial: NODE-0011, bus: {bus}}}
""".encode(),
        "rack.yaml",
    ).machines[0]


def options(argv):
    """Return the values of every option, in order."""
    found: dict[str, list[str]] = {}
    start = argv.index("qemu-system-x86_64") + 1
    for option, value in itertools.pairwise(argv[start:]):
        if option.startswith("-"):
            found.setdefault(option, []).append(value)
    return found


def arguments(*, place=PLACE, folder=Path("/lab/machines/node-01"), **kind):
    found = machine(**kind)
    flash = None if found.firmware == "bios" else FLASH
    return qemu.arguments(found, MachineFiles(folder), flash, place)


def test_the_kernel_kills_it_with_its_parent():
    assert arguments()[:5] == ["setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64"]


def test_a_machine_is_what_the_rack_file_says():
    found = options(arguments())
    assert found["-smp"] == ["3"]
    assert found["-m"] == ["1536M"]
    assert found["-uuid"] == ["77000000-0000-4000-8000-000000000011"]
    assert found["-netdev"] == ["tap,id=net0,ifname=tap3,script=no,downscript=no"]
    assert "socket,id=monitor,fd=7" in found["-chardev"]


@pytest.mark.parametrize("kind", ["bios", "uefi", "uefi-secure-boot"])
def test_it_boots_from_the_network_first_and_then_from_its_disk(kind):
    devices = options(arguments(firmware_kind=kind))["-device"]
    nic = next(device for device in devices if "mac=52:54:00:77:00:11" in device)
    disk = next(device for device in devices if "serial=NODE-0011" in device)
    assert "bootindex=1" in nic.split(",")
    assert "bootindex=2" in disk.split(",")


@pytest.mark.parametrize(("kind", "without"), [("bios", 0), ("uefi", 1), ("uefi-secure-boot", 1)])
def test_only_bios_has_ipxe_in_the_nic(kind, without):
    devices = options(arguments(firmware_kind=kind))["-device"]
    assert sum(device.endswith(",romfile=") for device in devices) == without


def test_only_bios_tries_again_after_a_disk_that_does_not_boot():
    assert options(arguments(firmware_kind="bios"))["-boot"] == ["strict=on,reboot-timeout=5000"]
    assert options(arguments(firmware_kind="uefi"))["-boot"] == ["strict=on"]


def test_secure_boot_guards_the_variables():
    secure = options(arguments(firmware_kind="uefi-secure-boot"))
    assert "driver=cfi.pflash01,property=secure,value=on" in secure["-global"]
    assert secure["-machine"] == ["q35,graphics=off,smm=on"]
    plain = options(arguments(firmware_kind="uefi"))
    assert "driver=cfi.pflash01,property=secure,value=on" not in plain["-global"]
    assert plain["-machine"] == ["q35,graphics=off,smm=off"]


def test_firmware_code_is_shared_and_variables_are_the_machines_own():
    assert options(arguments(firmware_kind="uefi"))["-drive"] == [
        "if=pflash,format=raw,unit=0,readonly=on,file=/fw/code.fd",
        "if=pflash,format=raw,unit=1,file=/lab/machines/node-01/variables.fd",
    ]
    assert "-drive" not in options(arguments(firmware_kind="bios"))


@pytest.mark.parametrize(
    ("accelerator", "kind", "expected"),
    [
        ("kvm", "bios", ("kvm", "host")),
        ("kvm", "uefi-secure-boot", ("kvm", "host")),
        ("tcg", "bios", ("tcg,thread=multi", "qemu64,-svm")),
        ("tcg", "uefi", ("tcg,thread=multi", "qemu64,-svm")),
        ("tcg", "uefi-secure-boot", ("tcg,thread=single", "qemu64,-svm")),
    ],
)
def test_the_processor_suits_the_accelerator(accelerator, kind, expected):
    place = dataclasses.replace(PLACE, accelerator=accelerator)
    found = options(arguments(firmware_kind=kind, place=place))
    assert (found["-accel"], found["-cpu"]) == ([expected[0]], [expected[1]])


@pytest.mark.parametrize(
    ("bus", "controllers", "disk"),
    [
        ("virtio", [], "virtio-blk-pci,werror=report"),
        ("scsi", ["virtio-scsi-pci"], "scsi-hd,werror=report"),
        ("nvme", [], "nvme"),
    ],
)
def test_a_disk_hangs_on_its_bus_with_its_serial_number(bus, controllers, disk):
    devices = options(arguments(bus=bus))["-device"]
    others = ("virtio-rng", "virtio-net")
    assert [device for device in devices if not device.startswith(others)] == [
        *controllers,
        f"{disk},id=disk0,drive=image0,serial=NODE-0011,bootindex=2",
    ]


def test_more_disks_hang_behind_the_first_and_nothing_boots_from_them():
    one = machine()
    more = [
        one.disk.model_copy(update={"serial": "DATA", "bus": "scsi"}),
        one.disk.model_copy(update={"serial": "LOG"}),
    ]
    several = one.model_copy(update={"more_disks": tuple(more)})
    files = MachineFiles(Path("/lab/machines/node-01"))
    found = options(qemu.arguments(several, files, None, PLACE))
    images = [json.loads(image) for image in found["-blockdev"]]
    assert [(image["node-name"], image["file"]["filename"]) for image in images] == [
        ("image0", "/lab/machines/node-01/disk.raw"),
        ("image1", "/lab/machines/node-01/disk-2.raw"),
        ("image2", "/lab/machines/node-01/disk-3.raw"),
    ]
    assert [device for device in found["-device"] if "drive=" in device] == [
        "virtio-blk-pci,werror=report,id=disk0,drive=image0,serial=NODE-0011,bootindex=2",
        "scsi-hd,werror=report,id=disk1,drive=image1,serial=DATA",
        "virtio-blk-pci,werror=report,id=disk2,drive=image2,serial=LOG",
    ]


def test_a_comma_in_the_lab_directory_is_no_separator():
    argv = arguments(folder=Path("/lab,old/node-01"), firmware_kind="uefi")
    assert "file,id=console,path=/lab,,old/node-01/console.log" in options(argv)["-chardev"]
    assert any(drive.endswith("file=/lab,,old/node-01/variables.fd") for drive in argv)
    image = json.loads(options(argv)["-blockdev"][0])
    assert image["file"]["filename"] == "/lab,old/node-01/disk.raw"


def test_discarded_blocks_leave_the_file():
    image = json.loads(options(arguments())["-blockdev"][0])
    assert (image["discard"], image["file"]["discard"]) == ("unmap", "unmap")


def test_variables_outlive_a_power_cycle(tmp_path):
    template = tmp_path / "template.fd"
    template.write_bytes(b"new")
    images = FlashImages(tmp_path / "code.fd", template)
    target = tmp_path / "variables.fd"
    firmware.create_variables(images, target)
    assert target.read_bytes() == b"new"
    target.write_bytes(b"changed")
    firmware.create_variables(images, target)
    assert target.read_bytes() == b"changed"


def test_missing_firmware_names_its_package(tmp_path, monkeypatch):
    gone = FlashImages(tmp_path / "code.fd", tmp_path / "vars.fd")
    monkeypatch.setitem(firmware._IMAGES, "uefi", gone)
    with pytest.raises(CodedError) as caught:
        firmware.flash_images("uefi")
    assert str(caught.value) == (
        f"RW802: {tmp_path}/code.fd does not exist. Install it: apt install ovmf."
    )


def test_bios_needs_no_firmware_files():
    assert firmware.flash_images("bios") is None


def test_missing_qemu_names_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CodedError) as caught:
        qemu.require_qemu()
    assert str(caught.value) == (
        "RW801: qemu-system-x86_64 is not installed. Install it: apt install qemu-system-x86."
    )


def test_the_probe_counts_at_the_reset_vector_and_leaves():
    rom = counting_rom()
    assert len(rom) == 65536
    # mov ecx, 0x4000000; dec ecx; jnz -4; out 0xf4, al; hlt
    assert rom[0xFFF0:0xFFFD].hex(" ") == "66 b9 00 00 00 04 66 49 75 fc e6 f4 f4"
