"""What was there before files were brought or removed, kept for a person to bring back.

``STATE/files/OPERATION/…`` has the old files under their own paths, with owner and permissions; on
Windows under the drive's letter, and without the owner.
Of how many operations they are kept is a constant: the oldest go first.
"""

import os
import shutil
import sys
from pathlib import Path

from agent.errors import UnwritableFileError

KEPT_OPERATIONS = 5


class KeptFiles:
    """What one operation replaces or removes."""

    def __init__(self, state: Path, operation: str) -> None:
        self._folder = state / "files" / operation

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self._folder

    def keep(self, path: Path) -> None:
        """Keep a copy of what is at ``path``: a file, a link or a folder with all that is in it.

        Nothing happens where it was kept before: a step that is done again after a restart finds
        its own work there. UnwritableFileError RW572 where there is no room.
        """
        target = self._folder / path.drive.rstrip(":") / path.relative_to(path.anchor)
        if os.path.lexists(target) or not os.path.lexists(path):
            return
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove(part)
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, part, symlinks=True, copy_function=_copy)
                _like(path, part)
            else:
                _copy(path, part)
            part.rename(target)
        except OSError as error:
            raise UnwritableFileError(target, error.strerror or str(error), error.errno) from error

    @staticmethod
    def _remove(part: Path) -> None:
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)

    def forget_older(self) -> None:
        """Let go of what operations long before this one had replaced."""
        try:
            folders = sorted(
                self._folder.parent.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True
            )
        except FileNotFoundError:
            return
        for old in folders[KEPT_OPERATIONS:]:
            if old != self._folder:
                shutil.rmtree(old, ignore_errors=True)


def _copy(source: str | Path, target: str | Path) -> str:
    """Copy one file or link with its owner."""
    shutil.copy2(source, target, follow_symlinks=False)
    _like(Path(source), Path(target))
    return str(target)


def _like(source: Path, target: Path) -> None:
    if sys.platform == "win32":
        return
    status = source.lstat()
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
