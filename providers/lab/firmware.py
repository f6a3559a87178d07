"""The UEFI images that machines boot from, as Debian's ovmf package lays them out."""

from dataclasses import dataclass
from pathlib import Path

from agent.whole_file import write_atomically
from providers.lab.errors import firmware_missing
from providers.lab.rack import Firmware

_DIRECTORY = Path("/usr/share/OVMF")
_PACKAGE = "ovmf"


@dataclass(frozen=True, slots=True)
class FlashImages:
    """Code that machines share, and the variables that each gets a copy of."""

    code: Path
    variables_template: Path


_IMAGES = {
    "uefi": FlashImages(_DIRECTORY / "OVMF_CODE_4M.fd", _DIRECTORY / "OVMF_VARS_4M.fd"),
    # Microsoft's and Debian's keys enrolled, Secure Boot on, variables guarded by SMM.
    "uefi-secure-boot": FlashImages(
        _DIRECTORY / "OVMF_CODE_4M.secboot.fd", _DIRECTORY / "OVMF_VARS_4M.ms.fd"
    ),
}


def flash_images(firmware: Firmware) -> FlashImages | None:
    """Return the images for a firmware; None for BIOS, which QEMU brings itself. RW802."""
    images = _IMAGES.get(firmware)
    if images is not None:
        for path in (images.code, images.variables_template):
            if not path.exists():
                raise firmware_missing(path, _PACKAGE)
    return images


def create_variables(images: FlashImages, target: Path) -> None:
    """Give a machine its own variables, unless it has some from an earlier power-on."""
    if not target.exists():
        write_atomically(target, images.variables_template.read_bytes())
