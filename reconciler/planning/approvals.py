"""Which approvals a plan needs by the rules in force, and whose count. Pure.

An approval counts for a rule when its person has one of the rule's roles, is not an author where
the rule leaves authors out, and has not given it too long ago. A person counts once.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from reconciler.planning.item import PlanItem, Risk
from reconciler.state.approval_records import ApprovalRequest, GivenApproval
from reconciler.state.operation import Operation
from specs.fleet import CompiledApprovalRule, CompiledApprovals, CompiledPerson

CHANGE_OF_RULES = "a change of the approval rules"


class Requirement(NamedTuple):
    """One rule that a plan has to meet, and how far it is met."""

    what: str
    """What needs it, for people: ``destructive work``."""
    risk: Risk | None
    """The risk by whose rule the work is approved; None for a change of the rules."""
    rule: CompiledApprovalRule
    given: tuple[tuple[str, datetime], ...]
    """Whose approvals count and until when, those that hold longest first."""
    may: tuple[str, ...]
    """Who else could give one, in the order of the document."""

    @property
    def missing(self) -> int:
        """Return how many persons are still needed."""
        return max(0, self.rule.persons - len(self.given))

    @property
    def until(self) -> datetime | None:
        """Return when it is not met any more; None where it is not met."""
        return None if self.missing else self.given[self.rule.persons - 1][1]


class Subject(NamedTuple):
    """What is to be approved."""

    request: ApprovalRequest
    operations: tuple[tuple[Operation, Risk], ...]

    @property
    def risks(self) -> frozenset[Risk]:
        """Return the risks of its operations."""
        return frozenset(risk for _, risk in self.operations)

    @property
    def disks(self) -> int:
        """Return how many disks would be overwritten."""
        return sum(len(operation.instructions.disks) for operation, _ in self.operations)


class Waiting(NamedTuple):
    """A plan that waits for approvals, or that is approved and waits for its turn."""

    subject: Subject
    given: tuple[GivenApproval, ...]
    requirements: tuple[Requirement, ...]
    is_approved: bool


class MissingApprovals(NamedTuple):
    """Which approvals are missing, in words: of a plan in sentences, of an item as a clause."""

    plans: tuple[str, ...] = ()
    """Of plans that somebody approved and that wait for more."""
    by_risk: Mapping[Risk, str] = MappingProxyType({})
    by_operation: Mapping[str, str] = MappingProxyType({})
    """Of what is in such a plan."""

    def of(self, item: PlanItem) -> str:
        """Return what is missing before an item may begin; empty for nothing but a yes."""
        if item.operation is None:
            return ""
        known = self.by_operation.get(item.operation.op_id)
        return known or self.by_risk.get(item.risk, "")


NONE_MISSING = MissingApprovals()


def ruled_as(risk: Risk) -> Risk:
    """Return the risk by whose rule work of a risk is approved.

    A look at a machine whose disks are not known may interrupt whoever uses it.
    """
    return Risk.DISRUPTIVE if risk is Risk.UNKNOWN else risk


def rule_of(rules: CompiledApprovals, risk: Risk) -> CompiledApprovalRule | None:
    """Return the rule for work of a risk; None where any local user may approve it."""
    if risk is Risk.DESTRUCTIVE:
        return rules.destructive
    return rules.disruptive if ruled_as(risk) is Risk.DISRUPTIVE else rules.safe


def strictest(rules: CompiledApprovals) -> CompiledApprovalRule | None:
    """Return the rule for the largest risk that has one: by it the rules are changed."""
    return rules.destructive or rules.disruptive or rules.safe


def requirements(  # noqa: PLR0913 - all that a requirement depends on
    rules: CompiledApprovals,
    risks: Collection[Risk],
    given: Iterable[GivenApproval],
    authors: Collection[str],
    now: datetime,
    *,
    changes_rules: bool = False,
) -> tuple[Requirement, ...]:
    """Return what has to be met before work of these risks may begin, largest risk first.

    ``authors`` are the persons who wrote what is approved. ``changes_rules`` says that the
    revision has other rules than those in force.
    """
    said = tuple(given)
    found: list[Requirement] = []
    for risk in Risk:
        rule = rule_of(rules, risk) if risk in risks else None
        if rule is not None and not any(each.rule is rule for each in found):
            ruled = ruled_as(risk)
            what = f"{ruled.lower()} work"
            found.append(_requirement(what, ruled, rule, rules, said, authors, now))
    rule = strictest(rules) if changes_rules else None
    if rule is not None:
        found.append(_requirement(CHANGE_OF_RULES, None, rule, rules, said, authors, now))
    return tuple(found)


def approves_revision(
    rules: CompiledApprovals,
    given: Iterable[GivenApproval],
    authors: Collection[str],
    now: datetime,
) -> bool:
    """Return whether approvals are enough to take over the rules of their revision."""
    (requirement,) = requirements(rules, (), given, authors, now, changes_rules=True) or (None,)
    return requirement is not None and not requirement.missing


def person_of(rules: CompiledApprovals, login: str) -> CompiledPerson | None:
    """Return who has a login; None where nobody who may approve has it."""
    return next((each for each in rules.persons if login in each.logins), None)


def why_not(person: CompiledPerson, needed: Iterable[Requirement], authors: Collection[str]) -> str:
    """Return why a person's approval would count for nothing, as a clause; empty where it would."""
    reasons = [_why_not(person, each, authors) for each in needed]
    return "" if not all(reasons) else "; ".join(dict.fromkeys(reasons))


def _why_not(person: CompiledPerson, needed: Requirement, authors: Collection[str]) -> str:
    if not set(person.roles) & set(needed.rule.roles):
        return f"{needed.what} needs the role {' or '.join(needed.rule.roles)}"
    if needed.rule.exclude_author and person.name in authors:
        return f"{needed.what} is not approved by its author"
    return ""


def _requirement(  # noqa: PLR0913, PLR0917 - as ``requirements``
    what: str,
    risk: Risk | None,
    rule: CompiledApprovalRule,
    rules: CompiledApprovals,
    given: Iterable[GivenApproval],
    authors: Collection[str],
    now: datetime,
) -> Requirement:
    bare = Requirement(what, risk, rule, (), ())
    able = [each.name for each in rules.persons if not _why_not(each, bare, authors)]
    lasts = timedelta(seconds=rule.expires_seconds)
    ends: dict[str, datetime] = {}
    for each in given:
        if each.person in able and each.at <= now < each.at + lasts:
            ends[each.person] = max(each.at + lasts, ends.get(each.person, each.at))
    counted = sorted(ends.items(), key=lambda end: (end[1], end[0]), reverse=True)
    return bare._replace(given=tuple(counted), may=tuple(name for name in able if name not in ends))
