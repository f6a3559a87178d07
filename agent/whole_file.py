"""Writing a file whole: afterwards it holds the old content or the new, never a part.

The content goes to a temporary file in the same folder, reaches the medium, and then
takes the name. An existing file keeps its owner, group, permissions, access control
list and other extended attributes; a symbolic link keeps pointing at it. What is no
regular file (a device, a pipe, a standard stream) is written to and stays what it is. On Windows a
file has the access control list that its folder hands down, and ``mode`` says nothing.
"""

import os
import stat
import sys
from collections.abc import Iterable
from errno import EACCES, EINVAL, ELOOP, ENODATA, ENOTSUP
from pathlib import Path
from secrets import token_hex

from agent.errors import UnwritableFileError
from agent.failpoint import failpoint

_MOST_LINKS = 40  # as the kernel
_ACL = "system.posix_acl_access"
# Set by the kernel or a tool for the old content, so they must not go to the new one.
_OF_THE_CONTENT = frozenset({"security.capability", "security.evm", "security.ima"})
TEMPORARY = ".rackwright-"
"""How the names of temporary files begin; a power failure may leave one."""
if sys.platform == "win32":
    _NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_BINARY | os.O_NOINHERIT
else:
    _NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(  # noqa: PLR0913 - ways to write are few, and each has its caller
    path: Path,
    data: bytes | Iterable[bytes],
    mode: int | None = None,
    *,
    follow_links: bool = True,
    scratch: Path | None = None,
    sync_names: bool = True,
    owner: tuple[int, int] | None = None,
    exact: bool = False,
) -> None:
    """Make ``path`` a file with this content, or write to what is there and is no file.

    ``mode`` is what a new file gets, before its first byte, and the most that an
    existing one keeps; without it a new file gets what the umask leaves. With
    ``follow_links`` off, a symbolic link is refused; so the folder's other users cannot
    lead the write elsewhere, whatever they exchange meanwhile. The temporary file is
    made in ``scratch``, a folder of the same file system, else beside the target. With
    ``sync_names`` off, the caller syncs the folder of many files later. ``owner`` is user and
    group of the file, where they are not those that it has; with ``exact`` it gets ``mode`` itself.
    Raises UnwritableFileError RW572; the old content, or its absence, then stays.
    """
    pieces = (data,) if isinstance(data, bytes) else data
    try:
        target, status = _target(path, follow_links=follow_links)
        if status is not None and not stat.S_ISREG(status.st_mode):
            _write_through(target, pieces, follow_links=follow_links)
            return
        folder = scratch or target.parent
        temporary = _written(folder, target, status, pieces, mode)
        try:
            if owner is not None:
                os.chown(temporary, *owner, follow_symlinks=False)
            if exact and mode is not None:  # a change of the owner takes set-user-ID bits away
                temporary.chmod(mode)
            failpoint("file.before")
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync_names:
            sync_folder(target.parent)
        failpoint("file.after")
    except OSError as error:
        raise _unwritable(path, error) from error


def create_atomically(path: Path, data: bytes | Iterable[bytes], mode: int | None = None) -> bool:
    """Write a file unless something has its name; return whether it was written.

    Of several that try at one time, one succeeds. ``mode`` as in ``write_atomically``.
    Raises UnwritableFileError RW572.
    """
    pieces = (data,) if isinstance(data, bytes) else data
    try:
        temporary = _written(path.parent, path, None, pieces, mode)
        try:
            failpoint("file.before")
            # A link fails where a rename would replace what somebody else just wrote.
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
        failpoint("file.after")
    except OSError as error:
        raise _unwritable(path, error) from error
    return True


def sync_folder(folder: Path) -> None:
    """Return once the names in this folder are on the medium. Raises OSError.

    Windows cannot be asked to; NTFS writes its journal before a file that was synced.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != EINVAL:  # some file systems have nothing to sync here
            raise
    finally:
        os.close(descriptor)


def _target(path: Path, *, follow_links: bool) -> tuple[Path, os.stat_result | None]:
    """Return what to write, all links followed, and its status; None where nothing is there.

    Links of ``/proc``, where the standard streams are found, cannot be followed by their
    text. They are returned as they are, with the status of what is no regular file.
    """
    for _ in range(_MOST_LINKS):
        try:
            own = path.lstat()
        except FileNotFoundError:
            return path, None
        if not stat.S_ISLNK(own.st_mode):
            return path, own
        if not follow_links:
            raise OSError(ELOOP, "it is a symbolic link")
        if Path(os.path.realpath(path.parent)).parts[:2] == ("/", "proc"):
            return path, own
        _refuse_planted(path, own)
        path = path.parent / path.readlink()
    raise OSError(f"it leads through more than {_MOST_LINKS} symbolic links")


def _refuse_planted(link: Path, own: os.stat_result) -> None:
    """Refuse what another user may have put into ``/tmp`` (fs.protected_symlinks, proc(5))."""
    folder = link.parent.stat()
    shared = stat.S_ISVTX | stat.S_IWOTH
    if folder.st_mode & shared == shared and own.st_uid not in (os.geteuid(), folder.st_uid):
        raise PermissionError(EACCES, "a symbolic link of another user leads there")


def _write_through(target: Path, pieces: Iterable[bytes], *, follow_links: bool) -> None:
    # Without O_CREAT: what is written to was there. With O_APPEND: a standard stream may
    # lead to a file that others write to.
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(target, flags if follow_links else flags | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(pieces)


def _written(
    folder: Path,
    target: Path,
    status: os.stat_result | None,
    pieces: Iterable[bytes],
    mode: int | None,
) -> Path:
    """Return a new file in ``folder`` that only lacks the name, and is on the medium."""
    temporary = folder / f"{TEMPORARY}{token_hex(8)}"
    asked = 0o666 if status is None and mode is None else 0o600
    descriptor = os.open(temporary, _NEW, asked)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if sys.platform == "win32":
                pass
            elif status is not None:
                _keep(target, status, descriptor, mode)
            elif mode is not None:
                os.fchmod(descriptor, mode)
            file.writelines(pieces)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _keep(target: Path, status: os.stat_result, descriptor: int, mode: int | None) -> None:
    """Give an open file the owner, attributes and permissions of another one."""
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        except PermissionError as error:
            raise PermissionError(
                error.errno, f"this user cannot keep its owner {status.st_uid}:{status.st_gid}"
            ) from error
    kept = {name: os.getxattr(target, name, follow_symlinks=False) for name in _attributes(target)}
    given = {name: os.getxattr(descriptor, name) for name in _attributes(descriptor)}
    if _ACL in given and _ACL not in kept:
        os.removexattr(descriptor, _ACL)  # inherited from the folder
    for name, value in kept.items():
        if given.get(name) != value:
            os.setxattr(descriptor, name, value)
    # Last: the group's part is the mask of an access control list.
    permissions = stat.S_IMODE(status.st_mode)
    os.fchmod(descriptor, permissions if mode is None else permissions & mode)


def _attributes(target: Path | int) -> list[str]:
    if not hasattr(os, "listxattr"):
        return []
    try:
        # A descriptor has no link to follow, and Python refuses to be told so.
        names = os.listxattr(target, follow_symlinks=isinstance(target, int))
        return [name for name in names if name not in _OF_THE_CONTENT]
    except OSError as error:
        if error.errno in (ENODATA, ENOTSUP):
            return []
        raise


def _unwritable(path: Path, error: OSError) -> UnwritableFileError:
    return UnwritableFileError(path, error.strerror or str(error), error.errno)
