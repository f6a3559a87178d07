"""The plan: immutable data that the executor follows and chooses nothing of."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.planning.approvals import Requirement
from reconciler.planning.estimate import Budget
from reconciler.planning.groups import PlanGroup, digest_of, group_items
from reconciler.planning.item import RISKS, PlanItem, Risk
from reconciler.planning.rollouts import PlannedRollout, planned_rollouts
from reconciler.planning.schedule_warnings import schedule_warnings
from reconciler.planning.upcoming_work import UpcomingWork, upcoming_work
from reconciler.state.observed import Observed
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import CompiledFleet


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that separates the fleet from its desired state."""

    revision: str
    made_at: datetime
    groups: tuple[PlanGroup, ...]
    """In the order that ``group_items`` gives."""
    budget: Budget
    requirements: tuple[Requirement, ...] = ()
    """What the approval rules ask for before it may begin; no part of its identity."""
    rollouts: tuple[PlannedRollout, ...] = ()
    """In which waves its disks would be overwritten; follows from the revision and the items."""
    unattended: frozenset[str] = frozenset()
    """The ids of operations that begin without a person, as ``planning.unattended`` decides."""
    scheduled: tuple[UpcomingWork, ...] = ()
    """What schedules do next, the soonest first; no part of its identity."""
    warnings: tuple[Diagnostic, ...] = ()
    """What a person should know of the revision, but which stops nothing; likewise."""

    @property
    def items(self) -> tuple[PlanItem, ...]:
        """Return every item, largest risk first."""
        return tuple(item for each in self.groups for item in each.items)

    @property
    def counts(self) -> dict[Risk, int]:
        """Return the number of items per risk; all risks are there."""
        found: Counter[Risk] = Counter()
        for each in self.groups:
            found[each.risk] += each.count
        return {risk: found[risk] for risk in RISKS}

    @property
    def disks(self) -> int:
        """Return how many disks would be overwritten: the number that ``apply`` asks for."""
        return sum(each.disks for each in self.groups)

    @property
    def empty(self) -> bool:
        """Return whether the fleet agrees with the repository."""
        return not self.groups

    @property
    def to_apply(self) -> tuple[PlanItem, ...]:
        """Return the items that ``apply`` would start."""
        return tuple(
            item for each in self.groups if each.to_start for item in each.items if item.starts
        )

    @property
    def begins_unattended(self) -> dict[Risk, int]:
        """Return how many items of each risk begin without a person; all risks are there."""
        found = dict.fromkeys(RISKS, 0)
        if self.unattended:
            for item in self.to_apply:
                if item.operation is not None and item.operation.op_id in self.unattended:
                    found[item.risk] += 1
        return found

    @property
    def digest(self) -> str:
        """Return the plan's identity: the revision and every operation, not the time."""
        return digest_of([self.revision, *(each.digest for each in self.groups)])


def plan_of(revision: str, made_at: datetime, items: Iterable[PlanItem], budget: Budget) -> Plan:
    """Return the plan that consists of ``items``."""
    return Plan(revision, made_at, group_items(items), budget)


def with_rollouts(plan: Plan, fleet: CompiledFleet) -> Plan:
    """Return a plan of the fleet's revision with the waves that its disks are overwritten in."""
    if not fleet.rollouts:
        return plan
    machines = [item.machine for item in plan.to_apply if item.risk is Risk.DESTRUCTIVE]
    return replace(plan, rollouts=planned_rollouts(fleet, machines))


def with_schedules(plan: Plan, fleet: CompiledFleet, observed: Observed) -> Plan:
    """Return a plan of the whole fleet with what its schedules do next, and which never do."""
    if not fleet.schedules:
        return plan
    machines, now = fleet.machines.values(), plan.made_at
    return replace(
        plan,
        scheduled=upcoming_work(fleet.schedules, machines, now),
        warnings=schedule_warnings(fleet, machines, observed.images, now),
    )


NEEDS_NO_APPROVAL = "needs no approval"
WAITS_FOR_APPROVAL = "waits for approval"


def approval_of(item: PlanItem, unattended: Collection[str]) -> str:
    """Return whether work that can be started waits for a person, in the words of all views.

    ``unattended`` are the ids of operations that do not.
    """
    begins = item.operation is not None and item.operation.op_id in unattended
    return NEEDS_NO_APPROVAL if begins else WAITS_FOR_APPROVAL


EXIT_NOTHING, EXIT_ERROR, EXIT_SAFE, EXIT_RISKY, EXIT_BLOCKED, EXIT_UNKNOWN = range(6)
SEVERITY = (EXIT_NOTHING, EXIT_SAFE, EXIT_UNKNOWN, EXIT_BLOCKED, EXIT_RISKY)
"""From the least to the most severe."""


def exit_code(plan: Plan) -> int:
    """Return the exit code of ``plan``: the most severe of what the items say.

    3 destructive or disruptive, else 4 blocked, else 5 observation incomplete,
    else 2 safe changes, else 0.
    """
    counts = plan.counts
    if counts[Risk.DESTRUCTIVE] or counts[Risk.DISRUPTIVE]:
        return EXIT_RISKY
    if counts[Risk.BLOCKED]:
        return EXIT_BLOCKED
    if counts[Risk.UNKNOWN]:
        return EXIT_UNKNOWN
    if counts[Risk.SAFE]:
        return EXIT_SAFE
    return EXIT_NOTHING
