"""Which firmware started the machine, and whether it checked signatures."""

from pathlib import Path

# EFI_GLOBAL_VARIABLE (UEFI 2.10, 3.3). efivarfs puts four bytes of attributes in front.
_SECURE_BOOT = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_ATTRIBUTES = 4


def firmware_kind(sysfs: Path) -> str:
    """Return ``uefi`` or ``bios``."""
    return "uefi" if (sysfs / "firmware/efi").is_dir() else "bios"


def secure_boot_enabled(sysfs: Path) -> bool:
    """Return whether Secure Boot is enforced; False where efivarfs does not tell."""
    try:
        value = (sysfs / _SECURE_BOOT).read_bytes()
    except OSError:
        return False
    return value[_ATTRIBUTES:] == b"\x01"
