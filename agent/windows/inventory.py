"""The inventory of a running Windows."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from attrs import frozen

from agent.commands.windows import sessions, wmic
from agent.commands.windows.host import Windows
from agent.commands.windows.sc import NEVER_STARTED, RUNNING, STOPPED
from agent.errors import MissingCommandError
from agent.inventory.collector import Sections
from agent.windows.applications import read_applications
from agent.windows.hotfixes import read_hotfixes
from agent.windows.live_registry import read_key
from agent.windows.operating_system import read_operating_system
from agent.windows.reboot import pending_reasons
from agent.windows.records import Service
from agent.windows.registry import RegistryKey
from agent.windows.services import read_services
from agent.wire.inventory import (
    Application,
    Entry,
    Hotfix,
    RebootReason,
    ServiceUnit,
    System,
    UserSession,
)

_FIRMWARE = r"HKLM\HARDWARE\DESCRIPTION\System\BIOS"
_STATES = {2: "activating", 3: "deactivating", RUNNING: "active", 7: "paused"}
_STARTS = {"automatic": "enabled"}
_BITS = {64: "amd64", 32: "i386"}
_FOLDERS = (
    r"C:\Windows\Installer",
    r"C:\Windows\servicing\Packages",
    r"C:\Program Files",
    r"C:\Program Files (x86)",
)
"""Their times change when most installers have added or removed something."""
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)")
_TIME = re.compile(r"(\d{14})\.\d{6}([+-]\d{3})")


@frozen
class WindowsCollector:
    """What a Windows says of itself: ``agent.inventory.collector.Collector``.

    Users are those of ``quser``, which editions for homes lack; disks are not looked at.
    """

    windows: Windows

    def sections(self) -> Sections:
        """Return how each section is read."""
        return {
            "system": self._system,
            "applications": self._applications,
            "hotfixes": self._hotfixes,
            "services": self._services,
            "users": self._users,
            "reboot": self._reboot,
        }

    def state(self) -> tuple[object, ...]:
        """Return the times of folders that installers change."""
        return tuple(_changed(self.windows.local(folder)) for folder in _FOLDERS)

    def _system(self) -> Iterator[Entry]:
        found = read_operating_system(self.windows)
        firmware = read_key(self.windows, _FIRMWARE) or RegistryKey(_FIRMWARE)
        started = wmic.properties(self.windows, "Win32_OperatingSystem", "LastBootUpTime")
        yield System(
            os_id="windows",
            os_version=found.version,
            os_name=f"{found.name} {found.release}".strip(),
            service_pack="",
            kernel=found.version,
            architecture=found.architecture,
            firmware_vendor=firmware.text("BIOSVendor"),
            firmware_version=firmware.text("BIOSVersion"),
            firmware_date=firmware.text("BIOSReleaseDate"),
            booted=time_of(started[0]) if started else "",
            updates_checked="",
        )

    def _applications(self) -> Iterator[Entry]:
        for each in read_applications(self.windows):
            if each.is_listed:
                day = day_of(each.installed_on)
                yield Application(each.name, each.version, each.publisher, day, _BITS[each.bits])

    def _hotfixes(self) -> Iterator[Entry]:
        for name in read_hotfixes(self.windows):
            yield Hotfix(name, "", "")

    def _services(self) -> Iterator[Entry]:
        for each in read_services(self.windows):
            yield ServiceUnit(each.name, _state_of(each), _STARTS.get(each.start, each.start))

    def _users(self) -> Iterator[Entry]:
        found = sessions.sessions(self.windows)
        if found is None:
            raise MissingCommandError("quser.exe")
        for each in found:
            yield UserSession(str(each.number), each.user, each.session, "", "")

    def _reboot(self) -> Iterator[Entry]:
        for reason in pending_reasons(self.windows):
            yield RebootReason(reason)


def day_of(text: str) -> str:
    """Return ``2026-11-29`` for ``20261129``; nothing for what is no day in this form."""
    found = _DAY.fullmatch(text.strip())
    return "-".join(found.groups()) if found else ""


def time_of(text: str) -> str:
    """Return a CIM_DATETIME (``20261129150500.500000+060``) in UTC; nothing for what is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return ""
    try:
        local = datetime.strptime(found.group(1), "%Y%m%d%H%M%S")  # noqa: DTZ007 - below
        zone = timezone(timedelta(minutes=int(found.group(2))))
        return local.replace(tzinfo=zone).astimezone(timezone.utc).isoformat()  # noqa: UP017 - of Python 3.11
    except (ValueError, OverflowError):
        return ""


def _state_of(service: Service) -> str:
    """Return the state in the words of systemd; empty where it is not known."""
    if service.state == STOPPED:
        return "failed" if service.exit_status not in (0, NEVER_STARTED) else "inactive"
    return _STATES.get(service.state, "")


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None
