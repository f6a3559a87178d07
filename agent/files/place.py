"""Bringing files to a system, and removing them. What is right already is left alone.

A file gets its content, owner and permissions before it gets its name. No symbolic link is
followed where a file goes, so that nobody leads it elsewhere. On Windows a file has the owner and
the access control list that its folder hands down.
"""

import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agent.errors import TerminalError, UnwritableFileError
from agent.files.kept import KeptFiles
from agent.whole_file import write_atomically
from agent.wire.files import PlacedFile, is_of_windows

if sys.platform != "win32":
    import grp
    import pwd

_PIECE = 1 << 20
_WITHOUT_THEM = (
    "/ bin boot dev etc home lib lib32 lib64 opt proc root run sbin srv sys tmp usr usr/bin "
    "usr/lib usr/local usr/sbin var var/lib var/lib/rackwright"
)
_PROTECTED = frozenset(Path("/", name) for name in _WITHOUT_THEM.split())
"""Folders without which a system or its agent is none."""
_PROTECTED_ON_WINDOWS = frozenset(
    {
        *("", "program files", "program files (x86)", "programdata", "users", "windows"),
        *("windows/system32", "windows/syswow64", "windows/winsxs"),
        *("program files/rackwright", "program files/rackwright/data"),
        "program files/rackwright/data/state",
    }
)
"""Likewise, of any drive, in lower case."""
Owner = tuple[int, int] | None
"""Numbers of user and group; None on Windows."""

Fetch = Callable[[str, int], Path]
"""Returns where a file of the server lies, by its SHA-256 and size."""


def place(wanted: PlacedFile, fetch: Fetch, kept: KeptFiles) -> bool:
    """Make the path what is wanted; return whether that changed anything.

    Raises TerminalError RW594 for an owner or group that the system does not know, RW595 where
    something else is in the way, UnwritableFileError RW572, and what ``fetch`` raises.
    """
    path = Path(wanted.target)
    owner = _owner(wanted)
    if is_so(path, wanted, owner):
        return False
    _refuse_other_kind(path, wanted)
    kept.keep(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if wanted.kind == "folder":
            _make_folder(path, wanted, owner)
        else:
            pieces = _pieces(fetch(wanted.sha256, wanted.size))
            if owner is None:
                write_atomically(path, pieces, follow_links=False)
            else:
                write_atomically(
                    path, pieces, wanted.mode, follow_links=False, owner=owner, exact=True
                )
    except OSError as error:
        raise UnwritableFileError(path, error.strerror or str(error), error.errno) from error
    return True


def _make_folder(path: Path, wanted: PlacedFile, owner: Owner) -> None:
    if owner is None:
        path.mkdir(exist_ok=True)
        return
    path.mkdir(mode=wanted.mode, exist_ok=True)
    os.chown(path, *owner)
    path.chmod(wanted.mode)


def require_possible(files: Iterable[PlacedFile], removed: Iterable[str]) -> None:
    """Raise TerminalError RW228 for a path of another system, RW229 for an owner on Windows.

    RW229 are permissions, too. Nothing is looked at or written.
    """
    is_windows = sys.platform == "win32"
    wanted = tuple(files)
    for target in (*(file.target for file in wanted), *removed):
        if is_of_windows(target) != is_windows:
            raise TerminalError(
                "RW228",
                f"{target} is no path of this system, which is {sys.platform}",
                "Write a step for each system, in scenarios of their own",
            )
    named = (file for file in wanted if file.owner or file.group or file.mode)
    for file in named if is_windows else ():
        raise TerminalError(
            "RW229",
            f"{file.target} shall have an owner, a group or a mode, which Windows has not",
            "Take `owner`, `group` and `mode` off: files get the access list of their folder",
        )


def is_right(wanted: PlacedFile) -> bool:
    """Return whether nothing has to be done. Raises TerminalError RW594."""
    return is_so(Path(wanted.target), wanted, _owner(wanted))


def is_so(path: Path, wanted: PlacedFile, owner: Owner) -> bool:
    """Return whether a path is what is wanted, with this owner and group."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    own = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    same = owner is None or own == (*owner, wanted.mode)
    if wanted.kind == "folder":
        return same and stat.S_ISDIR(status.st_mode)
    is_file = stat.S_ISREG(status.st_mode) and status.st_size == wanted.size
    return same and is_file and _digest(path) == wanted.sha256


def remove(target: str, kept: KeptFiles) -> bool:
    """Remove a file, a link, or a folder with all that is in it; return whether it was there.

    Raises what ``require_removable`` raises, and UnwritableFileError RW572.
    """
    path = Path(target)
    if not os.path.lexists(path):
        return False
    require_removable(path)
    kept.keep(path)
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise UnwritableFileError(path, error.strerror or str(error), error.errno) from error
    return True


def require_removable(path: Path) -> None:
    """Raise TerminalError RW596 for a part of the system itself, or where something is mounted."""
    real = Path(os.path.realpath(path.parent)) / path.name
    if _is_protected(real) or (path.is_dir() and not path.is_symlink() and _has_mount(path)):
        raise TerminalError(
            "RW596",
            f"{path} is a part of the system, or something is mounted in it: it is not removed",
            "Name what is to go in it, one by one",
        )


def _is_protected(path: Path) -> bool:
    if sys.platform == "win32":
        return "/".join(path.parts[1:]).lower() in _PROTECTED_ON_WINDOWS
    return path in _PROTECTED


def _has_mount(path: Path) -> bool:
    device = path.lstat().st_dev
    return os.path.ismount(path) or any(
        os.lstat(Path(folder) / name).st_dev != device
        for folder, names, _ in os.walk(path)
        for name in names
    )


def _refuse_other_kind(path: Path, wanted: PlacedFile) -> None:
    if not os.path.lexists(path):
        return
    status = path.lstat()
    fits = stat.S_ISDIR(status.st_mode) if wanted.kind == "folder" else stat.S_ISREG(status.st_mode)
    if not fits:
        raise TerminalError(
            "RW595",
            f"{path} is no {wanted.kind}, and is not replaced by one",
            "Remove it first (`remove`), if it is not needed",
        )


def _owner(wanted: PlacedFile) -> Owner:
    """Return the numbers of owner and group; the owner's group where none is named."""
    if sys.platform == "win32":
        return None
    try:
        user = pwd.getpwnam(wanted.owner) if wanted.owner else pwd.getpwuid(os.geteuid())
        group = grp.getgrnam(wanted.group).gr_gid if wanted.group else user.pw_gid
    except KeyError as error:
        raise TerminalError(
            "RW594",
            f"{wanted.target} shall belong to {wanted.owner or 'its agent'}"
            f"{f' and group {wanted.group}' if wanted.group else ''}, and this system has no such",
            "Make the user or group first, or name another one",
        ) from error
    return user.pw_uid, group


def _pieces(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()
