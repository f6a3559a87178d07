"""Which commit desired state comes from, before any of its files is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import SourceError
from reconciler.git.command import GitCommand
from reconciler.git.commit import blob_contents, commit_of, read_tree, resolve, tree_blobs
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
        """Return the files; raises ``SourceError`` as ``read_commit``."""
        return read_tree(self.git, self.folder, self.commit)

    def blobs(self) -> tuple[dict[str, str], bool]:
        """Return the files' blobs by path, and whether there are links among them.

        Raises ``SourceError`` as ``read``.
        """
        return tree_blobs(self.git, self.folder, self.commit)

    def contents(self, blobs: Mapping[str, str]) -> dict[str, bytes]:
        """Return contents by path; raises ``SourceError`` RW714 where they are too large."""
        contents = blob_contents(self.git, blobs)
        return {path: contents[blob] for path, blob in blobs.items()}


def find_revision(repository: Path, ref: str) -> Revision:
    """Return the revision that ``ref`` names in ``repository``, or in the folder of one.

    Raises ``SourceError``: RW710 to RW713 and RW717, as ``read_commit``.
    """
    found, known = find_commit(repository, ref)
    commit = commit_of(found.git, known or resolve(repository, found.git, ref))
    tree = commit.tree if not found.folder else found.git.tree_id(commit.id, found.folder)
    if tree is None:
        raise SourceError(
            "RW713",
            f"the commit {commit.id[:12]} has no folder {found.folder}",
            "Commit the folder, or name another --ref",
        )
    return Revision(found.git, found.folder, commit, tree)
