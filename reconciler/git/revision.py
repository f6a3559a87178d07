"""Which commit desired state comes from, before any of its files is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import SourceError
from reconciler.git.command import Change, GitCommand, ObjectTooLargeError
from reconciler.git.commit import commit_of, read_tree, resolve
from reconciler.git.repository import find_commit
from reconciler.git.tree import Commit, SourceTree, refuse_too_large


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

    def changes_since(self, tree: str) -> Iterator[Change]:
        """Yield the files that differ from those of ``tree``, a folder's id in this repository.

        Raises ``SourceError`` RW717 where the repository no longer has that tree.
        """
        return self.git.changes(tree, self.tree)

    def contents(self, blobs: list[str], largest: int) -> dict[str, bytes]:
        """Return the content of blobs by their ids; RW714 for one above ``largest`` bytes."""
        try:
            return dict(self.git.objects(blobs, largest))
        except ObjectTooLargeError as error:
            refuse_too_large(f"the file {error.id}", error.size)
            raise


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
