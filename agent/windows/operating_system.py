"""Which Windows this is, from the registry.

ProductName says Windows 10 on Windows 11 too; from build 22000 on it is the latter (Microsoft,
"Windows 11 - release information").
"""

import locale

from agent.commands.windows.host import Windows
from agent.windows.live_registry import read_key
from agent.windows.records import OperatingSystem
from agent.windows.registry import RegistryKey

_VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
_LANGUAGE = r"HKLM\SYSTEM\CurrentControlSet\Control\Nls\Language"
_NETWORK = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
_COMPUTER_NAME = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName"
_CRYPTOGRAPHY = r"HKLM\SOFTWARE\Microsoft\Cryptography"
_FIRST_WINDOWS_11 = 22000
_ARCHITECTURES = {"AMD64": "amd64", "ARM64": "arm64", "X86": "i386"}


def read_operating_system(windows: Windows) -> OperatingSystem:
    """Return which Windows this is; what the registry does not have is empty.

    TerminalError RW237.
    """
    version = _key(windows, _VERSION)
    build = version.text("CurrentBuildNumber") or version.text("CurrentBuild")
    name = version.text("ProductName")
    is_client = version.text("InstallationType") in ("Client", "")
    if is_client and build.isdecimal() and int(build) >= _FIRST_WINDOWS_11:
        name = name.replace("Windows 10", "Windows 11", 1)
    architecture = _key(windows, _ENVIRONMENT).text("PROCESSOR_ARCHITECTURE")
    network = _key(windows, _NETWORK)
    host_name = network.text("Hostname") or _key(windows, _COMPUTER_NAME).text("ComputerName")
    return OperatingSystem(
        name=name,
        edition=version.text("EditionID"),
        kind=version.text("InstallationType"),
        release=version.text("DisplayVersion") or version.text("ReleaseId"),
        version=f"{_release_number(version)}.{build}.{version.number('UBR')}",
        architecture=_ARCHITECTURES.get(architecture.upper(), architecture.lower()),
        language=language_of(_key(windows, _LANGUAGE).text("InstallLanguage")),
        host_name=host_name,
        domain=network.text("Domain") or network.text("DhcpDomain"),
        machine_id=_key(windows, _CRYPTOGRAPHY).text("MachineGuid"),
    )


def language_of(number: str) -> str:
    """Return ``de-DE`` for ``0407``; the digits where the number is not known."""
    try:
        name = locale.windows_locale.get(int(number, 16), number)
    except ValueError:
        return number
    return name.replace("_", "-")


def _release_number(version: RegistryKey) -> str:
    major = version.number("CurrentMajorVersionNumber")
    if major:
        return f"{major}.{version.number('CurrentMinorVersionNumber')}"
    return version.text("CurrentVersion")  # "6.3" is what it says from Windows 8.1 on


def _key(windows: Windows, path: str) -> RegistryKey:
    return read_key(windows, path) or RegistryKey(path)
