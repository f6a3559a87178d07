"""Files that are whole or absent, whatever is killed when."""

import ctypes
import os
import tempfile
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def write_file(target: Path, data: bytes, *, scratch: Path) -> None:
    """Make ``target`` hold ``data``: written beside, synced, renamed.

    ``scratch`` is a folder of the same file system; what a crash leaves there is
    nobody's. The rename is durable after ``sync_folder`` of the target's folder.
    """
    descriptor, name = tempfile.mkstemp(dir=scratch)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Return once the names in this folder are on the medium."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Return once everything on this folder's file system is on the medium (syncfs(2)).

    For the names in very many folders: syncing each of the thousands that an
    image's chunks lie in takes minutes on a busy disk.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)
