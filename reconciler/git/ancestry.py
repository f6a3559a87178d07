"""How a commit continues an earlier one, and what the commits between say of signers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.errors import SourceError
from reconciler.git.command import ObjectTooLargeError
from reconciler.git.commit import commit_of, file_contents, wanted_blobs
from reconciler.git.commit_policy import Ancestry, SignedRevision
from reconciler.git.repository import Repository
from reconciler.git.tree import MAX_FILE_BYTES

if TYPE_CHECKING:
    from specs.fleet import CompiledCommits

KnownPolicy = Callable[[str], "CompiledCommits | None"]
"""Returns what a sound fleet says of signers by its tree; None where nobody remembers."""

_MOST_CHANGES = 500
"""Files beyond which reading all of a commit is hardly more."""


def nothing_known(_tree: str) -> None:
    """Remember nothing."""


class RevisionReader:
    """Reads what commits say of signers.

    A large fleet's files are read for it only where nothing is known of a commit like
    it: no file that differs between two commits may then hold a Fleet document.
    """

    def __init__(self, repository: Repository, known: KnownPolicy = nothing_known) -> None:
        self._git = repository.git
        self._folder = repository.folder
        self._known = known
        self._policies: dict[str, CompiledCommits | None] = {}
        """By tree, the one that was read last at the end."""

    def read(self, commit: str) -> SignedRevision:
        """Return one commit; its policy is None where its files cannot be read."""
        about = commit_of(self._git, commit)
        tree = self._git.tree_id(commit, self._folder) if self._folder else about.tree
        if tree is None:
            return SignedRevision(about, None)
        if tree not in self._policies:
            self._policies[tree] = self._policy(commit, tree)
        return SignedRevision(about, self._policies[tree])

    def trace(self, accepted: str, candidate: str) -> Ancestry | None:
        """Return how ``candidate`` relates to ``accepted``; None when that one is not there.

        Raises ``SourceError`` as ``GitCommand``.
        """
        if self._git.commit_id(accepted) is None:
            return None
        start = self.read(accepted)
        if accepted == candidate:
            return Ancestry("same", start)
        if line := self._git.descent(accepted, candidate):
            return Ancestry("continues", start, tuple(self.read(commit) for commit in line[:-1]))
        return Ancestry("goes back" if self._git.descent(candidate, accepted) else "differs", start)

    def _policy(self, commit: str, tree: str) -> "CompiledCommits | None":
        from specs.compile.fleet import compile_commits  # noqa: PLC0415 - not where nothing was accepted

        known = self._known(tree)
        if known is not None:
            return known
        for other, policy in reversed(self._policies.items()):
            if policy is not None and self._say_the_same(other, tree):
                return policy
        try:
            blobs = wanted_blobs(self._git, list(self._git.entries(commit, self._folder)))
            contents = file_contents(self._git, blobs)
        except SourceError:
            return None
        return compile_commits(contents)

    def _say_the_same(self, one: str, other: str) -> bool:
        """Return whether two trees are known to have the same Fleet document."""
        from specs.compile.fleet import may_hold_fleet  # noqa: PLC0415 - likewise

        # Files of any name: a link may lead to one that has no part in the fleet by itself.
        changes = list(self._git.changes(one, other))
        if len(changes) > _MOST_CHANGES or any(each.is_indirect for each in changes):
            return False
        blobs = {blob for each in changes for blob in (each.before, each.after) if blob}
        try:
            contents = self._git.objects(sorted(blobs), MAX_FILE_BYTES)
            return not any(may_hold_fleet(content) for _, content in contents)
        except ObjectTooLargeError:
            return False
