"""What has become of packages, kept outside the process.

An installer is written down before it begins, and its result when it has ended: an agent that is
started again knows which results it has, and which installer was interrupted. How often one was
tried outlives the run, so that nothing is tried for ever.
"""

import hashlib
import logging
from pathlib import Path

from attrs import evolve, field, frozen, validators

from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode
from agent.wire.package import PackageResult, WantedPackage

_log = logging.getLogger(__name__)
_MODE = 0o600
MOST_RECORDS = 2000
"""The oldest are forgotten."""


@frozen
class PackageRecord:
    """What is known of one package in one description."""

    digest: str
    """Of the description: another one begins anew."""
    run: str
    """The run that wrote it last."""
    attempts: int = 0
    """Installers begun since it was last there, as far as they count."""
    under_way: bool = False
    """Whether an installer was begun whose result is not known."""
    boot: str = ""
    """The boot in which the installer was begun or ended."""
    version_before: str = ""
    result: PackageResult | None = None


@frozen
class _Content:
    records: tuple[PackageRecord, ...] = field(
        default=(), validator=validators.max_len(MOST_RECORDS)
    )


def digest_of(wanted: WantedPackage) -> str:
    """Return what tells one description of a package from another."""
    return hashlib.sha256(encode(wanted)).hexdigest()


class PackageJournal:
    """The file ``packages.json`` in the agent's state directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = {record.digest: record for record in self._read().records}

    def record(self, wanted: WantedPackage) -> PackageRecord | None:
        """Return what is known of the package in this very description."""
        return self._records.get(digest_of(wanted))

    def write(self, record: PackageRecord) -> None:
        """Keep what is known; UnwritableFileError RW572 where that is not possible."""
        records = {**self._records}
        records.pop(record.digest, None)  # the newest stand last
        records[record.digest] = record
        kept = tuple(records.values())[-MOST_RECORDS:]
        write_atomically(self._path, encode(_Content(kept)), _MODE)
        self._records = records

    def forget(self, name: str) -> None:
        """Let a stalled package be tried anew, in whatever description."""
        for record in tuple(self._records.values()):
            if record.result is not None and record.result.name == name:
                self.write(evolve(record, run="", attempts=0, result=None))

    def _read(self) -> _Content:
        try:
            return decode(_Content, self._path.read_bytes())
        except FileNotFoundError:
            return _Content()
        except (OSError, WireError) as error:
            _log.warning("journal of packages unreadable path=%s error=%s", self._path, error)
            return _Content()
