"""A boot entry of an installed system's own comes along to another machine's firmware."""

import base64
import json
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from builders.lab_console import Console
from builders.lab_site import partitions

from agent.imaging.efi import LoadOption, parse_load_option
from providers.lab.command import run

pytestmark = [pytest.mark.lab, pytest.mark.nightly, pytest.mark.timeout(3600)]

GOLDEN = "10.77.0.10"
SHIM = Path("/usr/lib/shim")
LOADER = r"\EFI\debian\shimx64.efi"
READ = 'cd /sys/firmware/efi/efivars; for each in Boot*; do echo "$each $(base64 -w0 $each)"; done'


class BootMenu(NamedTuple):
    """What a machine's firmware has: its entries, their order, and the one that booted."""

    entries: dict[int, LoadOption]
    order: tuple[int, ...]
    current: int

    @property
    def own(self):
        """Return the numbers of the entries that start Debian's own loader."""
        return [number for number, each in self.entries.items() if each.loader == LOADER]


def install_loader(disk):
    """Put onto the ESP what Debian's grub-install puts there beside the loader for any machine.

    shim then finds its fallback loader beside it, which makes the boot entry of BOOTX64.CSV.
    """
    image = f"{disk}@@{partitions(disk)[1].offset}"
    grub = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
    for source, target in (
        (SHIM / "fbx64.efi.signed", "::EFI/BOOT/fbx64.efi"),
        (SHIM / "shimx64.efi.signed", "::EFI/debian/shimx64.efi"),
        (grub, "::EFI/debian/grubx64.efi"),
        (SHIM / "BOOTX64.CSV", "::EFI/debian/BOOTX64.CSV"),
    ):
        run(["mcopy", "-i", image, source, target], package="mtools")


def start_and_shut_down(site):
    """Let the golden machine start once from its own disk."""
    ssh = [
        *("ssh", "-F", "none", "-i", str(site.rack.ssh_key), "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "ConnectTimeout=30", "-o", "ConnectionAttempts=10", f"root@{GOLDEN}"),
    ]
    with site.running("serve"):
        site.rack.power_on("golden")
        console = Console(site.rack.console_path("golden"))
        console.wait_for(r"golden login:", 600)
        subprocess.run(site.rack.exec_argv([*ssh, "systemctl poweroff"]), check=False)
        console.wait_for(r"reboot: Power down", 300)
    site.rack.power_off("golden")


def boot_menu(site):
    """Return what node-01's firmware has, as its installed system sees it."""
    command = ("exec", "--on", "node-01", "--reason", "its boot entries", "--yes=0")
    said = site.run(*command, "--format", "json", "--", "sh", "-c", READ, expect=0)
    document, _ = json.JSONDecoder().raw_decode(said)
    (result,) = document["results"]
    data = {}
    for line in result["output"].splitlines():
        name, content = line.split()
        data[name.partition("-")[0]] = base64.b64decode(content)[4:]
    entries = {
        int(name[4:], 16): parse_load_option(content)
        for name, content in data.items()
        if len(name) == len("Boot0000")
    }
    order = tuple(number for (number,) in struct.iter_unpack("<H", data["BootOrder"]))
    return BootMenu(entries, order, *struct.unpack("<H", data["BootCurrent"]))


def test_a_boot_entry_is_written_for_the_clone_once_and_behind_the_network(new_site):
    site = new_site("uefi", "gpt")
    site.edit("machines.yaml", r"  # No identity: .*", f"  identity: {{addresses: [{GOLDEN}/24]}}")
    install_loader(site.disk("golden"))
    start_and_shut_down(site)

    site.run("apply", "--yes", expect=0)
    shown = site.run("image", "show", "debian12-golden", expect=0)
    assert f"debian: partition 2, {LOADER}" in shown

    site.run("apply", "--yes=1", expect=0)
    first = boot_menu(site)
    (number,) = first.own
    entry = first.entries[number]
    esp = partitions(site.disk("node-01"))[1]
    assert (entry.label, entry.active, entry.partition) == ("debian", True, esp.uuid)
    assert first.current == number
    assert first.entries[first.order[0]].network
    assert first.order.count(number) == 1

    site.edit("machines.yaml", r"(scenario: clone-golden\n\s+run:) 1", r"\1 2")
    site.run("apply", "--yes=1", expect=0)
    second = boot_menu(site)
    assert second.own == [number]
    assert second.entries[number] == entry
    assert second.current == number
    assert second.entries[second.order[0]].network
    assert second.order.count(number) == 1
    assert "Nothing to do" in site.run("plan", expect=0)
