"""Files of a revision that are brought to machines as they are: any files, read when needed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import SourceError
from reconciler.git.command import INDIRECT, ObjectTooLargeError
from reconciler.git.location import RemoteRepository, parse_location
from reconciler.git.revision import Revision

MOST_BYTES = 512 << 20
"""Of one file, and of all that one place has."""
MOST_FILES = 10_000


class RepositoryFile(NamedTuple):
    """One file. ``path`` is relative to the place that was named; empty for a file itself."""

    path: str
    is_executable: bool
    content: bytes


ReadFiles = Callable[[str, str], tuple[RepositoryFile, ...]]
"""Returns the files at a revision, by its id, and a path in it. Raises SourceError."""


def committed_files(revision: Revision, path: str) -> tuple[RepositoryFile, ...]:
    """Return the file at ``path`` of a revision, or all files below it, by their paths.

    Raises ``SourceError``: RW280 where there is none, RW281 for a link or submodule, RW282
    where they are too many or too large, RW717 when git fails.
    """
    found = []
    for mode, blob, name in revision.git.entries(revision.commit.id, revision.folder):
        if name != path and not name.startswith(f"{path}/"):
            continue
        if mode in INDIRECT:
            raise _indirect(name)
        found.append((name.removeprefix(path).removeprefix("/"), mode == "100755", blob))
    _require_some(found, path, revision.commit.id)
    try:
        blobs = dict.fromkeys(blob for _, _, blob in found)
        contents, size = {}, 0
        for blob, content in revision.git.objects(blobs, MOST_BYTES):
            contents[blob] = content
            size += len(content)
            if size > MOST_BYTES:
                raise _too_much(path)
    except ObjectTooLargeError as error:
        raise _too_much(path) from error
    return tuple(
        RepositoryFile(name, executable, contents[blob]) for name, executable, blob in found
    )


def files_on_disk(folder: Path, path: str) -> tuple[RepositoryFile, ...]:
    """Return the same of a folder outside Git, as it is now. Raises as ``committed_files``."""
    top = folder / path
    files = [top] if top.is_file() else sorted(each for each in top.rglob("*") if not each.is_dir())
    if top.is_symlink() or any(each.is_symlink() for each in files):
        raise _indirect(path)
    _require_some(files, path, "the folder")
    if sum(each.stat().st_size for each in files) > MOST_BYTES:
        raise _too_much(path)
    return tuple(
        RepositoryFile(
            "" if each == top else each.relative_to(top).as_posix(),
            os.access(each, os.X_OK),
            each.read_bytes(),
        )
        for each in files
    )


def reader_of(repo: str, revision_of: Callable[[str], Revision | None]) -> ReadFiles:
    """Return what reads files of the repository that people named ``repo``.

    ``revision_of`` opens a commit by its id; None where files outside Git are read.
    """

    def read(revision: str, path: str) -> tuple[RepositoryFile, ...]:
        opened = None if revision.startswith("worktree:") else revision_of(revision)
        if opened is not None:
            return committed_files(opened, path)
        place = parse_location(repo)
        if isinstance(place, RemoteRepository):
            raise _gone(path, revision)
        return files_on_disk(place, path)

    return read


def no_files(revision: str, path: str) -> tuple[RepositoryFile, ...]:
    """Raise SourceError RW280: there is no repository."""
    raise _gone(path, revision)


def _require_some(found: Sequence[object], path: str, where: str) -> None:
    if not found:
        raise _gone(path, where)
    if len(found) > MOST_FILES:
        raise _too_much(path)


def _gone(path: str, where: str) -> SourceError:
    return SourceError(
        "RW280",
        f"the repository has no {path} at {where[:12]}",
        "Commit the file, or correct `source` in the scenario: it is relative to its document",
    )


def _indirect(path: str) -> SourceError:
    return SourceError(
        "RW281",
        f"{path} is a symbolic link or a submodule, and is not brought to machines",
        "Put the file itself into the repository",
    )


def _too_much(path: str) -> SourceError:
    return SourceError(
        "RW282",
        f"{path} has more than {MOST_BYTES >> 20} MiB or {MOST_FILES:,} files",
        "Make a package of it: packages have files of any size",
    )
