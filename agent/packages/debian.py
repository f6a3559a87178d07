"""Packages of Debian and what descends from it: by name from sources, and files."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from agent.commands import apt_cache, apt_get, dpkg, dpkg_deb, dpkg_query
from agent.commands.ended import Ended
from agent.commands.runner import run_command
from agent.commands.supervised import Supervision
from agent.errors import CodedError, CommandError, MissingCommandError, TerminalError
from agent.packages import package_errors
from agent.packages.room import TIMES, require_room
from agent.packages.software_name import checked_name, refuse_user_session
from agent.wire.package import WantedPackage

_log = logging.getLogger(__name__)
_UPDATE_SECONDS = 900.0
_REPAIR_SECONDS = 3600.0
_PAUSE_SECONDS = 2.0
_FOLDERS = (Path("/usr"), Path("/var/cache"), Path("/var/lib/dpkg"))


@frozen
class DpkgRepair:
    """Finishes what an interrupted dpkg has left."""

    supervision: Supervision
    pause: Callable[[float], None]
    updates: Path = Path("/var/lib/dpkg/updates")

    def repair(self) -> None:
        """Configure what is only unpacked, and install what is lacking; remove nothing.

        It does what dpkg itself asks for after a loss of power (``dpkg --configure -a``). Where
        that is not enough, missing dependencies are installed, as long as nothing is removed for
        them. A package that cannot be repaired is left as it is, and named in the log: others may
        still be installed. TransientError RW214 where another process keeps the lock.
        """
        journal = self.updates.is_dir() and any(self.updates.iterdir())
        if not journal and not dpkg_query.unfinished():
            return
        ended = self._without_lock_of_others()
        if ended.status != 0 and (left := dpkg_query.unfinished()):
            _log.warning("dpkg left unfinished packages=%s said=%s", left, ended.last_line)
        try:
            self._run(apt_get.repair_arguments())
        except MissingCommandError:
            return
        if left := dpkg_query.unfinished():
            _log.warning("packages not repaired packages=%s", left)

    def _without_lock_of_others(self) -> Ended:
        """Run ``dpkg --configure``; dpkg itself does not wait for its lock."""
        waited = 0.0
        while True:
            ended = self._run(dpkg.configure_arguments())
            error = package_errors.of_debian("dpkg", ended.output)
            if ended.status != dpkg.LOCKED or error is None or error.code != "RW214":
                return ended
            if waited >= apt_get.LOCK_WAIT_SECONDS:
                raise error
            self.pause(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS

    def _run(self, argv: list[str]) -> Ended:
        return self.supervision.run(
            argv,
            timeout=_REPAIR_SECONDS,
            environment=apt_get.ENVIRONMENT,
            wait_for_all=False,
        )


class Apt:
    """apt on this system: its sources are read once, and it installs names and files."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._read: Ended | None = None

    def read_sources(self) -> None:
        """Read the lists of the sources, unless that was done; what fails is told later."""
        if self._read is None:
            self._read = self._run(apt_get.update_arguments(), _UPDATE_SECONDS)

    def plan(self, target: str, wanted: WantedPackage) -> tuple[int, str]:
        """Return the status and the words of a simulation; CommandError."""
        planned = run_command(
            apt_get.install_arguments([target], wanted.arguments, simulate=True),
            accept=(0, apt_get.FAILED),
            environment=apt_get.ENVIRONMENT,
        )
        output = planned.stdout.decode("utf-8", "replace")
        return planned.status, f"{output}\n{planned.stderr}"

    def install(self, targets: Sequence[str], wanted: WantedPackage, *, again: bool) -> Ended:
        """Install names or files with what they depend on; nothing is removed for them."""
        argv = apt_get.install_arguments(targets, wanted.arguments, again=again)
        return self._run(argv, wanted.timeout)

    def meaning(self, wanted: WantedPackage, output: str) -> CodedError | None:
        """Return what apt's words mean; where the sources lack it, why one was not read."""
        error = package_errors.of_debian(wanted.name, output)
        if self._read is not None and (error is None or error.code == "RW217"):
            return package_errors.of_debian(wanted.name, self._read.output) or error
        return error

    def _run(self, argv: list[str], timeout: float) -> Ended:
        return self._supervision.run(
            argv, timeout=timeout, environment=apt_get.ENVIRONMENT, wait_for_all=False
        )


class AptAdapter:
    """Packages by name from the machine's own sources."""

    success = frozenset[int]()
    reboot_needed = frozenset[int]()

    def __init__(self, apt: Apt, repair: DpkgRepair) -> None:
        self._apt = apt
        self._repair = repair

    def repair(self) -> None:
        """Finish what an interrupted dpkg has left."""
        self._repair.repair()

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """See that the sources have it, that nothing contradicts and that there is room.

        Raises the CodedError that apt's words mean.
        """
        del files
        refuse_user_session(wanted)
        target = checked_name(wanted, "=")
        self._apt.read_sources()
        status, output = self._apt.plan(target, wanted)
        if status != 0:
            raise self._apt.meaning(wanted, output) or TerminalError(
                "RW208",
                f"{wanted.name}: apt cannot plan it: {output.strip().splitlines()[-1]}",
                "Try the same on the machine",
            )
        if names := apt_get.parse_planned(output):
            require_room(wanted.name, needed(*apt_cache.sizes(names)), _FOLDERS)

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Install it with what it depends on."""
        del files
        half = wanted.software_name in dpkg_query.unfinished()
        return self._apt.install([checked_name(wanted, "=")], wanted, again=half)

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return what apt's words mean."""
        return self._apt.meaning(wanted, ended.output)

    def version(self, wanted: WantedPackage) -> str:
        """Return the installed version."""
        return dpkg_query.installed_version(wanted.software_name)


class DebAdapter:
    """Package files: by apt, which brings what they depend on, else by dpkg."""

    success = frozenset[int]()
    reboot_needed = frozenset[int]()

    def __init__(self, apt: Apt | None, repair: DpkgRepair) -> None:
        self._apt = apt
        self._repair = repair

    def repair(self) -> None:
        """Finish what an interrupted dpkg has left."""
        self._repair.repair()

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """See that they are packages and that there is room.

        The sources are read only where something is lacking: machines without any install too.
        """
        refuse_user_session(wanted)
        if not files:
            raise TerminalError(
                "RW222", f"{wanted.name} has no files to install", "Name them in the package"
            )
        for path in files.values():
            _name_in(wanted, path)
        require_room(wanted.name, TIMES * sum(file.size for file in wanted.files), _FOLDERS)
        if self._apt is not None:
            plans = (self._apt.plan(str(path), wanted) for path in files.values())
            if any(status != 0 for status, _ in plans):
                self._apt.read_sources()

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Install the files."""
        paths = list(files.values())
        if self._apt is None:
            return self._repair.supervision.run(
                dpkg.install_arguments(paths, wanted.arguments),
                timeout=wanted.timeout,
                environment=apt_get.ENVIRONMENT,
                wait_for_all=False,
            )
        half = {_name_in(wanted, path) for path in paths} & set(dpkg_query.unfinished())
        return self._apt.install([str(path) for path in paths], wanted, again=bool(half))

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return what apt's or dpkg's words mean."""
        if self._apt is None:
            return package_errors.of_debian(wanted.name, ended.output)
        return self._apt.meaning(wanted, ended.output)

    def version(self, wanted: WantedPackage) -> str:
        """Return the installed version."""
        return dpkg_query.installed_version(wanted.software_name)


def _name_in(wanted: WantedPackage, path: Path) -> str:
    try:
        return dpkg_deb.package_name(path)
    except CommandError as error:
        raise package_errors.of_debian(wanted.name, error.words) or error from error


def needed(download: int, unpacked: int) -> int:
    """Return the bytes that have to be free for packages of such sizes."""
    return max(TIMES * download, download + unpacked)
