"""The EFI system partition: mkfs.fat and mtools, straight into a disk file."""

from pathlib import Path

from providers.lab.command import run
from providers.lab.errors import firmware_missing
from providers.lab.golden.partition_table import SECTOR, Partition

_SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
_SHIM_PACKAGE = "shim-signed"
_GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
_GRUB_PACKAGE = "grub-efi-amd64-signed"


def write_esp(disk: Path, partition: Partition, volume_id: str, grub_cfg: Path) -> None:
    """Make the file system with signed shim, signed GRUB and the file ``grub_cfg``.

    Under ``EFI/BOOT``, where firmware looks on a disk that its variables do not name:
    a clone boots in a machine that never saw it. shim's fallback loader stays away, as
    it would add a variable and reset the machine. ``volume_id`` has 8 hexadecimal
    digits. RW801, RW802, RW809.
    """
    for loader, package in ((_SHIM, _SHIM_PACKAGE), (_GRUB, _GRUB_PACKAGE)):
        if not loader.exists():
            raise firmware_missing(loader, package)
    run(
        [
            *("mkfs.fat", "-F", "32", "-s", "1", "-n", "ESP", "-i", volume_id),
            *(f"--offset={partition.start}", disk, str(partition.length * SECTOR // 1024)),
        ],
        package="dosfstools",
        writes=disk,
    )
    image = f"{disk}@@{partition.start * SECTOR}"
    run(["mmd", "-i", image, "::EFI", "::EFI/BOOT", "::EFI/debian"], package="mtools", writes=disk)
    for source, target in (
        (_SHIM, "::EFI/BOOT/BOOTX64.EFI"),
        (_GRUB, "::EFI/BOOT/grubx64.efi"),
        (grub_cfg, "::EFI/debian/grub.cfg"),  # the prefix built into Debian's signed GRUB
    ):
        run(["mcopy", "-i", image, source, target], package="mtools", writes=disk)
