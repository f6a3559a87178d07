"""Deciding whether a commit may be acted on. Pure.

The decision depends on the last accepted commit, on the candidate and on what lies
between them, and not on how often somebody looked meanwhile.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from reconciler.errors import SourceError
from reconciler.git.signature import Finding, Verdict
from reconciler.git.tree import Commit
from specs.fleet import CompiledCommits

Verify = Callable[[str, CompiledCommits], Verdict]
"""Verifies the signature of the commit with this id by a policy that wants one."""

_SHORT = 12
_LONGEST_SUBJECT = 72
_NAMED = 5
_KINDS = {"ssh": "an SSH", "gpg": "an OpenPGP"}


class SignedRevision(NamedTuple):
    """A commit with what its Fleet document says of signers."""

    commit: Commit
    policy: CompiledCommits | None
    """None where the document cannot be read."""

    def __str__(self) -> str:
        """Return the commit as messages name it."""
        return describe(self.commit)


class Ancestry(NamedTuple):
    """How a candidate relates to the last accepted commit."""

    relation: Literal["same", "continues", "goes back", "differs"]
    """``goes back``: it is one that the accepted commit itself continues."""
    accepted: SignedRevision
    between: tuple[SignedRevision, ...] = ()
    """Where it continues: the commits on the way, oldest first, each a descendant of the last."""


class Accept(NamedTuple):
    """The commit may be acted on."""

    reason: str
    """Why, as a clause: ``signed by Jane Doe``."""
    signed: bool = False
    """Whether a listed signer vouches for it."""
    first: bool = False
    """Whether there was none before, so that the signer is one that it lists itself."""


class Refuse(NamedTuple):
    """The commit may not be acted on. Whoever acts on an earlier one goes on with that."""

    error: SourceError


Decision = Accept | Refuse


def describe(commit: Commit) -> str:
    """Return a commit as messages name it: short id, author and subject."""
    subject = commit.subject
    if len(subject) > _LONGEST_SUBJECT:
        subject = f"{subject[: _LONGEST_SUBJECT - 1]}…"
    return f"{commit.id[:_SHORT]} ({commit.author}: {subject})"


def decide(candidate: SignedRevision, ancestry: Ancestry | None, verify: Verify) -> Decision:
    """Return whether ``candidate`` may be acted on; ``ancestry`` is None for the first commit ever.

    Who must have signed is said by the last accepted commit, never by the candidate:
    else whoever can push could add himself. Where that one asks for nothing, the
    candidate's own word holds, so that signers cannot be listed by a commit that
    none of them signed. Raises what ``verify`` raises.
    """
    if ancestry is None:
        return _judge(candidate, None, verify, first=True)
    if ancestry.relation == "same":
        return Accept("it is the last accepted commit")
    if ancestry.relation != "continues":
        return Refuse(_rewritten(candidate, ancestry))
    policy = ancestry.accepted.policy
    if policy is None:
        return Refuse(_unreadable(candidate, ancestry.accepted))
    return _judge(candidate, _policy_after(ancestry.between, policy, verify), verify, first=False)


def _policy_after(
    between: Sequence[SignedRevision], policy: CompiledCommits, verify: Verify
) -> CompiledCommits:
    """Return who may sign after the commits that lie between.

    Each that would have been accepted counts, as if somebody had looked at it: who was
    removed on the way can sign no more, who was added can.
    """
    for revision in between:
        changes = revision.policy is not None and revision.policy != policy
        if changes and isinstance(_judge(revision, policy, verify, first=False), Accept):
            policy = revision.policy or policy
    return policy


def _judge(
    revision: SignedRevision, policy: CompiledCommits | None, verify: Verify, *, first: bool
) -> Decision:
    """Return what the signature of one commit is worth where ``policy`` is in force."""
    if policy is None or policy.verify == "none":
        policy = revision.policy or CompiledCommits()
    if policy.verify == "none":
        return Accept("no signature is required", first=first)
    verdict = verify(revision.commit.id, policy)
    if verdict.finding is Finding.GOOD:
        return Accept(f"signed by {verdict.signer}", signed=True, first=first)
    return Refuse(_not_signed(revision, policy, verdict))


def _not_signed(revision: SignedRevision, policy: CompiledCommits, verdict: Verdict) -> SourceError:
    kind = _KINDS[policy.verify]
    signers = _listed([signer.name for signer in policy.signers])
    on_top = f"put a commit on top that {signers} signs: git commit --allow-empty -S"
    key = f" {verdict.key}" if verdict.key else ""
    owner = f" of {verdict.signer}" if verdict.signer else ""
    match verdict.finding:
        case Finding.UNSIGNED:
            return SourceError(
                "RW730",
                f"the commit {revision} is not signed, and {kind} signature is required",
                f"To accept it, {on_top}",
            )
        case Finding.UNKNOWN_KEY:
            return SourceError(
                "RW731",
                f"the commit {revision} is signed with a key that is not listed:{key}",
                "Was it merged on a website, whose own key signs merges? List that key in "
                f"spec.commits.signers of the Fleet document, or {on_top}",
            )
        case Finding.EXPIRED | Finding.REVOKED:
            what = "has expired" if verdict.finding is Finding.EXPIRED else "was revoked"
            return SourceError(
                "RW733",
                f"the commit {revision} is signed with the key{key}{owner}, which {what}",
                "List a valid key in spec.commits.signers of the Fleet document, in a commit that "
                "another signer signs; where there is none, use: rackwright accept COMMIT",
            )
        case Finding.OTHER_KIND:
            return SourceError(
                "RW734",
                f"the signature of the commit {revision} is not {kind} signature, which is "
                "required",
                f"Set git's gpg.format to {'ssh' if policy.verify == 'ssh' else 'openpgp'} and "
                f"{on_top}",
            )
        case _:
            return SourceError(
                "RW732",
                f"the signature of the commit {revision} does not fit its content: it was "
                "changed after it was signed, or the signature is damaged",
                f"Find out who pushed it; if it is as it should be, {on_top}",
            )


def _rewritten(candidate: SignedRevision, ancestry: Ancestry) -> SourceError:
    accepted = ancestry.accepted
    by_hand = f"rackwright accept {candidate.commit.id[:_SHORT]}"
    if ancestry.relation == "goes back":
        return SourceError(
            "RW735",
            f"the commit {candidate} is older than {accepted}, which was accepted before",
            f"Undo commits with git revert; if going back is meant, use: {by_hand}",
        )
    return SourceError(
        "RW735",
        f"the history was rewritten: the commit {candidate} does not continue {accepted}, which "
        "was accepted before",
        f"Find out who did it and push the earlier history again; if it is meant, use: {by_hand}",
    )


def lost(accepted: str, candidate: Commit) -> SourceError:
    """Return the error for a repository that does not have the last accepted commit."""
    return SourceError(
        "RW736",
        f"the repository lacks the last accepted commit {accepted[:_SHORT]}, so that nothing "
        f"shows whether {describe(candidate)} continues it",
        "In a shallow clone, use: git fetch --unshallow; if the history was rewritten and that "
        f"is meant, or this is another repository, use: rackwright accept {candidate.id[:_SHORT]}",
    )


def _unreadable(candidate: SignedRevision, accepted: SignedRevision) -> SourceError:
    return SourceError(
        "RW740",
        f"this version cannot read what the last accepted commit {accepted} says of signers",
        "Use the version that accepted it, or, after a look at all changes since: rackwright "
        f"accept {candidate.commit.id[:_SHORT]}",
    )


def outside_git(accepted: str) -> SourceError:
    """Return the error for files without a commit where commits were accepted before."""
    return SourceError(
        "RW739",
        f"files outside Git do not continue the last accepted commit {accepted[:_SHORT]}",
        "Name the repository with --repo, or another directory with --state",
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} or one of {len(names) - _NAMED} more"
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
