"""What an operation has come to, kept outside the process.

An agent that is started again finds here that it was in the middle of something,
and never begins the same attempt a second time.
"""

import logging
from pathlib import Path

from attrs import field, frozen

from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode
from agent.wire.work import OnError, OperationEvent, Work

_log = logging.getLogger(__name__)
_MODE = 0o600


@frozen
class JournalEntry:
    """One claimed attempt that the server does not know the end of."""

    operation: str
    attempt: int
    sequence: int = 0
    """Of the last event that may have been sent."""
    step: int = 0
    finish: str = ""
    """What the machine does after ``done``; empty where nothing says so."""
    on_error: OnError = field(factory=OnError)
    disks_written: bool = False
    """Whether this attempt or an earlier one began to write to a disk."""
    final: OperationEvent | None = None
    """The event that ends the attempt, once it is known."""
    work: Work | None = None
    """In an installed system: what is done, so that it can go on after a restart."""

    @classmethod
    def of(cls, work: Work, *, keeps_work: bool = False) -> "JournalEntry":
        """Return that of work that was just claimed; one with it can go on after a restart."""
        return cls(
            work.operation,
            work.attempt,
            on_error=work.on_error,
            disks_written=work.disks_written,
            work=work if keeps_work else None,
        )


@frozen
class Journal:
    """The file ``operation.json`` in the agent's state directory."""

    path: Path

    def read(self) -> JournalEntry | None:
        """Return the unfinished attempt, None where there is none."""
        try:
            return decode(JournalEntry, self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, WireError) as error:
            _log.warning("journal unreadable path=%s error=%s", self.path, error)
            return None

    def is_clear(self) -> bool:
        """Return whether no attempt is unfinished."""
        return not self.path.exists()

    def write(self, entry: JournalEntry) -> None:
        """Keep the attempt; UnwritableFileError RW572 where there is no room."""
        write_atomically(self.path, encode(entry), _MODE)

    def clear(self) -> None:
        """Forget the attempt: the server knows its end, or it is no longer ours."""
        self.path.unlink(missing_ok=True)
