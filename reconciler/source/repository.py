"""Finding the Git repository that a path means."""

import configparser
import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.source.git_command import GitCommand, not_installed


@dataclass(frozen=True, slots=True)
class Repository:
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
    real = Path(os.path.realpath(path))
    try:
        # Here, since GitPython cannot be imported where there is no git.
        from git import InvalidGitRepositoryError, NoSuchPathError, Repo  # noqa: PLC0415
    except ImportError as error:
        raise not_installed() from error
    try:
        with Repo(real, search_parent_directories=True, expand_vars=False) as found:
            git_dir, common = Path(found.git_dir), Path(found.common_dir)
            top = None if found.bare else Path(os.path.realpath(found.working_tree_dir or ""))
    except NoSuchPathError as error:
        raise SourceError("RW711", f"{path} does not exist", "Name a Git repository") from error
    except (InvalidGitRepositoryError, configparser.Error, OSError, ValueError) as error:
        damaged = _dot_git(real)
        if damaged is not None:
            raise SourceError(
                "RW717",
                f"{damaged} is not a sound Git repository",
                "See what `git fsck` says, or clone the repository again",
            ) from error
        raise SourceError(
            "RW711",
            f"{path} is not a Git repository, nor in one",
            "Name a repository, or leave out --ref to read the files as they are",
        ) from error
    # A calling hook's GIT_WORK_TREE may say that the working tree is elsewhere.
    if top is None or real.is_relative_to(git_dir) or not real.is_relative_to(top):
        return Repository(git_dir, common, None, "")
    folder = real.relative_to(top).as_posix()
    return Repository(git_dir, common, top, "" if folder == "." else folder)


def is_in_git(path: Path) -> bool:
    """Tell whether Git claims the directory, also where its repository cannot be read."""
    return _dot_git(Path(os.path.realpath(path))) is not None


def _dot_git(real: Path) -> Path | None:
    """Return the nearest ``.git``, a directory or the file that stands for one."""
    candidates = (folder / ".git" for folder in (real, *real.parents))
    return next((each for each in candidates if os.path.lexists(each)), None)
