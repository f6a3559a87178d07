"""A running Windows as the engine of packages sees it: ``agent.packages.adapter.System``."""

from collections.abc import Mapping

from attrs import frozen

from agent.commands.supervised import Supervision
from agent.commands.windows import wmic
from agent.commands.windows.host import Windows, console_text
from agent.errors import CommandError
from agent.packages.adapter import Adapter, SystemFacts
from agent.windows.applications import is_installed
from agent.windows.file_version import file_version
from agent.windows.hotfixes import is_hotfix_name, read_hotfixes
from agent.windows.installers import windows_installers
from agent.windows.live_registry import read_key
from agent.windows.operating_system import read_operating_system
from agent.windows.reboot import pending_reasons
from agent.windows.registry import RegistryValue
from agent.windows.version_number import is_at_least
from agent.wire.package import FileSign, PackageSign, RegistrySign, Sign

_PREFETCH = (
    r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager"
    r"\Memory Management\PrefetchParameters"
)
_COMMAND_SECONDS = 60.0


@frozen
class WindowsSystem:
    """The Windows whose programs ``windows`` runs, and installers by ``supervision``."""

    windows: Windows
    supervision: Supervision | None = None

    def facts(self) -> SystemFacts:
        """Return which Windows this is. TerminalError RW237."""
        found = read_operating_system(self.windows)
        release = found.name.removeprefix("Microsoft ").removeprefix("Windows ").strip()
        number = release.partition(" ")[0] if not release.startswith("Server ") else ""
        server = release.removeprefix("Server ").partition(" ")[0] if not number else ""
        named = (number or server, release, found.release, found.version)
        return SystemFacts(
            families=("windows-server", "windows") if server else ("windows",),
            versions=tuple(dict.fromkeys(name for name in named if name)),
            architecture=found.architecture,
            languages=tuple(dict.fromkeys((found.language, found.language.partition("-")[0]))),
        )

    def boot(self) -> str:
        """Return the number of the start, else its time; empty where Windows says neither."""
        key = read_key(self.windows, _PREFETCH)
        number = key.number("BootId") if key is not None else 0
        if number:
            return str(number)
        times = wmic.properties(self.windows, "Win32_OperatingSystem", "LastBootUpTime")
        return times[0].partition(".")[0] if times else ""

    def detects(self, sign: Sign) -> bool:
        """Return whether the sign is there; CodedError where it cannot be looked for.

        A registry sign counts in either view of the registry. A package's name is a product
        code, an upgrade code, a displayed name or an update (``KB…``).
        """
        if isinstance(sign, FileSign):
            return self._has_file(sign)
        if isinstance(sign, RegistrySign):
            return any(self._has_value(sign, view) for view in (64, 32))
        if isinstance(sign, PackageSign):
            if is_hotfix_name(sign.name):
                return sign.name.upper() in read_hotfixes(self.windows)
            return is_installed(self.windows, sign.name, sign.version)
        try:
            done = self.windows.run(sign.command, timeout=_COMMAND_SECONDS)
        except CommandError:
            return False
        said = console_text(done.stdout) + done.stderr
        return done.status == sign.status and sign.output in said

    def adapters(self) -> Mapping[str, Adapter]:
        """Return ``msi``, ``msu`` and ``exe``."""
        return windows_installers(self.windows, self.supervision)

    def reboot_pending(self) -> bool:
        """Return whether Windows itself says that it has to restart. TerminalError RW237."""
        return bool(pending_reasons(self.windows))

    def _has_file(self, sign: FileSign) -> bool:
        path = self.windows.local(sign.path)
        try:
            if not sign.version:
                return path.exists()
            found = file_version(path)
        except OSError:
            return False
        return bool(found) and is_at_least(found, sign.version)

    def _has_value(self, sign: RegistrySign, view: int) -> bool:
        key = read_key(self.windows, sign.key, view)
        if key is None:
            return False
        value = key.values.get(sign.name.lower())
        if value is None:
            return not sign.name and sign.value is None  # the key is there, which is all it asks
        return sign.value is None or says(value, sign.value)


def says(value: RegistryValue, wanted: str) -> bool:
    """Return whether a value is the wanted one; numbers may be written ``0x1f`` too."""
    if isinstance(value.data, int):
        try:
            return value.data == int(wanted, 0)
        except ValueError:
            return False
    return value.text == wanted
