"""The boot scripts: iPXE's, and GRUB's configuration. Pure text.

A script is a program, so no value stands in it that could be anything but one
word: each has its own narrow character set, whoever wrote it.
"""

import re
from collections.abc import Iterable

from agent.errors import TerminalError
from providers.netboot.boot_policy import FILES_PATH, IPXE_SCRIPT_PATH
from providers.netboot.decision import EnrollmentCredentials
from providers.netboot.firmware import KERNEL, RAM_DISK

GRUB_CONFIG_PATH = "grub/grub.cfg"
"""What Debian's signed network GRUB asks for first: its built-in prefix is ``/grub``."""

GRUB_MACHINE_PATH = "grub/machine/"
"""TFTP path of the machines' own GRUB configurations; the MAC follows."""

_CONSOLES = ("console=tty0", "console=ttyS0,115200n8")
"""Screen and first serial port; the build's own arguments come later and win."""

# fullmatch everywhere: "$" would let a final line feed through.
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PIN = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
_ARGUMENT = re.compile(r"[A-Za-z0-9._,:=/@+-]+")
_RESERVED = ("rackwright.", "initrd=", "BOOTIF=")

_LOADERS = (
    "/EFI/Microsoft/Boot/bootmgfw.efi",
    "/EFI/debian/shimx64.efi",
    "/EFI/ubuntu/shimx64.efi",
    "/EFI/redhat/shimx64.efi",
    "/EFI/rocky/shimx64.efi",
    "/EFI/almalinux/shimx64.efi",
    "/EFI/fedora/shimx64.efi",
    "/EFI/opensuse/shim.efi",
    "/EFI/sles/shim.efi",
    "/EFI/debian/grubx64.efi",
    "/EFI/ubuntu/grubx64.efi",
    "/EFI/BOOT/BOOTX64.EFI",
)
"""Where systems put their boot loader on the EFI system partition, fall-back path last."""

_REBOOT = """\
sleep 10
reboot
"""

GRUB_CONFIG = (
    """\
# Goes on with the machine's own configuration, made anew for each request.
set timeout=0
configfile /grub/machine/$net_default_mac
echo "Rackwright: no answer from the boot server, starting over"
"""
    + _REBOOT
)

GRUB_START_OVER = (
    """\
echo "Rackwright: nothing to do over the network any more, starting over"
"""
    + _REBOOT
)
"""The local disk for a machine that DHCP sent to GRUB moments ago.

Its grant went since, and DHCP says "local disk" the next time, which firmware knows how
to do. GRUB does not: EDK2 takes GRUB's ``exit`` for a success and opens its setup
screen, and a boot loader that GRUB chains to finds no file system where the firmware
has not connected the disk, as OVMF has not. Should DHCP send it here again, that ends
with the grant, which lasts minutes.
"""

ASK_AGAIN_SECONDS = 5
"""Between two requests of a machine that is told to ask again."""

GRUB_ASK_AGAIN = f"""\
echo "Rackwright: another agent of this machine may be at work, asking again"
sleep {ASK_AGAIN_SECONDS}
configfile /{GRUB_MACHINE_PATH}$net_default_mac
"""

GRUB_LOCAL_DISK = f"""\
echo "Rackwright: nothing to do over the network, going on to the local disk"
for loader in {" ".join(_LOADERS)}; do
  if search --no-floppy --set=disk --file $loader; then
    if chainloader ($disk)$loader; then
      boot
    fi
  fi
done
exit
"""
"""The local disk for a machine that another DHCP server sends to GRUB at every boot.

Starting over would bring it here again, so the disk's boot loader is tried.
"""

IPXE_LOCAL_DISK = """\
#!ipxe
echo Rackwright: nothing to do over the network, going on to the local disk
exit
"""


def ipxe_ask_again(http: str, mac: str) -> str:
    """Return the script that asks for the machine's script again; ``http`` is our base URL."""
    script = f"{_checked('the HTTP address', _URL, http)}{IPXE_SCRIPT_PATH}{mac.replace(':', '-')}"
    return f"""\
#!ipxe
echo Rackwright: another agent of this machine may be at work, asking again
sleep {ASK_AGAIN_SECONDS}
chain --replace --autofree {script} || exit
"""


def parse_mac(text: str) -> str | None:
    """Return the MAC in our form, None if it is none.

    iPXE and file names use hyphens, GRUB colons; case does not matter.
    """
    mac = text.lower().replace("-", ":")
    return mac if _MAC.fullmatch(mac) else None


def kernel_command_line(credentials: EnrollmentCredentials, mac: str, extra: Iterable[str]) -> str:
    """Return the Deploy-OS kernel's command line.

    ``BOOTIF`` is PXELINUX's form, hardware type first: it tells the RAM system
    which NIC it came in by. Raises ``TerminalError``.
    """
    return " ".join(
        (
            f"rackwright.server={_checked('the server address', _URL, credentials.server)}",
            f"rackwright.pin={_checked('the pin', _PIN, credentials.pin)}",
            f"rackwright.token={_checked('the token', _TOKEN, credentials.token, secret=True)}",
            f"BOOTIF=01-{_checked('the MAC', _MAC, mac).replace(':', '-')}",
            *_CONSOLES,
            *(_checked_argument(word) for word in extra),
        )
    )


def ipxe_script(command_line: str, http: str) -> str:
    """Return the script that starts the Deploy-OS; ``http`` is our base URL.

    ``initrd=`` names the RAM disk for the kernel's EFI stub, which finds none
    without it and panics; on BIOS it does nothing. Raises ``TerminalError``.
    """
    files = _checked("the HTTP address", _URL, http) + FILES_PATH
    return f"""\
#!ipxe
echo Rackwright: starting the Deploy-OS
kernel {files}{KERNEL} initrd={RAM_DISK} {command_line} || goto failed
initrd --name {RAM_DISK} {files}{RAM_DISK} || goto failed
boot || goto failed
:failed
echo Rackwright: the transfer failed, going on to the local disk
exit
"""


def grub_script(command_line: str) -> str:
    """Return the GRUB configuration that starts the Deploy-OS.

    The files come by TFTP from the server that GRUB itself came from: Debian's
    signed GRUB has no HTTP.
    """
    return f"""\
echo "Rackwright: starting the Deploy-OS"
if linux /{KERNEL} {command_line}; then
  if initrd /{RAM_DISK}; then
    boot
  fi
fi
echo "Rackwright: the transfer failed, starting over"
{_REBOOT}"""


def _checked_argument(word: str) -> str:
    if word.startswith(_RESERVED):
        raise TerminalError(
            "RW305",
            f"the kernel argument {word!r} would stand against one that is set per machine",
            "Take it out of kernel_arguments in the DeployOS document",
        )
    return _checked("a kernel argument", _ARGUMENT, word)


def _checked(what: str, allowed: re.Pattern[str], value: str, *, secret: bool = False) -> str:
    if allowed.fullmatch(value):
        return value
    shown = f"with {len(value)} characters" if secret else repr(value)
    raise TerminalError(
        "RW305",
        f"{what} {shown} cannot stand in a boot script, which allows {allowed.pattern}",
        "Correct the value; the machine boots its local disk until then",
    )
