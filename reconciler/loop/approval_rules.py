"""Whose approval rules are in force, and when they come into force.

A commit cannot grant a right to whoever wrote it: its rules come into force when a plan of it
was approved by the rules of before. Only where there are none yet does a commit's own word hold.
"""

from datetime import datetime
from json import dumps, loads
from typing import Any

from reconciler.planning.approvals import strictest
from reconciler.state.approvals import Approvals, ApprovedRevision, approve_revision_within
from reconciler.state.database import Database
from specs.fleet import (
    CompiledApprovalRule,
    CompiledApprovals,
    CompiledFleet,
    CompiledPerson,
)


def rules_as_text(rules: CompiledApprovals) -> str:
    """Return rules as they are kept: JSON with the names of the fields."""
    return dumps(
        {
            "persons": [each._asdict() for each in rules.persons],
            **{risk: rule and rule._asdict() for risk, rule in _by_risk(rules).items()},
        },
        sort_keys=True,
    )


def rules_of_text(text: str) -> CompiledApprovals:
    """Return rules that were kept."""
    kept = loads(text)
    persons = (
        CompiledPerson(**{key: _value(value) for key, value in each.items()})
        for each in kept.pop("persons")
    )
    rules = {
        risk: rule and CompiledApprovalRule(**{key: _value(each) for key, each in rule.items()})
        for risk, rule in kept.items()
    }
    return CompiledApprovals(tuple(persons), **rules)


def _by_risk(rules: CompiledApprovals) -> dict[str, CompiledApprovalRule | None]:
    return {
        "safe": rules.safe,
        "disruptive": rules.disruptive,
        "destructive": rules.destructive,
    }


def _value(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    return tuple(value) if isinstance(value, list) else value


def rules_in_force(approved: ApprovedRevision | None, fleet: CompiledFleet) -> CompiledApprovals:
    """Return the rules in force; those of ``fleet`` where no rules ever were."""
    if approved is not None:
        rules = rules_of_text(approved.rules)
        if strictest(rules) is not None:
            return rules
    return fleet.settings.approvals


def begin_rules(database: Database, fleet: CompiledFleet, actor: str, now: datetime) -> None:
    """Put the rules of an accepted revision in force where there are none yet."""
    own = fleet.settings.approvals
    if strictest(own) is None:
        return
    approved = Approvals(database).approved_revision()
    if approved is not None and strictest(rules_of_text(approved.rules)) is not None:
        return
    first = ApprovedRevision(
        fleet.revision, rules_as_text(own), now, actor, "there were no approval rules before"
    )
    with database.writing() as connection:
        approve_revision_within(connection, first)
