"""Which commits of a location may be acted on, and which one was the last."""

from datetime import datetime
from functools import partial
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.source.acceptance import (
    Accept,
    Decision,
    Refuse,
    Revision,
    decide,
    lost,
    outside_git,
)
from reconciler.source.commit import read_commit
from reconciler.source.lineage import RevisionReader
from reconciler.source.location import RemoteRepository, parse_location, repository_path
from reconciler.source.repository import find_repository
from reconciler.source.signature_check import check_signature
from reconciler.source.tree import SourceTree
from reconciler.store.accepted_revisions import AcceptedRevision, AcceptedRevisions
from specs.compiled import CompiledCommits


class Admission:
    """Judges revisions by what a state directory accepted before, wherever that came from."""

    def __init__(self, location: str, cache: Path, revisions: AcceptedRevisions) -> None:
        self._location = location
        self._path = repository_path(location, cache)
        self._revisions = revisions

    @property
    def last(self) -> AcceptedRevision | None:
        """The last accepted commit."""
        return self._revisions.last()

    def last_tree(self) -> SourceTree | None:
        """Return the files of the last accepted commit; None where there is none.

        Raises ``SourceError`` as ``read_commit``.
        """
        last = self.last
        return None if last is None else read_commit(self._path, last.commit)

    def judge(self, tree: SourceTree, policy: CompiledCommits) -> Decision:
        """Return whether ``tree``, whose Fleet document says ``policy``, may be acted on.

        What keeps it from being judged refuses it.
        """
        last = self.last
        if tree.commit is None or tree.commit.id != tree.revision:
            return Refuse(outside_git(last.commit)) if last else Accept("files outside Git")
        if last is not None and last.commit == tree.revision:
            return Accept("it is the last accepted commit")
        try:
            repository = find_repository(self._path)
            lineage = None
            if last is not None:
                lineage = RevisionReader(repository).trace(last.commit, tree.revision)
                if lineage is None:
                    return Refuse(lost(last.commit, tree.commit))
            verify = partial(check_signature, repository.git)
            return decide(Revision(tree.commit, policy), lineage, verify)
        except SourceError as error:
            return Refuse(error)

    def accept(self, tree: SourceTree, actor: str, reason: str, at: datetime) -> None:
        """Remember ``tree`` as the last accepted one; files outside Git are not remembered."""
        last = self.last
        if tree.commit is None or tree.commit.id != tree.revision:
            return
        if last is not None and last.commit == tree.revision:
            return
        if isinstance(parse_location(self._location), RemoteRepository):
            # Else the copy could lose it some time after the other side rewrites its history.
            find_repository(self._path).git.keep(tree.revision)
        self._revisions.add(
            AcceptedRevision(
                commit=tree.revision, source=self._location, at=at, actor=actor, reason=reason
            )
        )
