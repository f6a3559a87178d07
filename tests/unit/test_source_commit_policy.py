"""Which commit may be acted on, decided from facts."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from reconciler.git.commit_policy import (
    Accept,
    Ancestry,
    Decision,
    Refuse,
    decide,
    lost,
    outside_git,
)
from reconciler.git.commit_policy import SignedRevision as Signed
from reconciler.git.signature import Finding, Verdict
from reconciler.git.tree import Commit
from specs.fleet import CompiledCommits, CompiledSigner

COMMIT = "bbbbbbbbbbbb (Jane: Add rack 07)"
NONE = CompiledCommits()
UNREADABLE = None


def policy(*names: str, verify: str = "ssh") -> CompiledCommits:
    signers = tuple(CompiledSigner(name, f"key-of-{name}") for name in names)
    return CompiledCommits(verify, signers)  # type: ignore[arg-type]


def revision(letter: str, says: CompiledCommits | None, subject: str = "Add rack 07") -> Signed:
    return Signed(Commit(letter * 40, "Jane", datetime(2026, 11, 3, tzinfo=UTC), subject), says)


class Signatures:
    """Who signed which commit, by its letter; a finding stands for itself."""

    def __init__(self, signed: Mapping[str, str | Finding]) -> None:
        self._signed = signed
        self.asked: list[str] = []

    def __call__(self, commit: str, wanted: CompiledCommits) -> Verdict:
        assert wanted.verify != "none"
        self.asked.append(commit[0])
        by = self._signed.get(commit[0], Finding.UNSIGNED)
        if isinstance(by, Finding):
            return Verdict(by, "jane" if by in {Finding.EXPIRED, Finding.REVOKED} else "", "K1")
        listed = by in {signer.name for signer in wanted.signers}
        return Verdict(Finding.GOOD, by) if listed else Verdict(Finding.UNKNOWN_KEY, key="K9")


def continued(*commits: tuple[str, CompiledCommits | None], **signed: str | Finding) -> Decision:
    """Decide on the last of the commits, the first being the accepted one."""
    first, *between, last = [revision(letter, says) for letter, says in commits]
    ancestry = Ancestry("continues", first, tuple(between))
    return decide(last, ancestry, Signatures(signed))


def code(decision: Decision) -> str:
    assert isinstance(decision, Refuse), decision
    return decision.error.code


JANE, BOTH = policy("jane"), policy("jane", "joe")


class TestTheFirstCommit:
    def test_it_is_trusted_where_it_asks_for_nothing(self) -> None:
        accepted = decide(revision("a", NONE), None, Signatures({}))
        assert accepted == Accept("no signature is required", first=True)

    def test_it_must_be_signed_by_a_signer_that_it_lists(self) -> None:
        assert code(decide(revision("a", JANE), None, Signatures({}))) == "RW730"
        accepted = decide(revision("a", JANE), None, Signatures({"a": "jane"}))
        assert accepted == Accept("signed by jane", signed=True, first=True)


class TestSigners:
    def test_where_nothing_is_asked_every_continuation_is_taken(self) -> None:
        assert continued(("a", NONE), ("b", NONE)) == Accept("no signature is required")

    def test_a_listed_signer_is_taken_and_named(self) -> None:
        accepted = continued(("a", BOTH), ("b", BOTH), b="joe")
        assert accepted == Accept("signed by joe", signed=True)

    def test_who_lists_himself_is_judged_by_those_who_were_listed_before(self) -> None:
        assert code(continued(("a", JANE), ("b", policy("mallory")), b="mallory")) == "RW731"
        assert code(continued(("a", JANE), ("b", policy("jane", "eve")), b="eve")) == "RW731"

    def test_lowering_verify_must_be_signed(self) -> None:
        assert code(continued(("a", JANE), ("b", NONE))) == "RW730"
        assert isinstance(continued(("a", JANE), ("b", NONE), b="jane"), Accept)

    def test_raising_verify_must_be_signed_by_one_who_is_listed_then(self) -> None:
        assert code(continued(("a", NONE), ("b", JANE))) == "RW730"
        assert isinstance(continued(("a", NONE), ("b", JANE), b="jane"), Accept)

    def test_another_kind_of_signature_is_introduced_by_one_of_the_old_kind(self) -> None:
        gpg = policy("jane", verify="gpg")
        assert isinstance(continued(("a", JANE), ("b", gpg), b="jane"), Accept)

    def test_a_document_that_cannot_be_read_any_more_lets_nobody_in(self) -> None:
        assert code(continued(("a", UNREADABLE), ("b", NONE))) == "RW740"


class TestCommitsBetween:
    def test_they_need_no_signature_of_their_own(self) -> None:
        decision = continued(("a", JANE), ("b", JANE), ("c", JANE), d="jane", c="jane")
        assert isinstance(decision, Accept)

    def test_who_was_added_on_the_way_may_sign(self) -> None:
        assert isinstance(
            continued(("a", JANE), ("b", BOTH), ("c", BOTH), b="jane", c="joe"), Accept
        )

    def test_who_was_added_by_himself_may_not(self) -> None:
        assert code(continued(("a", JANE), ("b", BOTH), ("c", BOTH), b="joe", c="joe")) == "RW731"
        assert code(continued(("a", JANE), ("b", BOTH), ("c", BOTH), c="joe")) == "RW731"

    def test_who_was_removed_on_the_way_may_not_sign(self) -> None:
        assert code(continued(("a", BOTH), ("b", JANE), ("c", BOTH), b="jane", c="joe")) == "RW731"

    def test_who_is_removed_by_somebody_unlisted_may(self) -> None:
        assert isinstance(continued(("a", BOTH), ("b", JANE), ("c", BOTH), c="joe"), Accept)

    def test_a_requirement_that_was_added_on_the_way_holds(self) -> None:
        assert code(continued(("a", NONE), ("b", JANE), ("c", NONE), b="jane")) == "RW730"

    def test_one_that_cannot_be_read_changes_nothing(self) -> None:
        decision = continued(("a", JANE), ("b", UNREADABLE), ("c", JANE), b="jane", c="jane")
        assert isinstance(decision, Accept)

    def test_looking_at_each_commit_comes_to_the_same(self) -> None:
        # Joe is added, Jane removed; Joe then lists Ann.
        says = [("a", JANE), ("b", BOTH), ("c", policy("joe")), ("d", policy("joe", "ann"))]
        signed: dict[str, str | Finding] = {"b": "jane", "c": "joe", "d": "joe"}
        for first in range(len(says) - 1):
            for last in range(first + 1, len(says)):
                assert isinstance(continued(*says[first : last + 1], **signed), Accept)

    def test_only_those_that_change_something_are_verified(self) -> None:
        signatures = Signatures({"z": "jane"})
        between = tuple(revision(letter, JANE) for letter in "bcdef")
        ancestry = Ancestry("continues", revision("a", JANE), between)
        decide(revision("z", JANE), ancestry, signatures)
        assert signatures.asked == ["z"]


class TestHistory:
    def test_the_accepted_commit_itself_needs_no_second_look(self) -> None:
        ancestry = Ancestry("same", revision("a", JANE))
        assert isinstance(decide(revision("a", JANE), ancestry, Signatures({})), Accept)

    @pytest.mark.parametrize("says", [NONE, JANE])
    def test_a_rewritten_history_is_refused_whoever_signed_it(self, says: CompiledCommits) -> None:
        ancestry = Ancestry("differs", revision("a", says))
        decision = decide(revision("b", says, "New start"), ancestry, Signatures({"b": "jane"}))
        assert isinstance(decision, Refuse)
        assert str(decision.error) == (
            "RW735: the history was rewritten: the commit bbbbbbbbbbbb (Jane: New start) does not "
            "continue aaaaaaaaaaaa (Jane: Add rack 07), which was accepted before. Find out who "
            "did it and push the earlier history again; if it is meant, use: rackwright accept "
            "bbbbbbbbbbbb."
        )

    def test_going_back_is_told_from_a_rewritten_history(self) -> None:
        ancestry = Ancestry("goes back", revision("b", JANE))
        decision = decide(revision("a", JANE, "Old"), ancestry, Signatures({"a": "jane"}))
        assert isinstance(decision, Refuse)
        assert str(decision.error) == (
            "RW735: the commit aaaaaaaaaaaa (Jane: Old) is older than bbbbbbbbbbbb (Jane: Add "
            "rack 07), which was accepted before. Undo commits with git revert; if going back is "
            "meant, use: rackwright accept aaaaaaaaaaaa."
        )


@pytest.mark.parametrize(
    ("finding", "verify", "text"),
    [
        (
            Finding.UNSIGNED,
            "ssh",
            (
                f"RW730: the commit {COMMIT} is not signed, and an SSH "
                "signature is required. To accept it, put a commit on top that jane or joe signs: "
                "git commit --allow-empty -S."
            ),
        ),
        (
            Finding.UNKNOWN_KEY,
            "gpg",
            (
                f"RW731: the commit {COMMIT} is signed with a key that is not "
                "listed: K1. Was it merged on a website, whose own key signs merges? List that key "
                "in spec.commits.signers of the Fleet document, or put a commit on top that jane "
                "or joe signs: git commit --allow-empty -S."
            ),
        ),
        (
            Finding.DAMAGED,
            "ssh",
            (
                f"RW732: the signature of the commit {COMMIT} does not fit its "
                "content: it was changed after it was signed, or the signature is damaged. Find "
                "out who pushed it; if it is as it should be, put a commit on top that jane or "
                "joe signs: git commit --allow-empty -S."
            ),
        ),
        (
            Finding.EXPIRED,
            "gpg",
            (
                f"RW733: the commit {COMMIT} is signed with the key K1 of "
                "jane, which has expired. List a valid key in spec.commits.signers of the Fleet "
                "document, in a commit that another signer signs; where there is none, use: "
                "rackwright accept COMMIT."
            ),
        ),
        (
            Finding.REVOKED,
            "gpg",
            (
                f"RW733: the commit {COMMIT} is signed with the key K1 of "
                "jane, which was revoked. List a valid key in spec.commits.signers of the Fleet "
                "document, in a commit that another signer signs; where there is none, use: "
                "rackwright accept COMMIT."
            ),
        ),
        (
            Finding.OTHER_KIND,
            "gpg",
            (
                f"RW734: the signature of the commit {COMMIT} is not an "
                "OpenPGP signature, which is required. Set git's gpg.format to openpgp and put a "
                "commit on top that jane or joe signs: git commit --allow-empty -S."
            ),
        ),
    ],
)
def test_each_fault_says_what_it_is_and_what_to_do(
    finding: Finding, verify: str, text: str
) -> None:
    says = policy("jane", "joe", verify=verify)
    decision = continued(("a", says), ("b", says), b=finding)
    assert isinstance(decision, Refuse)
    assert str(decision.error) == text


def test_a_missing_commit_names_the_two_ways_out() -> None:
    assert str(lost("a" * 40, revision("b", NONE).commit)) == (
        "RW736: the repository lacks the last accepted commit aaaaaaaaaaaa, so that nothing shows "
        "whether bbbbbbbbbbbb (Jane: Add rack 07) continues it. In a shallow clone, use: git fetch "
        "--unshallow; if the history was rewritten and that is meant, or this is another "
        "repository, use: rackwright accept bbbbbbbbbbbb."
    )


def test_files_outside_git_name_the_commit_that_they_would_replace() -> None:
    assert str(outside_git("a" * 40)) == (
        "RW739: files outside Git do not continue the last accepted commit aaaaaaaaaaaa. Name the "
        "repository with --repo, or another directory with --state."
    )


def test_many_signers_and_long_subjects_stay_short() -> None:
    says = policy(*(f"p{number}" for number in range(9)))
    candidate = revision("b", says, "x" * 200)
    decision = decide(candidate, Ancestry("continues", revision("a", says)), Signatures({}))
    assert isinstance(decision, Refuse)
    assert "p0, p1, p2, p3, p4 or one of 4 more" in decision.error.action
    assert "x" * 71 + "…" in decision.error.cause
