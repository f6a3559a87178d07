"""The disks of a rack: made once, kept between power cycles and racks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from agent.errors import TerminalError
from agent.whole_file import create_atomically, write_atomically
from providers.lab.directory import DiskFiles, LabDirectory
from providers.lab.golden.disk import make_blank, make_golden
from providers.lab.golden.identity import DiskIdentity
from providers.lab.golden.recipe import DEBIAN12
from providers.lab.golden.root_tar import root_tar
from providers.lab.rack import Disk, Machine, Rack

Progress = Callable[[str], None]
"""Takes one line for people about what is being done."""


def disk_recipe(disk: Disk) -> dict[str, str]:
    """Return the settings that the content of a disk depends on; not those of its attachment."""
    recipe = {"size": str(disk.size), "prepare": disk.prepare}
    if disk.prepare == "debian12":
        recipe |= {"table": disk.table, "recipe": DEBIAN12.digest}
    return recipe


def differences(old: dict[str, str], new: dict[str, str]) -> str:
    """Return ``size: 3GiB then, 4GiB now`` for all that differs; empty when nothing does."""
    return "; ".join(
        f"{key}: {old.get(key, 'none')} then, {new.get(key, 'none')} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def discard_disks(rack: Rack, directory: LabDirectory) -> None:
    """Delete the disks of all machines, and the UEFI variables that know them."""
    for _, _, files in _disks(rack, directory):
        files.recipe.unlink(missing_ok=True)
        files.content.unlink(missing_ok=True)
    for machine in rack.machines:
        directory.machine(machine.name).variables.unlink(missing_ok=True)


def prepare_disks(rack: Rack, directory: LabDirectory, cache: Path, progress: Progress) -> None:
    """Make every disk that does not exist yet.

    RW801, RW802, RW808, RW809 from making one; RW811 when one exists that was made
    with other settings, before any is made.
    """
    missing = [each for each in _disks(rack, directory) if not _exists(*each)]
    for machine, disk, files in missing:
        files.content.parent.mkdir(parents=True, exist_ok=True)
        if disk.prepare == "blank":
            progress(f"{machine.name}: blank disk of {disk.size}")
            make_blank(files.content, disk.size.bytes)
        else:
            tar = root_tar(DEBIAN12, cache, progress)
            progress(f"{machine.name}: Debian 12 on a disk of {disk.size} ({disk.table})")
            identity = DiskIdentity.random(machine.name, public_key(directory.ssh_key))
            make_golden(files.content, disk.size.bytes, disk.table, tar, identity)
        write_atomically(files.recipe, json.dumps(disk_recipe(disk)).encode())


def _disks(rack: Rack, directory: LabDirectory) -> Iterator[tuple[Machine, Disk, DiskFiles]]:
    for machine in rack.machines:
        files = directory.machine(machine.name).disks(len(machine.disks))
        for disk, of_disk in zip(machine.disks, files, strict=True):
            yield machine, disk, of_disk


def _exists(machine: Machine, disk: Disk, files: DiskFiles) -> bool:
    """Return whether a whole disk is there; its recipe is written after it."""
    if not files.recipe.exists():
        files.content.unlink(missing_ok=True)
        return False
    made_with = json.loads(files.recipe.read_text())
    if difference := differences(made_with, disk_recipe(disk)):
        raise TerminalError(
            "RW811",
            f"{machine.name}: the disk {files.content} was made with other settings ({difference})",
            "Keep it by restoring the settings, or make all disks anew with --fresh",
        )
    return files.content.exists()


def public_key(private: Path) -> str:
    """Return the line for ``authorized_keys``; make the private key where there is none."""
    if not private.exists():
        made = Ed25519PrivateKey.generate()
        data = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        create_atomically(private, data, 0o600)
    key = load_ssh_private_key(private.read_bytes(), password=None)
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{text} rack\n"
