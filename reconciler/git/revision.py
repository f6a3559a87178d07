"""Which commit desired state comes from, before any of its files is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import SourceError
from reconciler.git.command import INDIRECT, LINK, GitCommand
from reconciler.git.commit import (
    commit_of,
    file_contents,
    refuse_submodules,
    resolve,
    wanted_blobs,
)
from reconciler.git.repository import find_commit
from reconciler.git.tree import Commit, SourceTree


class Revision(NamedTuple):
    """A commit and the folder of it that describes the fleet.

    ``tree`` is Git's id of that folder: equal trees have equal files, so that what was
    made of one before need not be made again.
    """

    git: GitCommand
    folder: str
    commit: Commit
    tree: str

    @property
    def describe(self) -> str:
        """One line for people."""
        return self.commit.describe

    def read(self) -> SourceTree:
        """Return the files.

        Raises ``SourceError``: RW714 when the tree is too large, RW715 for a link or name
        that is refused, RW716 for a submodule, RW717 when git fails.
        """
        blobs, _ = self.blobs()
        return SourceTree(self.commit.id, self.contents(blobs), blobs, self.commit)

    def blobs(self) -> tuple[dict[str, str], bool]:
        """Return the files' blobs by path, and whether one is reached through a link.

        Raises ``SourceError`` as ``read``.
        """
        entries = list(self.git.entries(self.commit.id, self.folder))
        indirect = [entry for entry in entries if entry.mode in INDIRECT]
        refuse_submodules(indirect)
        blobs = wanted_blobs(self.git, entries)
        return blobs, any(entry.mode == LINK and entry.path in blobs for entry in indirect)

    def contents(self, blobs: Mapping[str, str]) -> dict[str, bytes]:
        """Return contents by path; raises ``SourceError`` RW714 and RW715 as ``file_contents``."""
        return file_contents(self.git, blobs)


def find_revision(repository: Path, ref: str) -> Revision:
    """Return the revision that ``ref`` (branch, tag, id, ``HEAD~1``) names.

    ``repository`` is a repository, bare or not, or a folder in one; then the files are
    those of that folder. The working tree is not looked at.

    Raises ``SourceError``: RW710 when git is not installed, RW711 when there is no
    repository, RW712 when it has no commit, RW713 for an unknown ``ref`` or folder, RW717
    when git fails.
    """
    found, known = find_commit(repository, ref)
    commit = commit_of(found.git, known or resolve(repository, found.git, ref))
    tree = commit.tree if not found.folder else found.git.tree_id(commit.id, found.folder)
    if tree is None:
        raise SourceError(
            "RW713",
            f"the commit {commit.id[:12]} has no folder {found.folder}",
            "Name the folder of the whole fleet with --repo; or commit this one",
        )
    return Revision(found.git, found.folder, commit, tree)
