"""A directory that only its owner may enter, for keys."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import UnwritableFileError
from agent.whole_file import create_atomically, write_atomically
from reconciler.errors import TrustError

_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class PrivateDirectory:
    """Files in ``path``, which is made with mode 0700 where it is missing.

    Raises ``TrustError`` RW500 when the group or others may enter it or read one
    of its files, and RW501 when the operating system refuses an access.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._accessing(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_others(path, path.stat().st_mode, wanted=0o700)

    def read(self, name: str) -> bytes | None:
        """Return the content of ``name``; None when there is no such file."""
        path = self.path / name
        with self._accessing(path):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return None
            with file:
                # Asked of the open file, so that what was checked is what is read.
                _refuse_others(path, os.fstat(file.fileno()).st_mode, wanted=0o600)
                return file.read()

    def create(self, name: str, content: bytes) -> None:
        """Write ``name`` unless it exists."""
        with self._accessing(self.path / name):
            create_atomically(self.path / name, content, _MODE)

    def replace(self, name: str, content: bytes) -> None:
        """Write ``name``, in place of what it held."""
        with self._accessing(self.path / name):
            write_atomically(self.path / name, content, _MODE)

    def remove(self, name: str) -> None:
        """Remove ``name``, which need not be there."""
        with self._accessing(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def version(self, *names: str) -> tuple[int, ...]:
        """Return numbers that differ once one of these files was replaced, made or removed."""
        found: list[int] = []
        for name in names:
            with self._accessing(self.path / name):
                try:
                    status = (self.path / name).stat()
                except FileNotFoundError:
                    found.append(0)
                else:
                    found += [status.st_ino, status.st_mtime_ns]
        return tuple(found)

    @staticmethod
    @contextmanager
    def _accessing(path: Path) -> Iterator[None]:
        try:
            yield
        except (OSError, UnwritableFileError) as error:
            reason = error.reason if isinstance(error, UnwritableFileError) else error.strerror
            raise TrustError(
                "RW501",
                f"{path} cannot be read or written: {reason}",
                "Give the server's own user this directory on a file system that it may write to",
            ) from error


def _refuse_others(path: Path, mode: int, wanted: int) -> None:
    if mode & _OTHERS:
        raise TrustError(
            "RW500",
            f"{path} has mode {stat.S_IMODE(mode):04o}, so that other users may reach"
            " the private key of the certification authority",
            f"Find out who could have read it, then run: chmod {wanted:04o} {path}",
        )
