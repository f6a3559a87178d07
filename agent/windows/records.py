"""What is found on a Windows machine."""

from attrs import frozen


@frozen
class Application:
    """An entry of the list of installed programs (an ``Uninstall`` key)."""

    key: str
    """The name of its key; of a Windows Installer product, its code in braces."""
    name: str
    version: str = ""
    publisher: str = ""
    installed_on: str = ""
    """As the installer wrote it, mostly YYYYMMDD."""
    location: str = ""
    scope: str = "machine"
    """``machine``, or the security identifier of the user that it is installed for."""
    bits: int = 64
    """Of the view of the registry that has it."""
    is_msi: bool = False
    is_listed: bool = True
    """Whether Windows shows it; parts of others and of the system it does not."""
    uninstall: str = ""
    """The command line with which it removes itself."""


@frozen
class OperatingSystem:
    """Which Windows this is, and what it calls itself."""

    name: str
    edition: str
    """EditionID, for example ``Professional`` or ``ServerStandard``."""
    kind: str
    """InstallationType: ``Client``, ``Server`` or ``Server Core``."""
    release: str
    """For example ``23H2``; empty where it has none."""
    version: str
    """``MAJOR.MINOR.BUILD.REVISION``, as ``ver`` prints it."""
    architecture: str
    """``amd64``, ``arm64`` or ``i386``."""
    language: str
    """Of the installation, for example ``de-DE``; its number in digits where it is not known."""
    host_name: str
    domain: str
    """The DNS domain; empty where it has none."""
    machine_id: str
    """MachineGuid: a clone has its master's until it is generalized."""


@frozen
class Service:
    """A service."""

    name: str
    title: str
    start: str
    """``boot``, ``system``, ``automatic``, ``manual`` or ``disabled``."""
    account: str
    command_line: str
    state: int = 0
    """As ``agent.commands.windows.sc`` counts; 0 where it is not known."""
    exit_status: int = 0
    """With which it stopped last: a Win32 error."""
