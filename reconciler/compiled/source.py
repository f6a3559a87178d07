"""The files that a fleet is compiled from, by Git's ids of their contents."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from hashlib import blake2b
from typing import NamedTuple

from reconciler.git.revision import Revision
from reconciler.git.tree import Algorithm, SourceTree, blob_id
from specs.desired_state import is_desired_state, is_table

_SHA1 = 40
"""Hexadecimal digits of an object's id, in repositories that are not of SHA-256."""

Read = Callable[[Iterable[str]], Mapping[str, bytes]]
"""Returns the contents of files by their paths."""


class Listing(NamedTuple):
    """Which files there are."""

    blobs: Mapping[str, str]
    """By path."""
    has_links: bool = False
    """Whether one of them is reached through a link."""


class SourceFiles:
    """The desired state of a revision or a folder. Files are listed when somebody asks.

    ``tree`` is Git's id of the folder, or empty. Of a draft, some files are as somebody is
    writing them. Whatever listing and reading raise, the
    methods raise.
    """

    def __init__(
        self, tree: str, listing: Callable[[], Listing], read: Read, *, is_draft: bool = False
    ) -> None:
        self.tree = tree
        self.read = read
        self.is_draft = is_draft
        self._ask = listing

    @cached_property
    def key(self) -> str:
        """What names all files: equal keys, equal files."""
        # What a link leads to may stand outside the folder, and change without its tree.
        if self.tree and not self._listing.has_links:
            return self.tree
        blobs = self._listing.blobs
        return _digest(f"{blobs[path]} {path}" for path in sorted(blobs))

    @cached_property
    def yaml(self) -> Mapping[str, str]:
        """The blobs of files that hold documents, in the order of paths."""
        return {path: blob for path, blob in self._desired.items() if not is_table(path)}

    @cached_property
    def csv(self) -> Mapping[str, str]:
        """The blobs of tables, in the order of paths."""
        return {path: blob for path, blob in self._desired.items() if is_table(path)}

    def tables(self) -> Mapping[str, bytes]:
        """Return the contents of the tables."""
        return self.read(self.csv)

    def everything(self) -> Mapping[str, bytes]:
        """Return the contents of all files."""
        return self.read(self._desired)

    def replaced(self, files: Mapping[str, bytes]) -> "SourceFiles":
        """Return the same with some other contents; itself where they are what is there."""
        known = self._listing.blobs
        ids = {path: blob_id(data, _algorithm(known)) for path, data in files.items()}
        changed = {path: ids[path] for path in ids if known.get(path) != ids[path]}
        if not changed:
            return self

        def read(paths: Iterable[str]) -> Mapping[str, bytes]:
            paths = list(paths)
            old = self.read(path for path in paths if path not in changed)
            return {path: files[path] if path in changed else old[path] for path in paths}

        return SourceFiles("", lambda: Listing({**known, **changed}), read, is_draft=True)

    @cached_property
    def _listing(self) -> Listing:
        return self._ask()

    @cached_property
    def _desired(self) -> Mapping[str, str]:
        blobs = self._listing.blobs
        return {path: blobs[path] for path in sorted(blobs) if is_desired_state(path)}


def files_of_revision(revision: Revision) -> SourceFiles:
    """Return the files of a commit; listing and reading raise as ``Revision.read``."""

    @cache
    def listing() -> Listing:
        return Listing(*revision.blobs())

    def read(paths: Iterable[str]) -> Mapping[str, bytes]:
        blobs = listing().blobs
        return revision.contents({path: blobs[path] for path in paths})

    return SourceFiles(revision.tree, listing, read)


def files_of_tree(tree: SourceTree) -> SourceFiles:
    """Return files that were read before."""
    return SourceFiles(
        "", lambda: Listing(tree.blobs), lambda paths: {path: tree.files[path] for path in paths}
    )


def _digest(lines: Iterable[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=20).hexdigest()


def _algorithm(blobs: Mapping[str, str]) -> Algorithm:
    return "sha1" if all(len(blob) == _SHA1 for blob in blobs.values()) else "sha256"
