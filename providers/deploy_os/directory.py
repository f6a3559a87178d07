"""Puts a finished directory in another one's place in one step."""

import ctypes
import errno
import os
import shutil
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def replace_directory(new: Path, place: Path) -> None:
    """Make ``new`` the directory at ``place``; what was there is deleted.

    Whoever opens ``place`` sees the old directory or the new one, complete. Where the file
    system cannot exchange two names (renameat2(2)), there is an instant with neither.
    """
    if not place.exists():
        new.rename(place)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(new), os.fsencode(place)
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        if code not in _UNSUPPORTED:
            raise OSError(code, os.strerror(code), str(place))
        old = new.with_name(f"{new.name}.old")
        place.rename(old)
        new.rename(place)
        shutil.rmtree(old)
        return
    shutil.rmtree(new)
