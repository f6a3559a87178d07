"""Changes to a system that are tried and not made.

``change_tree`` is run against a ``Rehearsal`` before the first change, so that a system that
cannot be changed to the end is not changed at all. Every method fails where the method of
``ImageTree`` would: a directory in a file's place, a parent that is none, a loop of links, a
file or folder that ``chattr`` made immutable or append-only, a file system without room. What
earlier steps would have removed or made is remembered; the room that removing makes is not.
"""

import errno
import os
import stat
import struct
import sys
from pathlib import Path, PurePosixPath

from attrs import field, frozen

from agent.identity.linux.image_tree import ImageTree, ImageTreeError, translated
from agent.identity.linux.unsuitable import UnsuitableSystemError

if sys.platform != "win32":  # where no image is captured or restored
    import fcntl

_GET_FLAGS = 0x80006601 | struct.calcsize("l") << 16
"""FS_IOC_GETFLAGS of ioctl_iflags(2), and two of its flags."""
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


@frozen
class Rehearsal(ImageTree):
    """The tree mounted at ``root``, which may be mounted read-only."""

    _gone: set[Path] = field(factory=set, init=False)
    _made: set[Path] = field(factory=set, init=False)
    _bytes: dict[int, int] = field(factory=dict, init=False)
    """What would be written, by the device number of the file system."""

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Try to put a file at the path."""
        del mode
        self._put(path)
        with translated(path):
            folder = self._existing(self._entry(path))
            status = os.statvfs(folder)
            device = folder.stat().st_dev
            whole = -(-len(content) // status.f_frsize) * status.f_frsize
            self._bytes[device] = self._bytes.get(device, 0) + whole
            if self._bytes[device] > status.f_bfree * status.f_frsize:
                raise _no_room(path)

    def link(self, path: str, target: str) -> None:
        """Try to put a symbolic link at the path."""
        del target
        self._put(path)

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Try to make the directory and its parents."""
        del mode
        current = PurePosixPath("/")
        for part in PurePosixPath(path).parts[1:]:
            current /= part
            with translated(str(current)):
                resolved = self._resolved(str(current))
                if self._is_folder(resolved):
                    continue
                if self._is_there(resolved):
                    raise _refusal(errno.EEXIST)
                if not self._is_folder(resolved.parent):
                    raise _refusal(errno.ENOENT)
                self._require_writable(resolved.parent)
                self._made.add(resolved)

    def remove(self, path: str) -> bool:
        """Try to remove a name that is not a directory."""
        with translated(path):
            entry = self._entry(path)
            if not self._is_there(entry):
                return False
            if _is_real_folder(entry):
                raise _refusal(errno.EISDIR)
            self._drop_entry(entry)
        return True

    def remove_tree(self, path: str) -> None:
        """Try to remove a directory with all in it."""
        with translated(path):
            entry = self._entry(path)
            if not self._is_there(entry):
                return
            if _is_real_folder(entry):
                for folder, folders, files in os.walk(entry, onerror=_fail):
                    for name in (*folders, *files):
                        self._require_removable(Path(folder, name))
            self._drop_entry(entry)

    def move(self, path: str, destination: str) -> None:
        """Try to move a name to another place in the tree."""
        self.make_directory(str(PurePosixPath(destination).parent))
        with translated(path):
            entry, goal = self._entry(path), self._entry(destination)
            if not self._is_there(entry):
                raise _refusal(errno.ENOENT)
            if self._is_there(goal) and _is_real_folder(goal):
                raise _refusal(errno.EISDIR)
            if entry.parent.stat().st_dev != self._existing(goal).stat().st_dev:
                raise ImageTreeError(path, f"is on another file system than {destination}")
            self._drop_entry(entry)

    def _put(self, path: str) -> None:
        self.make_directory(str(PurePosixPath(path).parent))
        with translated(path):
            entry = self._entry(path)
            self._require_writable(entry.parent)
            if self._is_there(entry):
                if _is_real_folder(entry):
                    raise _refusal(errno.EISDIR)
                self._require_removable(entry)

    def _drop_entry(self, entry: Path) -> None:
        self._require_writable(entry.parent)
        self._require_removable(entry)
        self._gone.add(entry)

    def _require_writable(self, folder: Path) -> None:
        if folder not in self._made:
            self._require_removable(folder)

    def _require_removable(self, entry: Path) -> None:
        attribute = _attribute(entry)
        if attribute:
            name = str(entry.relative_to(self.root))
            raise ImageTreeError("/" if name == "." else f"/{name}", f"is {attribute}")

    def _is_there(self, entry: Path) -> bool:
        if not self._gone.isdisjoint((entry, *entry.parents)):
            return False
        return os.path.lexists(entry)

    def _is_folder(self, resolved: Path) -> bool:
        return resolved in self._made or (self._is_there(resolved) and resolved.is_dir())

    def _existing(self, path: Path) -> Path:
        """Return the nearest parent that exists."""
        return next(parent for parent in path.parents if self._is_there(parent))

    def _is_link(self, candidate: Path) -> bool:
        return self._is_there(candidate) and candidate.is_symlink()


def _attribute(path: Path) -> str:
    """Return which attribute keeps a file or folder as it is, empty where none does."""
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return ""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        raw = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(struct.calcsize("l")))
    except OSError:
        return ""  # a file system without attributes
    finally:
        os.close(descriptor)
    flags = struct.unpack("l", raw)[0]
    if flags & _IMMUTABLE:
        return "immutable (chattr +i)"
    return "append-only (chattr +a)" if flags & _APPEND_ONLY else ""


def _is_real_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()


def _no_room(path: str) -> UnsuitableSystemError:
    return UnsuitableSystemError(
        "RW462",
        f"the system in the image lacks room: its file system is full before {path} is written",
        "Make room on the golden machine and take the image again",
    )


def _refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _fail(error: OSError) -> None:
    raise error
