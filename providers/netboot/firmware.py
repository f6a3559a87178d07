"""What each kind of firmware needs to boot over the network, as a table. No I/O.

Architecture numbers are those of DHCP option 93 (RFC 4578 section 2.1 and the IANA
registry "Processor Architecture Types").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from providers.netboot.dhcp_message import DhcpOptions

KERNEL = "vmlinuz"
RAM_DISK = "initrd.img"

PXE_CLASS = "PXEClient"
HTTP_CLASS = "HTTPClient"


class ProxyWay(Enum):
    """How a firmware takes boot data from a ProxyDHCP server."""

    IN_OFFER = "in the offer"
    """The file stands in the offer on port 67; the firmware starts it without a question."""
    BYPASS = "in the offer, with discovery bypassed"
    """As above, if option 43 says so: PXE_DISCOVERY_CONTROL bit 3."""
    ASK_4011 = "by asking port 4011"
    """The offer names only the server; the file comes in the answer on port 4011."""


class LocalBoot(Enum):
    """How a firmware is brought to boot its own disk."""

    BY_SILENCE = "by silence"
    """Without a boot file it goes on to its next boot device."""
    BY_MENU = "by a PXE menu"
    """It waits for a boot file unless a PXE menu tells it to boot locally."""
    BY_REFUSAL = "by a refused download"
    """It waits for an address to fetch from, and goes on when that is not found."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A way to the Deploy-OS.

    ``boot_file`` is the TFTP path of its first program; empty means the iPXE script's
    HTTP address. ``needs`` are the files of the boot files directory on the way.
    """

    boot_file: str
    needs: tuple[str, ...]


_UNDIONLY = Chain("undionly.kpxe", ("undionly.kpxe", KERNEL, RAM_DISK))
_SHIM = Chain("shimx64.efi", ("shimx64.efi", "grubx64.efi", KERNEL, RAM_DISK))
_SNPONLY = Chain("snponly.efi", ("snponly.efi", KERNEL, RAM_DISK))
_SCRIPT = Chain("", (KERNEL, RAM_DISK))


@dataclass(frozen=True, slots=True)
class Firmware:
    """One row of the table.

    ``chain`` is the way where we lease the addresses, ``beside`` the one beside
    another DHCP server, None where there is none. ``defects`` say what it does
    against the specifications, for the boot timeline.
    """

    name: str
    chain: Chain | None = None
    beside: Chain | None = None
    proxy: ProxyWay = ProxyWay.IN_OFFER
    local_boot: LocalBoot = LocalBoot.BY_SILENCE
    defects: str = ""


_BIOS = Firmware(
    "BIOS PXE",
    _UNDIONLY,
    _UNDIONLY,
    # Intel Boot Agent and others show a boot menu or wait for a boot server unless
    # the offer's option 43 bypasses discovery. Some ask port 4011 all the same and
    # must be answered there although their architecture is 0.
    ProxyWay.BYPASS,
    LocalBoot.BY_MENU,
    "waits for a PXE boot server unless option 43 says that the offer has it all",
)
_UEFI_X64 = Firmware(
    "x64 UEFI",
    _SHIM,
    # GRUB 2.06 asks the server that the address came from for its configuration, not
    # the ProxyDHCP server, and stands at its prompt when that has none. iPXE asks the
    # right one, but only where Secure Boot is off; where it is on, the firmware refuses
    # iPXE and goes on to the disk.
    _SNPONLY,
    # EDK2 takes an offer with option 60 "PXEClient" and no option 43 for BINL and
    # asks 4011, so the file stands in that answer and nowhere else. EDK2 drops an
    # answer on 4011 that does not come from the address in option 54.
    ProxyWay.ASK_4011,
    # Without a boot file EDK2 asks four times, for 60 s in all; with the menu it goes
    # on after the 4 s in which it collects offers ("PXE-E21: Remote boot cancelled").
    LocalBoot.BY_MENU,
    "EDK2 takes option 60 without option 43 for BINL and asks port 4011",
)
_HTTP_X64 = Firmware(
    "x64 UEFI HTTP boot",
    # EDK2 waits 65 s for an offer with option 60 "HTTPClient" and a URL; a URL that is
    # not found ends that in 4 s. There is no way to the Deploy-OS from here yet: shim
    # would fetch GRUB over HTTP, but Debian's signed GRUB has no HTTP to go on with.
    local_boot=LocalBoot.BY_REFUSAL,
    defects="Debian's signed GRUB cannot fetch over HTTP, so it boots the local disk for now",
)
_UEFI_IA32 = Firmware(
    "IA32 UEFI", local_boot=LocalBoot.BY_MENU, defects="Debian signs no IA32 network GRUB"
)
_IPXE_BIOS = Firmware("iPXE on BIOS", _SCRIPT, _SCRIPT)
_IPXE_UEFI = Firmware(
    "iPXE on x64 UEFI",
    # Not shim: iPXE 1.0.0 (2019, in Debian 12 and QEMU's NICs) reports a wrong length to
    # shim, which then finds GRUB malformed. Where Secure Boot is on, the firmware starts
    # no unsigned iPXE and its own PXE client asks instead.
    _SCRIPT,
    _SCRIPT,
    defects="iPXE of 2019 hands shim a GRUB of the wrong length, so it starts the kernel itself",
)


def _without_chain(name: str, local_boot: LocalBoot) -> Firmware:
    return Firmware(name, local_boot=local_boot, defects="Deploy-OS is built for x64 only")


FIRMWARE: Mapping[int, Firmware] = {
    0: _BIOS,
    2: _without_chain("Itanium UEFI", LocalBoot.BY_MENU),
    6: _UEFI_IA32,
    # RFC 4578 prints 7 for EBC and 9 for x64; firmware does it the other way round
    # (erratum 4624). A machine that sends 9 is taken for x64.
    7: _UEFI_X64,
    9: _UEFI_X64,
    10: _without_chain("ARM 32-bit UEFI", LocalBoot.BY_MENU),
    11: _without_chain("ARM 64-bit UEFI", LocalBoot.BY_MENU),
    15: _without_chain("IA32 UEFI HTTP boot", LocalBoot.BY_REFUSAL),
    16: _HTTP_X64,
    18: _without_chain("ARM 32-bit UEFI HTTP boot", LocalBoot.BY_REFUSAL),
    19: _without_chain("ARM 64-bit UEFI HTTP boot", LocalBoot.BY_REFUSAL),
}
"""Architecture -> what its own PXE client needs."""

IPXE: Mapping[int, Firmware] = {0: _IPXE_BIOS, 7: _IPXE_UEFI, 9: _IPXE_UEFI}
"""Architecture -> what iPXE running on it needs."""


def classify(options: DhcpOptions) -> Firmware | None:
    """Return what asks, None for a system that only wants an address.

    A network boot client says ``PXEClient`` or ``HTTPClient`` in option 60, iPXE
    may say only its user class. Without option 93 it is BIOS: the first PXE ROMs
    knew no other.
    """
    boots = options.vendor_class.startswith((PXE_CLASS, HTTP_CLASS)) or options.is_ipxe
    if not boots:
        return None
    arch = architecture(options)
    table = IPXE if options.is_ipxe else FIRMWARE
    kind = "iPXE on architecture" if options.is_ipxe else "architecture"
    return table.get(arch, Firmware(f"{kind} {arch}"))


def architecture(options: DhcpOptions) -> int:
    """Return the first architecture of option 93, 0 (BIOS) without it."""
    return options.architectures[0] if options.architectures else 0
