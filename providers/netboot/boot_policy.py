"""From the boot decision to what DHCP says about it. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from providers.netboot.decision import BootAnswer, LocalDisk
from providers.netboot.dhcp_message import UNSPECIFIED
from providers.netboot.firmware import HTTP_CLASS, PXE_CLASS, Chain, Firmware, LocalBoot

IPXE_SCRIPT_PATH = "/boot/ipxe/"
"""HTTP path of the iPXE scripts; the MAC follows."""

FILES_PATH = "/boot/files/"
"""HTTP path of the boot files; the name follows."""

NOTHING_PATH = "/boot/nothing"
"""HTTP path that is never found, for firmware that goes on only after an error."""


@dataclass(frozen=True, slots=True)
class BootSite:
    """Where machines find us: ``address`` for DHCP and TFTP, ``http`` as a base URL."""

    address: IPv4Address
    http: str


@dataclass(frozen=True, slots=True)
class BootData:
    """What a DHCP reply says about booting.

    ``server`` and ``file`` are the fields siaddr and file (RFC 2131 section 2),
    ``vendor_class`` is option 60, which tells a reply of a PXE or HTTP boot server
    (PXE specification 2.1; UEFI specification, HTTP Boot), ``pxe_options`` option 43.
    """

    server: IPv4Address
    file: str
    vendor_class: str = ""
    pxe_options: bytes = b""


LOCAL_BOOT_MENU = (
    b"\x09\x0d\x00\x00\x0aLocal disk"  # PXE_BOOT_MENU: type 0, which is booting locally
    b"\x0a\x0b\x00Local disk"  # PXE_MENU_PROMPT: take the first item after 0 seconds
    b"\xff"
)
"""A PXE menu of one item, the local disk, taken at once."""


def boot_data(
    answer: BootAnswer, chain: Chain | None, firmware: Firmware, mac: str, site: BootSite
) -> BootData | None:
    """Return what to say; None says nothing about booting.

    ``chain`` is the firmware's way to the Deploy-OS here, None if there is none.
    """
    if isinstance(answer, LocalDisk) or chain is None:
        return _local_disk(firmware, site)
    if chain.boot_file:
        return BootData(site.address, chain.boot_file)
    return BootData(site.address, f"{site.http}{IPXE_SCRIPT_PATH}{mac.replace(':', '-')}")


def _local_disk(firmware: Firmware, site: BootSite) -> BootData | None:
    """Return what makes the firmware go on to the disk soonest; there is never a boot file.

    iPXE goes on at once when nobody names one. Others wait for a better offer,
    EDK2 for a minute per protocol, unless they are told or refused.
    """
    match firmware.local_boot:
        case LocalBoot.BY_SILENCE:
            return None
        case LocalBoot.BY_MENU:
            return BootData(UNSPECIFIED, "", PXE_CLASS, LOCAL_BOOT_MENU)
        case LocalBoot.BY_REFUSAL:
            return BootData(UNSPECIFIED, site.http + NOTHING_PATH, HTTP_CLASS)
