"""Which commits of a location may be acted on, and which one was the last."""

from datetime import datetime
from functools import cached_property
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.git.ancestry import KnownPolicy, RevisionReader, nothing_known
from reconciler.git.command import without_login
from reconciler.git.commit_policy import (
    Accept,
    Decision,
    Refuse,
    SignedRevision,
    decide,
    lost,
    outside_git,
)
from reconciler.git.location import RemoteRepository, parse_location, repository_path
from reconciler.git.repository import Repository, find_repository
from reconciler.git.revision import Revision, find_revision
from reconciler.git.signature import Verdict
from reconciler.git.tree import Commit
from reconciler.state.accepted_revisions import AcceptedRevision, AcceptedRevisions
from specs.fleet import CompiledCommits


class RevisionPolicy:
    """Judges revisions by what a state directory accepted before, wherever that came from."""

    def __init__(
        self,
        location: str,
        cache: Path,
        revisions: AcceptedRevisions,
        known: KnownPolicy = nothing_known,
    ) -> None:
        self._location = location
        self._known = known
        self._path = repository_path(location, cache)
        self._revisions = revisions

    @property
    def last(self) -> AcceptedRevision | None:
        """The last accepted commit."""
        return self._revisions.last()

    def last_revision(self) -> Revision | None:
        """Return the last accepted commit as it is in the repository; None where there is none.

        Raises ``SourceError`` as ``find_revision``.
        """
        last = self.last
        return None if last is None else find_revision(self._path, last.commit)

    @cached_property
    def _repository(self) -> Repository:
        return find_repository(self._path)

    def _verify(self, commit: str, policy: CompiledCommits) -> Verdict:
        # Not where no signature is asked for.
        from reconciler.git.signature_check import check_signature  # noqa: PLC0415

        return check_signature(self._repository.git, commit, policy)

    def judge(self, commit: Commit | None, policy: CompiledCommits) -> Decision:
        """Return whether ``commit``, whose Fleet document says ``policy``, may be acted on.

        None stands for files outside Git. What keeps it from being judged refuses it.
        """
        last = self.last
        if commit is None:
            return Refuse(outside_git(last.commit)) if last else Accept("files outside Git")
        if last is not None and last.commit == commit.id:
            return Accept("it is the last accepted commit")
        try:
            ancestry = None
            if last is not None:
                ancestry = RevisionReader(self._repository, self._known).trace(
                    last.commit, commit.id
                )
                if ancestry is None:
                    return Refuse(lost(last.commit, commit))
            return decide(SignedRevision(commit, policy), ancestry, self._verify)
        except SourceError as error:
            return Refuse(error)

    def accept(self, commit: Commit | None, actor: str, reason: str, at: datetime) -> None:
        """Remember ``commit`` as the last accepted one; files outside Git are not remembered."""
        last = self.last
        if commit is None or (last is not None and last.commit == commit.id):
            return
        if isinstance(parse_location(self._location), RemoteRepository):
            # Else the copy could lose it some time after the other side rewrites its history.
            self._repository.git.keep(commit.id)
        self._revisions.add(
            AcceptedRevision(
                commit=commit.id,
                source=without_login(self._location),
                at=at,
                actor=actor,
                reason=reason,
            )
        )
