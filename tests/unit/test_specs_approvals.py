"""Who may approve what, as the Fleet document says it."""

import json
from typing import Any

import pytest

from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledApprovalRule, CompiledApprovals, CompiledPerson

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
ADA = {"name": "Ada", "logins": ["ada"], "emails": ["Ada@Example.org"], "roles": ["operator"]}
BOB = {"name": "Bob", "keys": [KEY], "emails": ["bob@example.org"], "roles": ["operator", "owner"]}
TWO = {"roles": ["operator"], "persons": 2, "excludeAuthor": True, "expires": "8h"}


def compiled(approvals: dict[str, Any]) -> Any:
    document = {
        "apiVersion": "rackwright/v1alpha1",
        "kind": "Fleet",
        "metadata": {"name": "f"},
        "spec": {"approvals": approvals},
    }
    return compile_fleet({"f.yaml": json.dumps(document).encode()}, "r")


def test_without_a_word_there_is_no_rule() -> None:
    assert compiled({}).fleet.settings.approvals == CompiledApprovals()


def test_persons_and_rules_are_compiled() -> None:
    approvals = compiled({"persons": [ADA, BOB], "destructive": TWO}).fleet.settings.approvals
    assert approvals == CompiledApprovals(
        persons=(
            CompiledPerson("Ada", ("operator",), ("ada",), (), ("ada@example.org",)),
            CompiledPerson("Bob", ("operator", "owner"), (), (KEY,), ("bob@example.org",)),
        ),
        destructive=CompiledApprovalRule(
            ("operator",), 2, exclude_author=True, expires_seconds=8 * 3600
        ),
    )


@pytest.mark.parametrize(
    ("approvals", "message", "hint"),
    [
        (
            {"persons": [ADA]},
            "the persons have no effect: there is no rule",
            "add safe, disruptive or destructive",
        ),
        (
            {"persons": [ADA], "safe": {"roles": ["owner"]}},
            'no person has the role "owner"',
            "give it to one of",
        ),
        (
            {"persons": [ADA], "destructive": {"roles": ["operator"], "persons": 2}},
            "2 persons have to approve, and 1 may",
            "give the role to more persons",
        ),
        (
            {
                "persons": [{**ADA, "emails": []}],
                "safe": {"roles": ["operator"], "excludeAuthor": True},
            },
            'authors do not count, and "Ada" could not be recognised as one',
            "list the e-mails of their commits",
        ),
        (
            {"persons": [{**ADA, "logins": []}], "safe": {"roles": ["operator"]}},
            '"Ada" has neither logins nor keys and can approve nothing',
            "list a login",
        ),
        (
            {"persons": [ADA, {**BOB, "logins": ["ada"]}], "safe": {"roles": ["operator"]}},
            '"Ada" and "Bob" have one login: "ada"',
            "give it to one of them",
        ),
        (
            {
                "persons": [ADA, {**BOB, "emails": ["ada@example.ORG"]}],
                "safe": {"roles": ["operator"]},
            },
            '"Ada" and "Bob" have one e-mail: "ada@example.org"',
            "give it to one of them",
        ),
        (
            {"persons": [{**ADA, "keys": [KEY]}, BOB], "safe": {"roles": ["operator"]}},
            '"Ada" and "Bob" have one key',
            "give it to one of them",
        ),
        (
            {"persons": [ADA, {**BOB, "name": "Ada"}], "safe": {"roles": ["operator"]}},
            '"Ada" and "Ada" have one name: "Ada"',
            "give it to one of them",
        ),
        (
            {"persons": [ADA], "safe": {"roles": []}},
            "spec.approvals.safe.roles",
            "",
        ),
        (
            {"persons": [ADA], "safe": {"roles": ["operator"], "expires": "30s"}},
            "spec.approvals.safe.expires",
            "",
        ),
    ],
)
def test_what_could_not_be_kept_is_an_error(
    approvals: dict[str, Any], message: str, hint: str
) -> None:
    result = compiled(approvals)
    assert result.fleet is None
    (problem,) = result.diagnostics
    assert message in str(problem)
    assert hint in (problem.hint or "")
