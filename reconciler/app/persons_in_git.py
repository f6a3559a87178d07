"""What a repository says of persons who may approve: who wrote commits, who signed tags."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError
from reconciler.git.approval_tags import ApprovalTag, approval_tags
from reconciler.git.authors import Authorship, authorship
from reconciler.git.location import repository_path
from reconciler.git.repository import find_repository
from reconciler.git.signature import Finding
from reconciler.git.signature_check import Signed, check_signature
from reconciler.state.approval_records import ApprovalRequest, GivenApproval
from specs.fleet import CompiledCommits, CompiledPerson, CompiledSigner
from specs.types.signing_key import is_openpgp

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from reconciler.git.command import GitCommand

_SHORT = 12


class PersonsInGit:
    """The persons of one set of approval rules, in the repository of a project."""

    def __init__(self, project: "Project", persons: Iterable[CompiledPerson]) -> None:
        self._project = project
        self._persons = tuple(persons)

    @cached_property
    def _git(self) -> "GitCommand":
        path = repository_path(self._project.repo, self._project.state / "sources")
        return find_repository(path).git

    def authors(self, older: str, newer: str) -> frozenset[str]:
        """Return who wrote, committed or signed what ``newer`` has and ``older`` lacks.

        ReconcilerError RW963 where that cannot be told.
        """
        if older == newer:
            return frozenset()
        for revision in (older, newer):
            if ":" in revision or self._git.commit_id(revision) is None:
                raise ReconcilerError(
                    "RW963",
                    f"nobody knows who wrote {newer[:_SHORT]}: there is no commit "
                    f"{revision[:_SHORT]}",
                    "Name the repository that has both, or put this revision's rules in force with "
                    "`rackwright accept COMMIT --approvals --reason TEXT`",
                )
        return frozenset(
            name
            for each in authorship(self._git, older, newer)
            for name in self._persons_behind(each)
        )

    def goes_back(self, older: str, newer: str) -> bool:
        """Return whether ``older`` has commits that ``newer`` lacks; False where none can tell."""
        if ":" in older or ":" in newer or self._git.commit_id(older) is None:
            return False
        return bool(self._git.commits_between(newer, older))

    def approvals_by_tags(
        self, request: ApprovalRequest, known: Iterable[str], now: datetime
    ) -> list[GivenApproval]:
        """Return the approvals that signed tags on the request's commit give.

        ``known`` are the ids of tags that are not asked about.
        """
        said = set(known)
        return [
            GivenApproval(
                digest=request.digest,
                person=person,
                withdrawn=False,
                means="tag",
                tag=tag.id,
                at=min(tag.at, now),
                actor=tag.name,
                reason="",
            )
            for tag in self._tags
            if tag.commit == request.revision and request.digest.startswith(tag.digest)
            if tag.id not in said
            for kind in ("ssh", "gpg")
            for person in self._signers(tag.id, kind, "tag")
        ]

    @cached_property
    def _tags(self) -> tuple[ApprovalTag, ...]:
        if self._project.revision is None or not any(each.keys for each in self._persons):
            return ()
        return tuple(approval_tags(self._git))

    def _persons_behind(self, commit: Authorship) -> Iterable[str]:
        for person in self._persons:
            if commit.emails.intersection(person.emails):
                yield person.name
        yield from self._signers(commit.commit, commit.signature, "commit")

    def _signers(self, signed: str, kind: str, what: Signed) -> Iterable[str]:
        """Yield who signed a commit or a tag; nobody where it is none of the persons."""
        if kind not in {"ssh", "gpg"}:
            return
        signers = tuple(
            CompiledSigner(person.name, key)
            for person in self._persons
            for key in person.keys
            if is_openpgp(key) == (kind == "gpg")
        )
        if not signers:
            return
        policy = CompiledCommits("gpg" if kind == "gpg" else "ssh", signers)
        verdict = check_signature(self._git, signed, policy, what)
        wrote = what == "commit" and bool(verdict.signer)  # also with a key that has expired
        if verdict.finding is Finding.GOOD or wrote:
            yield verdict.signer
