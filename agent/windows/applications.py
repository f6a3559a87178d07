r"""Installed programs: the ``Uninstall`` keys of both views and of each user.

Sources: Microsoft, "Uninstall Registry Key" (Windows Installer). Which products share an upgrade
code stands below ``Installer\UpgradeCodes`` in packed form: the digits of each group reversed.
"""

import re
from collections.abc import Iterator

from agent.commands.windows import reg
from agent.commands.windows.host import Windows
from agent.windows.live_registry import CURRENT_VERSION, read_keys
from agent.windows.records import Application
from agent.windows.registry import Keys, RegistryKey, children, find
from agent.windows.version_number import is_at_least, parts

UNINSTALL = rf"{CURRENT_VERSION}\Uninstall"
UPGRADE_CODES = rf"{CURRENT_VERSION}\Installer\UpgradeCodes"
_GUID = re.compile(r"\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}")
_PACKED_GROUPS = (8, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2)


def read_applications(windows: Windows) -> tuple[Application, ...]:
    """Return what is installed, for the machine and for users whose registry is loaded.

    TerminalError RW237.
    """
    found = [
        application
        for view in reg.VIEWS
        for application in _listed(read_keys(windows, UNINSTALL, view), UNINSTALL, "machine", view)
    ]
    for user in reg.users(windows):
        place = UNINSTALL.replace(r"HKLM", rf"HKU\{user}", 1)
        found += _listed(read_keys(windows, place), place, user, 64)
    distinct = {(each.key, each.scope, each.name, each.version): each for each in reversed(found)}
    return tuple(sorted(distinct.values(), key=lambda each: (each.name.lower(), each.key)))


def find_application(windows: Windows, software: str) -> Application | None:
    """Return what has this product code, upgrade code or displayed name, the highest version.

    A name counts in any case. TerminalError RW237.
    """
    applications = read_applications(windows)
    wanted = {software.lower()}
    if is_guid(software):
        wanted |= {code.lower() for code in products_of(windows, software)}
    found = [
        each
        for each in applications
        if each.key.lower() in wanted or each.name.lower() == software.lower()
    ]
    return max(found, key=lambda each: parts(each.version), default=None)


def is_installed(windows: Windows, software: str, version: str = "") -> bool:
    """Return whether it is there in this version or a higher one. TerminalError RW237."""
    found = find_application(windows, software)
    return found is not None and is_at_least(found.version, version)


def products_of(windows: Windows, upgrade_code: str) -> tuple[str, ...]:
    """Return the codes of installed products with this upgrade code. TerminalError RW237."""
    place = rf"{UPGRADE_CODES}\{packed(upgrade_code)}"
    key = find(read_keys(windows, place), place)
    names = () if key is None else tuple(name for name in key.values if len(name) == 32)  # noqa: PLR2004 - digits
    return tuple(unpacked(name.upper()) for name in names)


def is_guid(text: str) -> bool:
    """Return whether a text is a product or upgrade code in braces."""
    return _GUID.fullmatch(text) is not None


def packed(code: str) -> str:
    """Return a code as Windows Installer writes it in names of keys."""
    return "".join(_reversed(code.strip("{}").replace("-", "").upper()))


def unpacked(name: str) -> str:
    """Return the code that a packed name stands for."""
    digits = "".join(_reversed(name))
    groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return f"{{{'-'.join(groups)}}}"


def _reversed(digits: str) -> Iterator[str]:
    place = 0
    for size in _PACKED_GROUPS:
        yield digits[place : place + size][::-1]
        place += size


def _listed(keys: Keys, place: str, scope: str, bits: int) -> Iterator[Application]:
    for key in children(keys, place):
        if key.text("DisplayName"):
            yield _application(key, scope, bits)


def _application(key: RegistryKey, scope: str, bits: int) -> Application:
    return Application(
        key=key.name,
        name=key.text("DisplayName"),
        version=key.text("DisplayVersion"),
        publisher=key.text("Publisher"),
        installed_on=key.text("InstallDate"),
        location=key.text("InstallLocation"),
        scope=scope,
        bits=bits,
        is_msi=key.number("WindowsInstaller") == 1,
        is_listed=not key.number("SystemComponent") and not key.text("ParentKeyName"),
        uninstall=key.text("UninstallString"),
    )
