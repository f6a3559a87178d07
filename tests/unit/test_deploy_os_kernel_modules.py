import struct

import pytest

from providers.deploy_os.kernel_modules import (
    MissingModuleError,
    ModuleInfo,
    closure,
    firmware_of,
    name_of,
    parse_modinfo,
)

MODULES = {
    "drivers/usb/host/xhci-pci.ko": ModuleInfo(depends=("xhci_hcd",)),
    "drivers/usb/host/xhci-hcd.ko": ModuleInfo(depends=("usbcore",)),
    "drivers/usb/core/usbcore.ko": ModuleInfo(),
    "fs/ext4/ext4.ko": ModuleInfo(depends=("mbcache",), softdeps=("crypto-crc32c",)),
    "fs/mbcache.ko": ModuleInfo(),
    "crypto/crc32c_generic.ko": ModuleInfo(aliases=("crypto-crc32c", "crc32c")),
    "arch/x86/crypto/crc32c-intel.ko": ModuleInfo(aliases=("crypto-crc32c",)),
    "drivers/net/r8169.ko": ModuleInfo(softdeps=("realtek",), firmware=("a.fw", "old.fw")),
    "drivers/net/phy/realtek.ko": ModuleInfo(),
    "sound/snd.ko": ModuleInfo(firmware=("loud.fw",)),
}


def elf_with_section(name: str, content: bytes) -> bytes:
    """An ELF file that is as small as the specification allows, with one named section."""
    names = b"\0.shstrtab\0" + name.encode() + b"\0"
    body = names + content
    sections = struct.pack("<IIQQQQIIQQ", *([0] * 10))
    sections += struct.pack("<IIQQQQIIQQ", 1, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 11, 1, 0, 0, 64 + len(names), len(content), 0, 0, 1, 0)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 1, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 3, 1
    )
    return header + body + sections


def test_dependencies_are_followed_to_the_end() -> None:
    assert closure(["drivers/usb/host/xhci-pci.ko"], MODULES, frozenset()) == {
        "drivers/usb/host/xhci-pci.ko",
        "drivers/usb/host/xhci-hcd.ko",
        "drivers/usb/core/usbcore.ko",
    }


def test_soft_dependencies_come_by_name_and_by_every_module_with_the_alias() -> None:
    assert closure(["fs/ext4/ext4.ko", "drivers/net/r8169.ko"], MODULES, frozenset()) == {
        "fs/ext4/ext4.ko",
        "fs/mbcache.ko",
        "crypto/crc32c_generic.ko",
        "arch/x86/crypto/crc32c-intel.ko",
        "drivers/net/r8169.ko",
        "drivers/net/phy/realtek.ko",
    }


def test_what_is_part_of_the_kernel_need_not_be_a_module() -> None:
    modules = {"drivers/a.ko": ModuleInfo(depends=("pci_hyperv_intf",))}

    assert closure(["drivers/a.ko"], modules, frozenset({"pci_hyperv_intf"})) == {"drivers/a.ko"}
    with pytest.raises(MissingModuleError, match=r"^drivers/a\.ko depends on pci_hyperv_intf, "):
        closure(["drivers/a.ko"], modules, frozenset())


def test_only_firmware_of_kept_modules_that_debian_has_is_wanted() -> None:
    kept = {"drivers/net/r8169.ko"}

    assert firmware_of(kept, MODULES, {"a.fw", "loud.fw"}.__contains__) == {"a.fw"}


def test_modinfo_is_read_from_the_modules_section() -> None:
    content = (
        b"firmware=bnx2x/e1.fw\0firmware=bnx2x/e2.fw\0alias=pci:v000014E4*\0"
        b"depends=mdio,ptp-core,libcrc32c\0softdep=pre: crc32c post: realtek\0license=GPL\0"
    )

    assert parse_modinfo(elf_with_section(".modinfo", content)) == ModuleInfo(
        depends=("mdio", "ptp_core", "libcrc32c"),
        softdeps=("crc32c", "realtek"),
        aliases=("pci:v000014E4*",),
        firmware=("bnx2x/e1.fw", "bnx2x/e2.fw"),
    )


def test_a_module_without_the_section_says_nothing() -> None:
    assert parse_modinfo(elf_with_section(".text", b"\x90")) == ModuleInfo()


def test_a_modules_name_has_underscores() -> None:
    assert name_of("drivers/usb/host/xhci-hcd.ko") == "xhci_hcd"
