"""Which approvals count: a pure function of rules, persons, what was given, authors and time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.approvals import (
    CHANGE_OF_RULES,
    Requirement,
    approves_revision,
    person_of,
    requirements,
    rule_of,
    why_not,
)
from reconciler.planning.item import Risk
from reconciler.state.approval_records import GivenApproval
from reconciler.views.plan_words import requirement
from specs.fleet import CompiledApprovalRule, CompiledApprovals, CompiledPerson

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
DAY = 86_400
NAMES = ("ada", "bob", "cyd", "dan")
ROLES = {
    "ada": ("operator",),
    "bob": ("operator",),
    "cyd": ("operator", "owner"),
    "dan": ("guest",),
}


def a_rule(*roles: str, persons: int = 1, exclude_author: bool = False) -> CompiledApprovalRule:
    return CompiledApprovalRule(roles or ("operator",), persons, exclude_author, DAY)


def rules(**by_risk: CompiledApprovalRule) -> CompiledApprovals:
    persons = tuple(CompiledPerson(name, ROLES[name], (f"{name}-login",)) for name in NAMES)
    return CompiledApprovals(persons=persons, **by_risk)


def by(person: str, age: timedelta = timedelta()) -> GivenApproval:
    return GivenApproval(
        "d" * 64, person, withdrawn=False, means="login", tag="", at=NOW - age, actor="x", reason=""
    )


def only(found: tuple[Requirement, ...]) -> Requirement:
    (each,) = found
    return each


TWO = rules(destructive=a_rule(persons=2, exclude_author=True))


def needed(*given_: GivenApproval, authors: tuple[str, ...] = ()) -> Requirement:
    return only(requirements(TWO, {Risk.DESTRUCTIVE}, given_, authors, NOW))


def test_two_persons_of_the_role_are_enough_and_one_is_not() -> None:
    assert needed(by("ada")).missing == 1
    assert needed(by("ada"), by("bob")).missing == 0


def test_a_person_counts_once_however_often_they_approve() -> None:
    assert needed(by("ada"), by("ada", timedelta(hours=1))).missing == 1


def test_who_lacks_the_role_or_is_unknown_does_not_count() -> None:
    assert needed(by("dan"), by("eve")).missing == 2


def test_an_author_does_not_count_where_the_rule_leaves_authors_out() -> None:
    assert needed(by("ada"), by("bob"), authors=("ada",)).missing == 1
    lax = rules(destructive=a_rule(persons=2))
    both = (by("ada"), by("bob"))
    assert only(requirements(lax, {Risk.DESTRUCTIVE}, both, ("ada",), NOW)).missing == 0


def test_an_approval_counts_until_it_expires_and_not_before_it_was_given() -> None:
    assert needed(by("ada", timedelta(seconds=DAY - 1))).missing == 1
    assert needed(by("ada", timedelta(seconds=DAY))).missing == 2
    assert needed(by("ada", timedelta(seconds=-1))).missing == 2


def test_it_is_met_until_the_first_of_those_that_it_needs_expires() -> None:
    met = needed(by("ada"), by("bob", timedelta(hours=2)), by("cyd", timedelta(hours=5)))
    assert met.until == NOW + timedelta(seconds=DAY) - timedelta(hours=2)
    assert needed(by("ada")).until is None


def test_who_else_may_is_named() -> None:
    assert needed(by("ada"), authors=("cyd",)).may == ("bob",)


def test_without_a_rule_for_a_risk_nothing_is_needed() -> None:
    assert requirements(TWO, {Risk.SAFE, Risk.DISRUPTIVE, Risk.UNKNOWN}, (), (), NOW) == ()
    assert requirements(CompiledApprovals(), set(Risk), (), (), NOW, changes_rules=True) == ()


@pytest.mark.parametrize(
    ("risk", "field"),
    [
        (Risk.DESTRUCTIVE, "destructive"),
        (Risk.DISRUPTIVE, "disruptive"),
        (Risk.SAFE, "safe"),
        (Risk.UNKNOWN, "disruptive"),
    ],
)
def test_each_risk_has_its_rule(risk: Risk, field: str) -> None:
    each = {name: a_rule(name) for name in ("safe", "disruptive", "destructive")}
    assert rule_of(rules(**each), risk) is each[field]


def test_a_change_of_the_rules_needs_what_the_largest_risk_needs() -> None:
    both = rules(safe=a_rule(), disruptive=a_rule("owner"))
    change = only(requirements(both, (), (), (), NOW, changes_rules=True))
    assert (change.what, change.rule) == (CHANGE_OF_RULES, both.disruptive)
    assert not approves_revision(both, [by("ada")], (), NOW)
    assert approves_revision(both, [by("cyd")], (), NOW)
    assert not approves_revision(CompiledApprovals(), [by("cyd")], (), NOW)


def test_why_a_person_may_not_is_said() -> None:
    asked = (needed(authors=("ada",)),)
    said = {
        name: why_not(person, asked, ("ada",))
        for name in NAMES
        if (person := person_of(TWO, f"{name}-login")) is not None
    }
    assert said == {
        "ada": "destructive work is not approved by its author",
        "bob": "",
        "cyd": "",
        "dan": "destructive work needs the role operator",
    }
    assert person_of(TWO, "ada") is None


def test_it_is_said_in_one_sentence() -> None:
    assert requirement(needed(by("ada"))) == (
        "Destructive work needs 2 persons of role operator; given by ada until 2026-11-29 12:00 "
        "UTC; 1 more, by bob or cyd."
    )
    assert requirement(needed()) == (
        "Destructive work needs 2 persons of role operator; 2 missing, by ada or bob or cyd."
    )


GIVEN = st.builds(
    by,
    st.sampled_from([*NAMES, "eve"]),
    st.timedeltas(timedelta(hours=-1), timedelta(hours=30)),
)
SOME = st.lists(GIVEN, max_size=6)
AUTHORS = st.sets(st.sampled_from(NAMES))
RULE = st.builds(
    a_rule,
    st.sampled_from(["operator", "owner", "guest"]),
    persons=st.sampled_from([1, 2]),
    exclude_author=st.booleans(),
)


@given(RULE, SOME, AUTHORS)
def test_a_rule_is_met_by_that_many_persons_who_may_and_whose_approval_holds(
    rule: CompiledApprovalRule, said: list[GivenApproval], authors: set[str]
) -> None:
    found = only(requirements(rules(destructive=rule), {Risk.DESTRUCTIVE}, said, authors, NOW))
    able = {
        each.person
        for each in said
        if set(ROLES.get(each.person, ())) & set(rule.roles)
        and not (rule.exclude_author and each.person in authors)
        and timedelta() <= NOW - each.at < timedelta(seconds=DAY)
    }
    assert {name for name, _ in found.given} == able
    assert (found.missing == 0) is (len(able) >= rule.persons)
    assert not set(found.may) & able


@given(RULE, SOME, AUTHORS, GIVEN)
def test_another_approval_never_takes_one_away_and_an_author_never_adds_one(
    rule: CompiledApprovalRule,
    said: list[GivenApproval],
    authors: set[str],
    more: GivenApproval,
) -> None:
    def missing(approvals: list[GivenApproval], wrote: set[str]) -> int:
        found = requirements(rules(safe=rule), {Risk.SAFE}, approvals, wrote, NOW)
        return only(found).missing

    assert missing([*said, more], authors) <= missing(said, authors)
    assert missing(said, set()) <= missing(said, authors)


@given(RULE, SOME, AUTHORS)
def test_what_is_met_is_met_until_its_end_and_not_after(
    rule: CompiledApprovalRule, said: list[GivenApproval], authors: set[str]
) -> None:
    by_rules = rules(safe=rule)
    end = only(requirements(by_rules, {Risk.SAFE}, said, authors, NOW)).until
    if end is None:
        return
    past = [each for each in said if each.at <= NOW]
    just_before = end - timedelta(microseconds=1)
    assert only(requirements(by_rules, {Risk.SAFE}, past, authors, just_before)).missing == 0
    assert only(requirements(by_rules, {Risk.SAFE}, past, authors, end)).missing > 0
