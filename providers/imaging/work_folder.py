"""Folders for the large files of one command, which vanish with it however it ends.

Whoever works in a folder holds a lock on it (flock(2)), which the kernel gives back when the
process ends. So a folder that nobody holds is what a killed process left. The folder that they
lie in is locked while one is made or looked at. The file system has to be a local one.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple


class Leftovers(NamedTuple):
    """What killed processes left."""

    folders: int
    size: int
    """Bytes that their files take on the disk."""


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Provide a new folder in ``parent``, which is made, for the block; OSError.

    What killed processes left there is removed first.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(parent):
        _remove_leftovers(parent, dry_run=False)
        folder = Path(tempfile.mkdtemp(dir=parent))
        held = _opened(folder)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def remove_leftovers(parent: Path, *, dry_run: bool) -> Leftovers:
    """Remove the folders in ``parent`` that nobody holds, or only count them."""
    if not parent.is_dir():
        return Leftovers(0, 0)
    with _locked(parent):
        return _remove_leftovers(parent, dry_run=dry_run)


def _remove_leftovers(parent: Path, *, dry_run: bool) -> Leftovers:
    count = size = 0
    for each in sorted(parent.iterdir()):
        if each.is_symlink() or not each.is_dir():
            continue
        descriptor = _opened(each)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)  # nobody takes it meanwhile: the parent is locked
        count += 1
        size += _size(each)
        if not dry_run:
            shutil.rmtree(each)
    return Leftovers(count, size)


def _size(folder: Path) -> int:
    size = 0
    for at, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                size += Path(at, name).lstat().st_blocks * 512
    return size


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = _opened(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
