"""A directory that only its owner may enter, for keys.

Every write is whole or absent: the content reaches the disk under a temporary
name before it gets its own, and the directory is synchronised afterwards.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import TrustError

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

    def create(self, name: str, content: bytes) -> bool:
        """Write ``name`` unless it exists; False, and nothing changed, when it does."""
        with self._temporary(name, content) as temporary:
            try:
                # A link fails where a rename would replace another process's new key.
                os.link(temporary, self.path / name)
            except FileExistsError:
                return False
        return True

    def replace(self, name: str, content: bytes) -> Path:
        """Write ``name``, in place of what it held, and return its path."""
        path = self.path / name
        with self._temporary(name, content) as temporary:
            temporary.replace(path)
        return path

    @contextmanager
    def _temporary(self, name: str, content: bytes) -> Iterator[Path]:
        with self._accessing(self.path / name):
            descriptor, temporary_name = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
            temporary = Path(temporary_name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)
            _synchronise(self.path)

    @staticmethod
    @contextmanager
    def _accessing(path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrustError(
                "RW501",
                f"{path} cannot be read or written: {error.strerror}",
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


def _synchronise(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
