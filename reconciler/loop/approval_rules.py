"""Whose approval rules are in force, and when they come into force.

A commit cannot grant a right to whoever wrote it: its rules come into force when a plan of it
was approved by the rules of before. Only where there are none yet does a commit's own word hold.
"""

from datetime import datetime

from reconciler.compiled.codec import codec_of
from reconciler.planning.approvals import strictest
from reconciler.state.approvals import Approvals, ApprovedRevision, approve_revision_within
from reconciler.state.database import Database
from specs.fleet import CompiledApprovals, CompiledFleet

_CODEC = codec_of(CompiledApprovals)


def rules_as_text(rules: CompiledApprovals) -> str:
    """Return rules as they are kept."""
    return _CODEC.text(rules)


def rules_of_text(text: str) -> CompiledApprovals:
    """Return rules that were kept."""
    rules: CompiledApprovals = _CODEC.value(text)
    return rules


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
