"""Finding the Git repository that a path means."""

import os
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from reconciler.errors import SourceError
from reconciler.git.command import GitCommand, can_be_ref
from reconciler.git.program import discover


class Repository(NamedTuple):
    """A repository and the folder in it that was named.

    ``worktree`` is None for a bare one. ``folder`` is the path of the named
    directory from the top, empty for the top. ``common`` has the refs and differs
    from ``git_dir`` in an additional working tree (git-worktree(1)).
    """

    git_dir: Path
    common: Path
    worktree: Path | None
    folder: str

    @property
    def git(self) -> GitCommand:
        """The git command on it."""
        return GitCommand(self.git_dir)


def find_repository(path: Path) -> Repository:
    """Return the repository at ``path`` or the nearest one above.

    Raises ``SourceError``: RW710 when git is not installed, RW711 when there is none,
    RW717 when there is one that is damaged. Whoever goes on without a repository may
    do so after RW711 only: the files in a damaged one are of no commit that is known.
    """
    return find_commit(path, "")[0]


def find_commit(path: Path, ref: str) -> tuple[Repository, str]:
    """Return the repository as ``find_repository`` does, and the commit that ``ref`` names.

    Git tells both in one run. The commit is empty where the name is not an ordinary one:
    ``GitCommand.commit_id`` has the last word.
    """
    real = Path(os.path.realpath(path))
    if not os.path.exists(real):  # noqa: PTH110 - false also where one may not look
        raise SourceError("RW711", f"{path} does not exist", "Name a Git repository")
    start = real if real.is_dir() else real.parent
    found = discover(str(start), ref if can_be_ref(ref) else "")
    if found is None:
        damaged = _dot_git(real)
        if damaged is not None:
            raise SourceError(
                "RW717",
                f"{damaged} is not a sound Git repository",
                "See what `git fsck` says, or clone the repository again",
            )
        raise SourceError(
            "RW711",
            f"{path} is not a Git repository, nor in one",
            "Name a repository, or leave out --ref to read the files as they are",
        )
    places = Path(found.git_dir), Path(os.path.realpath(start / found.common))
    if not found.inside:
        return Repository(*places, None, ""), found.commit
    top = start.parents[found.prefix.count("/") - 1] if found.prefix else start
    folder = real.relative_to(top).as_posix()
    return Repository(*places, top, "" if folder == "." else folder), found.commit


def is_in_git(path: Path) -> bool:
    """Tell whether Git claims the directory, also where its repository cannot be read."""
    return git_folder(path) is not None


def git_folder(path: Path) -> Path | None:
    """Return the nearest folder at or above ``path`` that has a ``.git``; None without one."""
    found = _dot_git(Path(os.path.realpath(path)))
    return None if found is None else found.parent


def read_in_part(path: Path) -> str:
    """Return that only one folder of a repository is read, and how all is; empty where all is."""
    top = git_folder(path)
    folder = Path(os.path.realpath(path))
    if top is None or folder == top or not folder.is_dir():
        return ""
    return (
        f"only the folder {folder.relative_to(top)} of the repository {top} is read: "
        f"--repo {quote(str(top))} reads all of it"
    )


def _dot_git(real: Path) -> Path | None:
    """Return the nearest ``.git``, a directory or the file that stands for one."""
    candidates = (folder / ".git" for folder in (real, *real.parents))
    return next((each for each in candidates if os.path.lexists(each)), None)
