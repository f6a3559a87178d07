"""Packages of Red Hat's and SUSE's families: by name from sources, and files."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Protocol

from attrs import evolve

from agent.commands import dnf, rpm, zypper
from agent.commands.ended import Ended
from agent.commands.supervised import Supervision
from agent.errors import CodedError, CommandError, TerminalError
from agent.packages import package_errors
from agent.packages.room import TIMES, require_room
from agent.packages.software_name import checked_name, refuse_user_session
from agent.wire.package import WantedPackage

_log = logging.getLogger(__name__)
_FOLDERS = (Path("/usr"), Path("/var/cache"))
_LOCK_WAIT_SECONDS = 300.0
_PAUSE_SECONDS = 2.0
_REBUILD_SECONDS = 1800.0
_LEAST_ROOM = 32 << 20
"""Bytes, where the sizes are not known before: dnf and zypper compare these themselves."""


class Installer(Protocol):
    """A program that installs what is named, and brings what it depends on."""

    separator: str
    """Between name and version."""
    success: frozenset[int]
    reboot_needed: frozenset[int]

    def install(self, targets: Sequence[str], wanted: WantedPackage, *, files: bool) -> Ended:
        """Install names, or ``files`` by their paths."""


class Dnf:
    """dnf as an installer."""

    separator = "-"
    success = frozenset[int]()
    reboot_needed = frozenset[int]()

    def __init__(self, supervision: Supervision, pause: Callable[[float], None]) -> None:
        self._supervision = supervision
        self._pause = pause

    def install(self, targets: Sequence[str], wanted: WantedPackage, *, files: bool) -> Ended:
        """Install them; dnf would wait for its lock without end, so that it is waited for here."""
        del files
        argv = dnf.install_arguments(targets, wanted.arguments)
        waited = 0.0
        while True:
            ended = self._supervision.run(argv, timeout=wanted.timeout, wait_for_all=False)
            if ended.status != dnf.LOCKED or waited >= _LOCK_WAIT_SECONDS:
                return evolve(ended, contradicted=dnf.has_failed_script(ended.output))
            self._pause(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS


class Zypper:
    """zypper as an installer."""

    separator = "="
    success = frozenset({zypper.RESTART_NEEDED})
    reboot_needed = frozenset({zypper.REBOOT_NEEDED})

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision

    def install(self, targets: Sequence[str], wanted: WantedPackage, *, files: bool) -> Ended:
        """Install them. Files were compared with their digests, and need no signature."""
        return self._supervision.run(
            zypper.install_arguments(targets, wanted.arguments, unsigned_files=files),
            timeout=wanted.timeout,
            environment=zypper.ENVIRONMENT,
            wait_for_all=False,
        )


class PlainRpm:
    """rpm as an installer of files, where neither dnf nor zypper is there."""

    separator = "-"
    success = frozenset[int]()
    reboot_needed = frozenset[int]()

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision

    def install(self, targets: Sequence[str], wanted: WantedPackage, *, files: bool) -> Ended:
        """Install or upgrade files."""
        del files
        argv = rpm.install_arguments([Path(target) for target in targets], wanted.arguments)
        return self._supervision.run(argv, timeout=wanted.timeout, wait_for_all=False)


class RpmAdapter:
    """Packages by name, or files: what differs between the programs is the installer's."""

    def __init__(self, installer: Installer, supervision: Supervision) -> None:
        self._installer = installer
        self._supervision = supervision
        self.success = installer.success
        self.reboot_needed = installer.reboot_needed

    def repair(self) -> None:
        """Make the list of packages anew where it cannot be read.

        An interrupted transaction is otherwise gone on with by installing again. CommandError where
        the database cannot be made anew.
        """
        if not rpm.is_database_readable():
            _log.warning("rpm database unreadable: making it anew")
            argv = rpm.rebuild_arguments()
            ended = self._supervision.run(argv, timeout=_REBUILD_SECONDS)
            if ended.status != 0:
                raise CommandError(argv, "failed", ended.last_line, ended.status)

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """See that the name or the files can be installed and that there is room."""
        refuse_user_session(wanted)
        needed = _LEAST_ROOM
        if wanted.adapter == "rpm":
            if not files:
                raise TerminalError(
                    "RW222", f"{wanted.name} has no files to install", "Name them in the package"
                )
            for path in files.values():
                try:
                    rpm.file_name_version(path)
                except CommandError as error:
                    raise TerminalError(
                        "RW220",
                        f"{wanted.name}: the file is no RPM package: {error.words}",
                        "See what was published under its name",
                    ) from error
            needed = TIMES * sum(file.size for file in wanted.files)
        else:
            checked_name(wanted, self._installer.separator)
        require_room(wanted.name, needed, _FOLDERS)

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Install the files or, without, the name."""
        if wanted.adapter == "rpm":
            paths = [str(path) for path in files.values()]
            return self._installer.install(paths, wanted, files=True)
        name = checked_name(wanted, self._installer.separator)
        return self._installer.install([name], wanted, files=False)

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return what the program's words mean."""
        return package_errors.of_rpm(wanted.name, ended.output)

    def version(self, wanted: WantedPackage) -> str:
        """Return the installed version."""
        return rpm.installed_version(wanted.software_name)


def rpm_adapters(supervision: Supervision, pause: Callable[[float], None]) -> dict[str, RpmAdapter]:
    """Return the adapters whose programs are on this system."""
    installers: dict[str, Installer] = {}
    if which("rpm"):
        installers["rpm"] = PlainRpm(supervision)
    if which("zypper"):
        installers["zypper"] = installers["rpm"] = Zypper(supervision)
    if which("dnf"):
        installers["dnf"] = installers["rpm"] = Dnf(supervision, pause)
    return {kind: RpmAdapter(installer, supervision) for kind, installer in installers.items()}
