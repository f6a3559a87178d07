"""Adapters for packages of Windows: ``msi``, ``msu`` and ``exe``.

They run one installer at a time, with all that it starts. Windows Installer and Windows Update
do their work in services: what they print and use says nothing of it, and only the package's time
ends them. Where Windows Installer is busy with another one (1618), it is waited for within
the package's time. What statuses mean, ``exit_codes`` says; what went wrong in
an MSI, its log.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from attrs import define, evolve, field, frozen

from agent.clock import Clock
from agent.commands.ended import Ended
from agent.commands.supervised import Supervision
from agent.commands.windows import msiexec, wusa
from agent.commands.windows.host import Windows, console_text
from agent.errors import (
    CodedError,
    CommandError,
    MissingCommandError,
    TerminalError,
    TransientError,
)
from agent.packages.adapter import Adapter
from agent.windows import exit_codes
from agent.windows.applications import find_application
from agent.windows.msi_log import MsiLog, gist, read_log
from agent.wire.package import MOST_OUTPUT, WantedPackage

_INSTALLED = frozenset(exit_codes.statuses(exit_codes.INSTALLED, exit_codes.PRESENT))
_REBOOT = frozenset(exit_codes.statuses(exit_codes.REBOOT_NEEDED, exit_codes.REBOOT_BEGUN))
_BUSY = frozenset(exit_codes.statuses(exit_codes.BUSY))
_WAIT_SECONDS = 15.0


@define
class WindowsInstaller:
    """What the adapters of Windows share: waiting for others, and what statuses mean."""

    windows: Windows
    clock: Clock = field(factory=Clock)
    supervision: Supervision | None = None
    """What runs installers; None where ``windows`` does, without looking after what they start."""
    works_itself: ClassVar[bool] = True
    """Whether the program does the work, and no service for it."""
    success: frozenset[int] = field(default=_INSTALLED, init=False)
    reboot_needed: frozenset[int] = field(default=_REBOOT, init=False)

    def repair(self) -> None:
        """Nothing: Windows Installer undoes by itself what was interrupted."""

    def version(self, wanted: WantedPackage) -> str:
        """Return the version in the list of installed programs; empty where it is not there."""
        found = find_application(self.windows, wanted.software_name)
        return "" if found is None else found.version

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return what the status means; None where it means success, or it did not end itself."""
        if ended.status is None:
            return None
        return failure_of(wanted.name, ended.status, gist(ended.output.splitlines()))

    def ended_after(self, argv: Sequence[str], seconds: float) -> Ended:
        """Run an installer once it is not kept from it by another, for so long at most."""
        start = self.clock.monotonic()

        def passed() -> float:
            return self.clock.monotonic() - start

        while True:
            ended = self._run(argv, max(seconds - passed(), 1.0))
            is_late = passed() + _WAIT_SECONDS > seconds
            if ended.status not in _BUSY or is_late:
                return evolve(ended, seconds=passed())
            self.clock.pause(_WAIT_SECONDS)

    def _run(self, argv: Sequence[str], seconds: float) -> Ended:
        if self.supervision is not None:
            silence = self.supervision.silence if self.works_itself else seconds
            supervision = evolve(self.supervision, silence=silence)
            return supervision.run(argv, timeout=seconds, wait_for_all=self.works_itself)
        try:
            done = self.windows.run(argv, timeout=seconds)
        except MissingCommandError:
            raise
        except CommandError as error:
            return Ended(None, error.words[-MOST_OUTPUT:], "timed-out")
        said = f"{console_text(done.stdout)}\n{done.stderr}".strip()
        return Ended(done.status, said[-MOST_OUTPUT:])


@define
class MsiInstaller(WindowsInstaller):
    """Packages of Windows Installer; ``arguments`` are properties, ``NAME=VALUE``."""

    works_itself = False

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """Raise TerminalError RW233 without exactly one ``.msi``, RW234 for a user's session."""
        _refuse_user_session(wanted)
        _only_file(wanted, files, ".msi")

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Install it, or put it in the place of another package of the same product (1638)."""
        file = self.windows.native(_only_file(wanted, files, ".msi"))
        ended = self._logged(
            lambda log: msiexec.install_arguments(file, log, wanted.arguments), wanted.timeout
        )
        left = wanted.timeout - ended.seconds
        if ended.status != msiexec.OTHER_PACKAGE or left <= 1:
            return ended
        return self._logged(
            lambda log: msiexec.replace_arguments(file, log, wanted.arguments), left
        )

    def remove(self, software: str, timeout: float) -> Ended | None:
        """Remove a product by its code, upgrade code or name; None where it is not there.

        ``timeout`` is in seconds. TerminalError RW237.
        """
        found = find_application(self.windows, software)
        if found is None or not found.is_msi:
            return None
        return self._logged(lambda log: msiexec.remove_arguments(found.key, log), timeout)

    def _logged(self, command: Callable[[str], Sequence[str]], seconds: float) -> Ended:
        """Run it; the output is the cause that its log has, and the log's end."""
        log = self.windows.scratch / "msiexec.log"
        log.unlink(missing_ok=True)
        try:
            ended = self.ended_after(command(self.windows.native(log)), seconds)
            said = _log_text(log)
        finally:
            log.unlink(missing_ok=True)
        output = "\n".join(part for part in (said, ended.output) if part)
        return evolve(ended, output=output[-MOST_OUTPUT:])


@define
class MsuInstaller(WindowsInstaller):
    """Updates of Windows."""

    works_itself = False

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """Raise TerminalError RW233 without exactly one ``.msu``, RW234 for a user's session."""
        _refuse_user_session(wanted)
        _only_file(wanted, files, ".msu")

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Install it; ``arguments`` are none of its."""
        file = self.windows.native(_only_file(wanted, files, ".msu"))
        return self.ended_after(wusa.install_arguments(file), wanted.timeout)


@define
class ExeInstaller(WindowsInstaller):
    """Installers that are programs: the command, or the first file with ``arguments``."""

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """Raise TerminalError RW233 where there is nothing to run, RW234 for a user's session."""
        _refuse_user_session(wanted)
        if not wanted.command and not files:
            raise _wrong_files(wanted, "neither a command nor a file")

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Run it."""
        words = wanted.command or (next(iter(files)),)
        places = {name: self.windows.native(path) for name, path in files.items()}
        argv = [*(places.get(word, word) for word in words), *wanted.arguments]
        return self.ended_after(argv, wanted.timeout)


def windows_installers(
    windows: Windows, supervision: Supervision | None = None
) -> Mapping[str, Adapter]:
    """Return the adapters by their names in packages."""
    return {
        "msi": MsiInstaller(windows, supervision=supervision),
        "msu": MsuInstaller(windows, supervision=supervision),
        "exe": ExeInstaller(windows, supervision=supervision),
    }


def failure_of(name: str, status: int, log: MsiLog | None = None) -> CodedError | None:
    """Return what an installer's status means where it is no success: RW230, RW231 or RW232."""
    code = exit_codes.meaning_of(status)
    what = f"{code.meaning} ({code.name}, {status})" if code.name else code.meaning
    said = f": {log.cause}" if log is not None and log.cause else ""
    if code.outcome == exit_codes.BUSY:
        return TransientError("RW231", f"{name} was not installed: {what}", code.action)
    if code.outcome == exit_codes.NOT_APPLICABLE:
        return TerminalError("RW232", f"{name} was not installed: {what}", code.action)
    if code.outcome in (exit_codes.FAILED, exit_codes.ABSENT):
        action = code.action or "Look whether it is installed on the machine"
        return TerminalError("RW230", f"{name} was not installed: {what}{said}", action)
    return None


def _log_text(log: Path) -> str:
    """Return the cause in a line of its own form, then the log's end; nothing without a log."""
    try:
        with log.open("rb") as file:
            found = read_log(file)
    except OSError:
        return ""
    return _Cause(found).text


@frozen
class _Cause:
    """A log's cause in the form that ``gist`` reads again from a result's output."""

    log: MsiLog

    @property
    def text(self) -> str:
        lines = [self.log.tail]
        known = gist(self.log.tail.splitlines())
        if self.log.action and (known.action, known.error) != (self.log.action, self.log.error):
            error = self.log.error.removeprefix("error ")
            said = [f"Error {error.replace(': ', '. ', 1)}"] if error else []
            lines = [*said, f"Action ended 0:00:00: {self.log.action}. Return value 3.", *lines]
        return "\n".join(lines)


def _only_file(wanted: WantedPackage, files: Mapping[str, Path], suffix: str) -> Path:
    found = [path for name, path in files.items() if name.lower().endswith(suffix)]
    if len(found) != 1:
        raise _wrong_files(wanted, f"{len(found)} files that end with {suffix}, wanted one")
    return found[0]


def _wrong_files(wanted: WantedPackage, found: str) -> TerminalError:
    return TerminalError(
        "RW233",
        f"the package {wanted.name} has {found}",
        f"Correct its files, or its adapter {wanted.adapter}",
    )


def _refuse_user_session(wanted: WantedPackage) -> None:
    if wanted.session == "user":
        raise TerminalError(
            "RW234",
            f"{wanted.name} shall be installed in a user's session, which is not possible on "
            "Windows",
            "Use `session: service`, or an installer for the whole machine",
        )
