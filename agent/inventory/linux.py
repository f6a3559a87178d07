"""The inventory of an installed Linux system."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from attrs import field, frozen

from agent.commands import apt, dnf, dpkg_query, loginctl, rpm, systemctl, zypper
from agent.commands.smartctl import read_health
from agent.errors import CommandError, MissingCommandError
from agent.inspection.disks import inspect_disks
from agent.inspection.host_paths import HostPaths, read_line
from agent.inspection.installed_system import parse_os_release
from agent.inventory.collector import Sections
from agent.inventory.restart import restart_reasons
from agent.inventory.smart import SmartSummary, parse_health
from agent.wire.inventory import (
    DiskHealth,
    Entry,
    Package,
    RebootReason,
    ServiceUnit,
    System,
    Update,
    UserSession,
)

_DPKG = "var/lib/dpkg/status"
_RPM = (
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages.db",
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
)
"""Where rpm has its database: a newer Fedora and SUSE, then the others."""
_JOURNALS = tuple(f"{each}-wal" for each in _RPM if each.endswith("sqlite"))
RELEASES = ("etc/os-release", "usr/lib/os-release")
"""Where os-release(5) may be, the first one first."""
DATABASES = (_DPKG, *_RPM, *_JOURNALS)
"""The files that ``packages`` is read from."""
_PACKAGE_LISTS = ("var/lib/apt/lists", "var/cache/dnf", "var/cache/libdnf5", "var/cache/zypp/solv")
"""Their time is when it was last asked which updates there are."""


@frozen
class LinuxCollector:
    """What a Linux system with dpkg or rpm says of itself."""

    paths: HostPaths = field(factory=HostPaths)

    def sections(self) -> Sections:
        """Return how each section is read; services and users are those of the running system."""
        found = {
            "system": self._system,
            "packages": self._packages,
            "updates": self._updates,
            "disks": self._disks,
            "reboot": self._reboot,
        }
        if self.paths.root == Path("/"):
            found.update(services=_services, users=_users)
        return found

    def state(self) -> tuple[object, ...]:
        """Return times and sizes of the databases of packages."""
        return tuple(_status(self.paths.root / each) for each in DATABASES)

    @property
    def _has_dpkg(self) -> bool:
        return (self.paths.root / _DPKG).exists()

    @property
    def _rpm_database(self) -> str:
        """Return the folder of rpm's database, from the root; empty where there is none."""
        found = (each for each in _RPM if (self.paths.root / each).exists())
        return next(found, "").rpartition("/")[0]

    def _system(self) -> Iterator[Entry]:
        release = os_release(self.paths.root)
        firmware = self.paths.sysfs / "class/dmi/id"  # DMTF DSP0134, type 0
        version = release.get("VERSION", "")
        pack = next((each for each in version.replace("-", " ").split() if _is_pack(each)), "")
        yield System(
            os_id=release.get("ID", "linux"),
            os_version=release.get("VERSION_ID", ""),
            os_name=release.get("PRETTY_NAME") or release.get("NAME", ""),
            service_pack=pack,
            kernel=self._kernel,
            architecture=os.uname().machine,
            firmware_vendor=read_line(firmware / "bios_vendor"),
            firmware_version=read_line(firmware / "bios_version"),
            firmware_date=read_line(firmware / "bios_date"),
            booted=_booted(self.paths.proc),
            updates_checked=self._updates_checked(),
        )

    @property
    def _kernel(self) -> str:
        return read_line(self.paths.proc / "sys/kernel/osrelease")

    def _updates_checked(self) -> str:
        times = [_modified(self.paths.root / each) for each in _PACKAGE_LISTS]
        known = [each for each in times if each is not None]
        return _iso(max(known)) if known else ""

    def _packages(self) -> Iterator[Entry]:
        if self._has_dpkg:
            for deb in dpkg_query.list_packages(self.paths.root):
                yield Package(*deb[:-1], format="deb")
        elif not self._rpm_database:
            raise MissingCommandError("dpkg-query")
        if self._rpm_database:
            for each in rpm.list_packages(self.paths.root, self._rpm_database):
                yield Package(*each, format="rpm")

    def _updates(self) -> Iterator[Entry]:
        root = self.paths.root
        if self._has_dpkg:
            if not any("_Packages" in each.name for each in _names(root / "var/lib/apt/lists")):
                raise MissingCommandError("apt")  # it was never asked which versions there are
            all_packages = dpkg_query.list_packages(root)
            held = {(each.name, each.architecture) for each in all_packages if each.held}
            for found in apt.list_upgradable(root):
                yield Update(*found, held=(found.name, found.architecture) in held)
        elif self._rpm_database:
            versions = {
                (each.name, each.architecture): each
                for each in rpm.list_packages(root, self._rpm_database)
            }
            for found in _known_to_dnf_or_zypper(root):
                installed = versions.get((found.name, found.architecture))
                version = installed.version if installed else found.installed
                yield Update(*found[:2], version, *found[3:], held=False)
        else:
            raise MissingCommandError("apt")

    def _disks(self) -> Iterator[Entry]:
        for disk in inspect_disks(self.paths).disks:
            try:
                said = parse_health(read_health(Path(disk.node)))
            except CommandError:
                said = SmartSummary()
            identity = disk.identity
            yield DiskHealth(disk.node, disk.model, identity.serial, identity.size, *said)

    def _reboot(self) -> Iterator[Entry]:
        reasons = restart_reasons(self.paths.root, self._kernel)
        if self._rpm_database and not reasons:
            with suppress(MissingCommandError):
                reasons += ["needs-restarting says so"] if dnf.needs_restarting() else []
        for each in reasons:
            yield RebootReason(each)


def _known_to_dnf_or_zypper(root: Path) -> list[apt.Upgradable]:
    """Return the updates that the one of both knows of that is there."""
    try:
        return dnf.check_update(root)
    except MissingCommandError:
        return zypper.list_updates(root)


def _services() -> Iterator[Entry]:
    for each in systemctl.list_services():
        yield ServiceUnit(*each)


def _users() -> Iterator[Entry]:
    for each in loginctl.list_sessions():
        yield UserSession(*each)


def os_release(root: Path) -> dict[str, str]:
    """Return what os-release of the system under ``root`` says (os-release(5))."""
    for name in RELEASES:
        with suppress(OSError):
            return parse_os_release((root / name).read_text("utf-8", errors="replace"))
    return {}


def _names(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_pack(word: str) -> bool:
    return word[:2] == "SP" and word[2:].isdecimal()


def _booted(proc: Path) -> str:
    """Return when the kernel started, by ``btime`` of /proc/stat (proc(5))."""
    try:
        lines = (proc / "stat").read_text("ascii", errors="replace").splitlines()
    except OSError:
        return ""
    times = [line.split()[1] for line in lines if line.startswith("btime ")]
    return _iso(float(times[0])) if times and times[0].isdecimal() else ""


def _iso(seconds: float) -> str:
    at = datetime.fromtimestamp(int(seconds), timezone.utc)  # noqa: UP017 - of Python 3.11
    return at.isoformat()


def _status(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _modified(path: Path) -> float | None:
    found = _status(path)
    return None if found is None else found[0] / 1e9
