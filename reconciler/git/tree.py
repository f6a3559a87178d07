"""Desired state as files, before anything in them is parsed. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from reconciler.errors import SourceError
from specs.desired_state import SUFFIXES, is_hidden

# Forty thousand machines in one CSV are 8 MiB, in a file each 40 MiB. Whatever is far
# beyond is a mistake or an attack, and would take the memory of everything else here.
MAX_FILE_BYTES = 32 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
MAX_FILES = 200_000
MAX_ENTRIES = 1_000_000
"""Files of any kind in one tree; a few objects of Git can claim to hold billions."""

Algorithm = Literal["sha1", "sha256"]
"""A repository's object format."""

_SUFFIXES = tuple(SUFFIXES)
_SHORT = 12
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_NAMED = 3


class Commit(NamedTuple):
    """Who made a revision, when and why; control characters are replaced."""

    id: str
    author: str
    time: datetime
    """The author's, with the author's offset from UTC."""
    subject: str
    tree: str = ""
    """Id of the top folder."""

    @property
    def describe(self) -> str:
        """One line for people."""
        when = self.time.strftime("%Y-%m-%d %H:%M %z")
        return f"{self.id[:_SHORT]} ({self.author}, {when}): {self.subject}"


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The files of one revision that can hold desired state, by their path in the tree.

    ``revision`` is a commit id, or ``worktree:<digest>`` where files on a disk were
    read. ``blobs`` has the same keys as ``files``: Git's id of each content, also for
    files that Git never saw, so that what was parsed once can be found again.
    ``commit`` is what was read, or for a working tree what it is based on;
    ``uncommitted`` are the paths in which the two differ.
    """

    revision: str
    files: Mapping[str, bytes] = field(repr=False)
    blobs: Mapping[str, str] = field(repr=False)
    commit: Commit | None
    uncommitted: tuple[str, ...] = ()
    in_git: bool = True
    """Whether there is a repository, be it one without a commit."""

    @property
    def own_commit(self) -> Commit | None:
        """The commit that these are the files of; None where files on a disk were read."""
        return self.commit if self.commit and self.commit.id == self.revision else None

    @property
    def describe(self) -> str:
        """One line for people."""
        commit = self.commit
        if not self.revision.startswith("worktree:"):
            return commit.describe if commit is not None else self.revision[:_SHORT]
        if commit is None and self.in_git:
            return "working tree, no commit yet"
        if commit is None:
            return f"files outside Git ({len(self.files)})"
        if not self.uncommitted:
            return f"working tree, clean, at {commit.describe}"
        named = ", ".join(self.uncommitted[:_NAMED])
        more = len(self.uncommitted) - _NAMED
        return (
            f"working tree, {len(self.uncommitted)} uncommitted ({named}"
            f"{f' and {more} more' if more > 0 else ''}) on {commit.describe}"
        )


def is_wanted(path: str) -> bool:
    """Tell whether a file at ``path`` can hold desired state."""
    return path.lower().endswith(_SUFFIXES) and not is_hidden(path)


def refuse_odd_name(path: str) -> None:
    """Raise ``SourceError`` RW715 for a name that could not be shown to people as it is."""
    if not path.isprintable():
        raise SourceError(
            "RW715",
            f"the file name {path!r} has characters that are not printable UTF-8",
            "Rename the file",
        )


def refuse_too_many(files: int, size: int) -> None:
    """Raise ``SourceError`` RW714 when that many files or bytes cannot be a fleet."""
    if files > MAX_FILES:
        raise SourceError(
            "RW714",
            f"the tree has more than {MAX_FILES:,} YAML and CSV files",
            "Point at the folder that describes the fleet",
        )
    if size > MAX_TOTAL_BYTES:
        raise SourceError(
            "RW714",
            f"the YAML and CSV files of the tree have more than {MAX_TOTAL_BYTES >> 20} MiB",
            "Point at the folder that describes the fleet",
        )


def too_many_entries() -> SourceError:
    """Return the error for a tree with more than ``MAX_ENTRIES`` files of any kind."""
    return SourceError(
        "RW714",
        f"the tree has more than {MAX_ENTRIES:,} files",
        "Point at the folder that describes the fleet",
    )


def refuse_too_large(path: str, size: int) -> None:
    """Raise ``SourceError`` RW714 when one file is larger than ``MAX_FILE_BYTES``."""
    if size > MAX_FILE_BYTES:
        raise SourceError(
            "RW714",
            f"{path} has {size:,} bytes, at most {MAX_FILE_BYTES:,} are read of one file",
            "Split it, or move it out of the fleet's folder",
        )


def refuse_pointer(path: str, content: bytes) -> None:
    """Raise ``SourceError`` RW715 where Git LFS has the file, and Git only a pointer to it."""
    if content.startswith(_LFS_POINTER):
        raise SourceError(
            "RW715",
            f"{path} is a pointer of Git LFS: the commit does not have the file itself",
            "Keep the fleet's files in Git: git lfs migrate export --include=PATH",
        )


def blob_id(content: bytes, algorithm: Algorithm = "sha1") -> str:
    """Return the id that a Git repository of this object format gives to the content."""
    digest = hashlib.new(algorithm, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()


def worktree_revision(blobs: Mapping[str, str]) -> str:
    """Return the revision of files that no commit vouches for; equal for equal trees."""
    lines = (f"{blobs[path]} {path}\0" for path in sorted(blobs))
    return f"worktree:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
