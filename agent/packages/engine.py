"""Installs what is wanted, each package once, whatever happens meanwhile.

    for each package, requirements first:
      result of this run in the journal ─────────────────────────▶ that
      not for this system, or a requirement is not there ────────▶ not-applicable, blocked
      all signs there ───────────────────────────────────────────▶ present
      (or installed, where an interrupted installer had got that far)
      tried too often ───────────────────────────────────────────▶ stalled
      fetch, compare digests, check for room and programs ───────▶ failed
      write "under way" ─ run the installer ─ look again ─ write the result

A machine that loses its power anywhere here is called again after its start with the same list and
run. Results in the journal stand; a package under way is looked for before anything else.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen, validators

from agent.commands.ended import Ended
from agent.errors import CodedError, EndedError, FencedError, TerminalError, TimeLimitError
from agent.packages.adapter import Adapter, System
from agent.packages.journal import PackageJournal, PackageRecord, digest_of
from agent.packages.judgement import Evidence, explained, judged, not_detected, refused, stalled
from agent.packages.order import in_order
from agent.packages.targets import is_applicable, words_of
from agent.wire.package import PackageFile, PackageResult, PackageSign, Sign, WantedPackage

_log = logging.getLogger(__name__)
_PIECE = 1 << 20
_WITHOUT_LIST = ("exe", "script", "msu")
_ORDERS_TO_STOP = (FencedError, EndedError, TimeLimitError)
"""They concern the whole operation, and no package."""

Fetch = Callable[[PackageFile], Path]
"""Returns where a file lies under its own name, a package's files in one folder. It may raise
CodedError."""


def no_content(file: PackageFile) -> Path:
    """Raise TerminalError RW212: this agent has nowhere to fetch files from."""
    raise TerminalError("RW212", f"{file.name} cannot be fetched", "Upgrade the machine's agent")


@frozen
class Outcome:
    """How far it has come. ``results`` are in the order in which packages are installed."""

    results: tuple[PackageResult, ...]
    reboot: bool
    """Whether the machine has to restart now, and the same call to be made afterwards."""

    @property
    def succeeded(self) -> bool:
        """Whether all is over and all is there that is for this system."""
        return not self.reboot and all(
            result.is_there or result.state == "not-applicable" for result in self.results
        )


@frozen
class Settings:
    """What may be chosen."""

    attempts: int = field(default=3, validator=validators.ge(1))
    """How often an installer is begun in vain before its package is stalled."""


def install_packages(  # noqa: PLR0913 - what it works with; all but two have defaults elsewhere
    wanted: Sequence[WantedPackage],
    system: System,
    journal: PackageJournal,
    *,
    run: str,
    fetch: Fetch,
    settings: Settings | None = None,
    others_ended: Callable[[], bool] = lambda: True,
    on_result: Callable[[PackageResult], None] = lambda _: None,
) -> Outcome:
    """Install what is wanted and not there, in order, as far as that goes before a restart.

    ``run`` names what this is for: with the same one, results in the journal stand. Before an
    interrupted installer's package is looked at, ``others_ended`` waits until nothing runs that an
    agent of before has started, and returns whether that is so. ``on_result`` gets each result
    once, as it comes. Raises TerminalError RW200 and RW201 for an impossible list,
    UnwritableFileError RW572 without room for the journal, TerminalError RW225 where
    ``others_ended`` is false, and what ``fetch`` or a check in an adapter raises to stop the
    operation.
    """
    return _Installation(
        system, journal, run, fetch, settings or Settings(), others_ended, on_result
    ).go(in_order(wanted))


@frozen
class _Installation:
    """One call of ``install_packages``."""

    system: System
    journal: PackageJournal
    run: str
    fetch: Fetch
    settings: Settings
    others_ended: Callable[[], bool]
    on_result: Callable[[PackageResult], None]

    def go(self, order: Sequence[WantedPackage]) -> Outcome:
        records = [self.journal.record(package) for package in order]
        if any(record is not None and record.under_way for record in records):
            self._wait_for_others()
        self._repair(
            package
            for package, record in zip(order, records, strict=True)
            if record is None or record.run != self.run or record.under_way
        )
        results: dict[str, PackageResult] = {}
        alone = False  # whether an exclusive one waits for its reboot
        for package in order:
            if (known := self._known(package)) is not None:
                results[package.name] = known
                alone = alone or (package.exclusive and known.reboot)
        for package in order:
            if package.name in results:
                continue
            if alone or self._has_to_wait(package, results):
                break
            result = self._one(package, results)
            results[package.name] = result
            self.on_result(result)
            alone = package.exclusive and result.reboot
        return Outcome(
            tuple(results[package.name] for package in order if package.name in results),
            reboot=any(result.reboot for result in results.values()),
        )

    def _wait_for_others(self) -> None:
        if not self.others_ended():
            raise TerminalError(
                "RW225",
                "an installer that was begun before the agent was restarted still runs",
                "Look at the machine's processes; it is waited for again next time",
            )

    def _repair(self, packages: Iterable[WantedPackage]) -> None:
        adapters = self.system.adapters()
        for kind in sorted({package.adapter for package in packages} & adapters.keys()):
            try:
                adapters[kind].repair()
            except _ORDERS_TO_STOP:
                raise
            except CodedError as error:  # the packages will say why they cannot be installed
                _log.warning("packages not repaired adapter=%s error=%s", kind, error)

    def _known(self, package: WantedPackage) -> PackageResult | None:
        """Return the result that stands, None where the package has to be looked at."""
        record = self.journal.record(package)
        if record is None or record.under_way or record.result is None:
            return None
        result = record.result
        if result.reboot and record.boot == self.system.boot():
            return result
        if result.reboot:
            return self._after_restart(package, record, result)
        return result if record.run == self.run else None

    def _after_restart(
        self, package: WantedPackage, record: PackageRecord, result: PackageResult
    ) -> PackageResult:
        """Look at what a restart was to finish, and keep what it has come to."""
        result = evolve(result, reboot=False, version_after=self._version(package))
        error: CodedError | None = None
        try:
            if not self._detected(package):
                error = not_detected(package, after_restart=True)
        except CodedError as unseen:
            error = unseen
        if error is None:
            if result.state == "waits-for-reboot":
                result = evolve(result, state="installed")
        elif result.is_there or result.state == "waits-for-reboot":
            result = explained(evolve(result, state="not-detected"), error)
        attempts = 0 if result.is_there else record.attempts
        result = evolve(result, stalled=self._is_stalled(attempts, result))
        self.journal.write(evolve(record, run=self.run, attempts=attempts, result=result))
        self.on_result(result)
        return result

    def _has_to_wait(self, package: WantedPackage, results: Mapping[str, PackageResult]) -> bool:
        """Return whether a restart has to come before the package, and all that follow it."""
        if any(
            name in results and results[name].state == "waits-for-reboot"
            for name in package.requires
        ):
            return True
        waiting = any(result.reboot for result in results.values())
        return package.exclusive and waiting and self._would_install(package)

    def _would_install(self, package: WantedPackage) -> bool:
        try:
            return is_applicable(package, self.system.facts()) and not self._detected(package)
        except CodedError:  # its result will say so
            return False

    def _one(self, package: WantedPackage, results: Mapping[str, PackageResult]) -> PackageResult:
        facts = self.system.facts()
        if not is_applicable(package, facts):
            return refused(
                package,
                TerminalError(
                    "RW205",
                    f"{package.name} is for other systems, and this is {words_of(facts)}",
                    "Nothing has to be done here; see the package's `targets`",
                ),
                "not-applicable",
            )
        for name in package.requires:
            if name not in results or not results[name].is_there:
                state = results[name].state if name in results else "not in the list"
                return refused(
                    package,
                    TerminalError(
                        "RW206",
                        f"{package.name} requires {name}, which is {state}",
                        f"See what became of {name}",
                    ),
                    "blocked",
                )
        record = self.journal.record(package) or PackageRecord(digest_of(package), self.run)
        try:
            result, attempts = self._installed(package, record)
        except _ORDERS_TO_STOP:
            raise
        except CodedError as error:
            result, attempts = refused(package, error), record.attempts
        latest = self.journal.record(package) or record
        result = evolve(result, attempts=attempts, stalled=self._is_stalled(attempts, result))
        self.journal.write(
            evolve(
                latest,
                run=self.run,
                attempts=0 if result.is_there else attempts,
                under_way=False,
                boot=self.system.boot(),
                result=result,
            )
        )
        return result

    def _is_stalled(self, attempts: int, result: PackageResult) -> bool:
        ended_well = result.is_there or result.state == "waits-for-reboot"
        return not ended_well and attempts >= self.settings.attempts

    def _installed(
        self, package: WantedPackage, record: PackageRecord
    ) -> tuple[PackageResult, int]:
        """Look, install and look again; return the result and the attempts so far."""
        before = self._version(package)
        if self._detected(package):
            begun = record.attempts if record.under_way else 0
            return self._there(package, record, before), begun
        if record.attempts >= self.settings.attempts:
            return stalled(package, record.attempts, record.result), record.attempts
        adapter = self._adapter(package)
        files = self._files(package)
        adapter.check(package, files)
        pending = self.system.reboot_pending()
        attempts = record.attempts + 1
        self.journal.write(
            PackageRecord(
                record.digest,
                self.run,
                attempts,
                under_way=True,
                boot=self.system.boot(),
                version_before=before,
                result=record.result,
            )
        )
        ended = adapter.install(package, files)
        succeeded, wants_reboot = self._meaning(package, adapter, ended)
        result, counts = judged(
            package,
            Evidence(
                ended=ended,
                succeeded=succeeded,
                detected=self._detected(package),
                wants_reboot=wants_reboot
                or (package.reboot != "never" and not pending and self.system.reboot_pending()),
                version_before=before,
                version_after=self._version(package),
                failure=None if succeeded else adapter.failure(package, ended),
            ),
        )
        return result, attempts if counts else record.attempts

    @staticmethod
    def _meaning(package: WantedPackage, adapter: Adapter, ended: Ended) -> tuple[bool, bool]:
        """Return whether the status means installed, and whether it wants a reboot."""
        if ended.why or ended.contradicted:
            return False, False
        needs = ended.status in {*package.reboot_needed, *adapter.reboot_needed}
        succeeded = needs or ended.status in {*package.success, *adapter.success}
        wants = package.reboot == "always" or (package.reboot == "if-needed" and needs)
        return succeeded, succeeded and wants

    def _there(self, package: WantedPackage, record: PackageRecord, version: str) -> PackageResult:
        """Return the result of a package that is there before its installer is run."""
        if not record.under_way:
            return PackageResult(
                package.name,
                package.version,
                "present",
                version_before=version,
                version_after=version,
            )
        # Its installer was interrupted, and its status is not known: better one restart more.
        may_want = package.reboot == "always" or (
            package.reboot == "if-needed"
            and (bool(package.reboot_needed) or self.system.reboot_pending())
        )
        return PackageResult(
            package.name,
            package.version,
            "installed",
            version_before=record.version_before,
            version_after=version,
            reboot=may_want and record.boot == self.system.boot(),
        )

    def _adapter(self, package: WantedPackage) -> Adapter:
        adapters = self.system.adapters()
        if package.adapter not in adapters:
            raise TerminalError(
                "RW202",
                f"{package.name} is installed by {package.adapter}, and this system has"
                f" {', '.join(sorted(adapters)) or 'no way to install packages'}",
                "Name the systems that it is for in the package's `targets`",
            )
        return adapters[package.adapter]

    def _files(self, package: WantedPackage) -> dict[str, Path]:
        """Return the paths of the package's files, which are what they have to be."""
        files = {}
        for file in package.files:
            path = self.fetch(file)
            files[file.name] = path
            size, digest = _size_and_digest(path)
            if (path.name, size, digest) != (file.name, file.size, file.sha256):
                raise TerminalError(
                    "RW212",
                    f"{path} has {size} bytes with the digest {digest}, and {file.name} of"
                    f" {package.name} has {file.size} with {file.sha256}",
                    "Look at this machine's disk and at the server's store; run it again",
                )
        return files

    def _detected(self, package: WantedPackage) -> bool:
        return all(self.system.detects(sign) for sign in signs_of(package))

    def _version(self, package: WantedPackage) -> str:
        adapter = self.system.adapters().get(package.adapter)
        try:
            return "" if adapter is None else adapter.version(package)
        except CodedError:  # for people only
            return ""


def signs_of(package: WantedPackage) -> tuple[Sign, ...]:
    """Return by what the package is detected; TerminalError RW203 where nothing says."""
    if package.detect:
        return package.detect
    if package.adapter in _WITHOUT_LIST:
        raise TerminalError(
            "RW203",
            f"nothing says how to see that {package.name} is installed",
            "Write a sign under the package's `detect`",
        )
    return (PackageSign(package.software_name, package.version),)


def _size_and_digest(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise TerminalError(
            "RW212", f"{path} cannot be read: {error.strerror}", "Look at this machine's disk"
        ) from error
    return size, digest.hexdigest()
