"""A running Linux system: which one it is, what is installed, and what can install."""

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import which

from agent.commands import dpkg, dpkg_query, rpm
from agent.commands.runner import follow_command
from agent.commands.supervised import Supervision
from agent.errors import MissingCommandError, TerminalError
from agent.inspection.installed_system import parse_os_release
from agent.packages.adapter import Adapter, SystemFacts
from agent.packages.debian import Apt, AptAdapter, DebAdapter, DpkgRepair
from agent.packages.program import ProgramAdapter
from agent.packages.rpm_family import rpm_adapters
from agent.wire.package import CommandSign, FileSign, PackageSign, RegistrySign, Sign

_FAMILIES = ("debian", "ubuntu", "rhel", "fedora", "suse")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "i386"}
_LOOK_SECONDS = 60.0


class LinuxSystem:
    """The system that this process runs in."""

    def __init__(
        self,
        supervision: Supervision,
        pause: Callable[[float], None] = time.sleep,
        root: Path = Path("/"),
    ) -> None:
        self._root = root
        adapters: dict[str, Adapter] = {**rpm_adapters(supervision, pause)}
        if which("dpkg"):
            repair = DpkgRepair(supervision, pause)
            apt = Apt(supervision) if which("apt-get") else None
            adapters["deb"] = DebAdapter(apt, repair)
            if apt is not None:
                adapters["apt"] = AptAdapter(apt, repair)
        adapters["exe"] = adapters["script"] = ProgramAdapter(supervision)
        self._adapters = adapters

    def facts(self) -> SystemFacts:
        """Return which system this is, by os-release and the system's locale."""
        return facts_of(
            _text(self._root / "etc/os-release") or _text(self._root / "usr/lib/os-release"),
            _text(self._root / "etc/locale.conf") + _text(self._root / "etc/default/locale"),
            _ARCHITECTURES.get(platform.machine(), platform.machine()),
        )

    def boot(self) -> str:
        """Return the kernel's id of this boot."""
        return _text(self._root / "proc/sys/kernel/random/boot_id").strip()

    def adapters(self) -> Mapping[str, Adapter]:
        """Return the adapters whose programs are here."""
        return self._adapters

    def reboot_pending(self) -> bool:
        """Return whether packages have asked for a restart, as Debian's do."""
        return (self._root / "run/reboot-required").exists()

    def detects(self, sign: Sign) -> bool:
        """Return whether the sign is there; TerminalError RW204 for one that Linux has not."""
        if isinstance(sign, FileSign):
            if sign.version:
                raise _not_here("a file has no version on Linux", "a package's or a command's sign")
            return Path(sign.path).exists()
        if isinstance(sign, PackageSign):
            return _is_listed(sign)
        if isinstance(sign, CommandSign):
            return _answers(sign)
        if isinstance(sign, RegistrySign):
            raise _not_here("Linux has no registry", "another sign, or `targets` without Linux")
        raise TypeError(sign)


def facts_of(os_release: str, locale: str, architecture: str) -> SystemFacts:
    """Return which system it is by the texts of os-release(5) and locale.conf(5)."""
    values = parse_os_release(os_release)
    own = values.get("ID", "linux")
    like = () if own in _FAMILIES else values.get("ID_LIKE", "").split()
    families = (own, *[name for name in like if name in _FAMILIES][:1])
    language = parse_os_release(locale).get("LANG", "").partition(".")[0]
    return SystemFacts(
        families=families,
        versions=(values["VERSION_ID"],) if values.get("VERSION_ID") else (),
        architecture=architecture,
        languages=() if language in ("", "C", "POSIX") else (language.replace("_", "-"),),
    )


def _is_listed(sign: PackageSign) -> bool:
    """Return whether dpkg's or RPM's list has the package in that version or a higher one."""
    if which("dpkg-query") and (version := dpkg_query.installed_version(sign.name)):
        return not sign.version or dpkg.is_at_least(version, sign.version)
    if which("rpm") and (version := rpm.installed_version(sign.name)):
        return not sign.version or rpm.is_at_least(version, sign.version)
    return False


def _answers(sign: CommandSign) -> bool:
    try:
        followed = follow_command(sign.command, timeout=_LOOK_SECONDS)
    except MissingCommandError:
        return False
    return followed.status == sign.status and sign.output in followed.words


def _not_here(cause: str, instead: str) -> TerminalError:
    return TerminalError("RW204", cause, f"Use {instead}")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
