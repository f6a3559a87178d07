"""The files of a restored system, with every path kept inside it.

The image may be odd or hostile: a symbolic link in it must not lead a write into
the RAM system, and a device or a pipe must not be taken for a file. Paths are
resolved here component by component as if the tree were the root (what
``RESOLVE_IN_ROOT`` of openat2(2) does; nobody else changes the tree meanwhile). New
content always comes in as a new file that replaces the old name, so that nothing is
written through a link that stands at the end of a path.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from attrs import frozen

from agent.identity.linux.unsuitable import UnsuitableSystemError

_ROOT = "/"
_MAX_LINKS = 40  # the kernel's own limit
_MAX_FILE_BYTES = 4 * 1024 * 1024
_PIECE = 1 << 20


class ImageTreeError(UnsuitableSystemError):
    """The tree holds something that cannot be worked with (RW464); the text names it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            "RW464",
            f"{path} in the image {problem}",
            "Correct this in the golden machine and take the image again",
        )


@frozen
class ImageTree:
    """The tree mounted at ``root``. All paths are absolute as the restored system sees them."""

    root: Path

    def exists(self, path: str) -> bool:
        """Return whether the path leads to something inside the tree."""
        with translated(path):
            return self._resolved(path).exists()

    def is_symlink(self, path: str) -> bool:
        """Return whether the last component itself is a symbolic link."""
        with translated(path):
            return self._entry(path).is_symlink()

    def is_file(self, path: str) -> bool:
        """Return whether the last component itself is a regular file."""
        with translated(path):
            entry = self._entry(path)
            return not entry.is_symlink() and entry.is_file()

    def target(self, path: str) -> str:
        """Return where the path leads once all links are followed, inside the tree."""
        with translated(path):
            return "/" + str(self._resolved(path).relative_to(self.root))

    def list_names(self, directory: str, pattern: str = "*") -> list[str]:
        """Return the sorted names in a directory, none where it does not exist."""
        with translated(directory):
            resolved = self._resolved(directory)
            if not resolved.is_dir():
                return []
            return sorted(e.name for e in resolved.iterdir() if fnmatch(e.name, pattern))

    def read_text(self, path: str) -> str | None:
        """Return a regular file's text, None where there is none; links are followed inside."""
        with self._opened(path) as file:
            if file is None:
                return None
            data = b"".join(_pieces(path, file, _MAX_FILE_BYTES))
        return data.decode("utf-8", "surrogateescape")

    def copy_out(self, path: str, destination: Path, most: int) -> bool:
        """Copy a regular file of at most ``most`` bytes to a place outside of the tree.

        Return whether there was one; links are followed inside the tree.
        """
        with self._opened(path) as file:
            if file is None:
                return False
            with destination.open("wb") as copy:
                for piece in _pieces(path, file, most):
                    copy.write(piece)
        return True

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a regular file owned by root at the path, in place of whatever name is there.

        Parent directories are made. ImageTreeError where a directory has that name.
        """
        self.make_directory(str(PurePosixPath(path).parent))
        with translated(path):
            entry = self._entry(path)
            fresh = entry.with_name(f".{entry.name[:200]}.rackwright")
            fresh.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
                file.write(content)
                os.fchown(file.fileno(), os.geteuid(), os.getegid())
                os.fchmod(file.fileno(), mode)
            try:
                fresh.replace(entry)
            except OSError:
                fresh.unlink()
                raise

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link with this text at the path, in place of whatever is there."""
        self.make_directory(str(PurePosixPath(path).parent))
        with translated(path):
            entry = self._entry(path)
            fresh = entry.with_name(f".{entry.name[:200]}.rackwright")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
            fresh.replace(entry)

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Make the directory and its parents; those that exist keep their mode."""
        current = PurePosixPath("/")
        for part in PurePosixPath(path).parts[1:]:
            current /= part
            with translated(str(current)):
                resolved = self._resolved(str(current))
                if resolved.is_dir():
                    continue
                resolved.mkdir(mode=0o700)
                resolved.chmod(mode)

    def remove(self, path: str) -> bool:
        """Remove a name that is not a directory; return whether there was one."""
        with translated(path):
            try:
                self._entry(path).unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all in it, never following a link; a link is just removed."""
        with translated(path):
            entry = self._entry(path)
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                with suppress(FileNotFoundError, NotADirectoryError):
                    entry.unlink()

    def move(self, path: str, destination: str) -> None:
        """Move a name that is not a directory to another place in the tree."""
        self.make_directory(str(PurePosixPath(destination).parent))
        with translated(path):
            try:
                self._entry(path).replace(self._entry(destination))
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                raise ImageTreeError(
                    path, f"is on another file system than {destination}"
                ) from error

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO | None]:
        """Open a regular file for the block, None where there is none."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with translated(path):
            resolved = self._resolved(path)
            try:
                descriptor = os.open(resolved, flags)
            except FileNotFoundError:
                descriptor = -1
        if descriptor < 0:
            yield None
            return
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ImageTreeError(path, "is not a regular file")
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def _entry(self, path: str) -> Path:
        """Return the real path with all but the last component resolved."""
        pure = PurePosixPath(path)
        if pure.name in ("", "..", "."):
            raise ImageTreeError(path, "names no file")
        return self._resolved(str(pure.parent)) / pure.name

    def _resolved(self, path: str) -> Path:
        """Return the real path, every link followed inside the tree."""
        pending = _components(path)
        real: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part in (_ROOT, ".."):
                real = [] if part == _ROOT else real[:-1]
                continue
            candidate = self.root.joinpath(*real, part)
            if not self._is_link(candidate):
                real.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise ImageTreeError(path, "leads through too many symbolic links")
            pending += _components(str(candidate.readlink()))
        return self.root.joinpath(*real)

    def _is_link(self, candidate: Path) -> bool:
        return candidate.is_symlink()


def _pieces(path: str, file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield what a file holds; ImageTreeError where that is more than ``most`` bytes."""
    size = 0
    while True:
        with translated(path):
            piece = file.read(_PIECE)
        size += len(piece)
        if size > most:
            raise ImageTreeError(path, f"is larger than {most} bytes")
        if not piece:
            return
        yield piece


def _components(path: str) -> list[str]:
    """Return a path's components, last one first; an absolute path begins with ``_ROOT``.

    Not pathlib's ``parts``, which for ``//etc`` begin with ``//``: joined to a directory,
    that is the real root.
    """
    names = [name for name in path.split("/") if name not in ("", ".")]
    return [*reversed(names), *([_ROOT] if path.startswith("/") else [])]


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what the file system refuses into an error that names the path in the tree."""
    try:
        yield
    except OSError as error:
        raise ImageTreeError(path, f"cannot be used: {error.strerror or error}") from error
