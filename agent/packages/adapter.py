"""What the engine needs of a system: adapters that install, and eyes that look for signs.

Errors are ``agent.errors.CodedError``: the engine puts their code, cause and action into the
package's result and goes on with the next one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

from agent.commands.ended import Ended
from agent.errors import CodedError
from agent.wire.package import Sign, WantedPackage


@frozen
class SystemFacts:
    """Which system this is, in the words of ``PackageTarget``.

    ``families`` are the names that fit it, its own first (``rocky``, ``rhel``; ``windows``).
    Of versions and languages any of several may fit: ``("11", "10.0.22631")``.
    """

    families: tuple[str, ...]
    versions: tuple[str, ...]
    architecture: str
    languages: tuple[str, ...] = ()


class Adapter(Protocol):
    """Installs packages of one kind by the system's own program."""

    success: frozenset[int]
    """Exit statuses of this program that mean installed, besides those that the package names."""
    reboot_needed: frozenset[int]
    """Likewise: installed, and a reboot finishes it (3010 and 1641 of msiexec, 102 of zypper)."""

    def repair(self) -> None:
        """Finish what an interrupted installation left, where that is safe.

        Called once in each run before this adapter is used. CodedError where the program cannot
        be used.
        """

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """Raise CodedError where installing it cannot succeed: no room, no such program."""

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Run the installer to its end, or until ``wanted.timeout`` seconds have passed.

        ``files`` has the path of each of the package's files by name; they were compared with
        their digests. CodedError where it could not be started.
        """

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return what a failed installer's status and output mean; None where nobody knows."""

    def version(self, wanted: WantedPackage) -> str:
        """Return the version in the system's list of software; empty where it is not there."""


class System(Protocol):
    """One running system."""

    def facts(self) -> SystemFacts:
        """Return which system this is."""

    def boot(self) -> str:
        """Return what is another one after each restart of the system, and only then."""

    def detects(self, sign: Sign) -> bool:
        """Return whether the sign is there; CodedError RW204 where this system has no such."""

    def adapters(self) -> Mapping[str, Adapter]:
        """Return the adapters by the names of ``WantedPackage.adapter`` that work here."""

    def reboot_pending(self) -> bool:
        """Return whether the system itself says that it has to restart."""
