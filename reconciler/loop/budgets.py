"""Budgets: whether work on a machine may begin now, and which limit it waits for. Pure.

A budget counts machines, however many operations each has. All budgets that concern a
machine must be kept: the fleet's, and that of every group that the machine is in.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import BUDGET_WINDOW
from reconciler.state.work_begun import Impact, WorkBegun
from specs.fleet import CompiledFleet, FleetSettings


class Budget(NamedTuple):
    """How many machines may be in work of one impact at one moment, and begin it in an hour."""

    group: str
    """Holds for this group and all below it; empty for the whole fleet."""
    impact: Impact
    at_once: int
    per_hour: int


class Limit(NamedTuple):
    """The budget for which work waits."""

    budget: Budget
    of_the_hour: bool
    """Too many machines began within the hour; else too many are at work now."""

    def __str__(self) -> str:
        budget = self.budget
        of_group = f" of group {budget.group}" if budget.group else ""
        whose = "the" if budget.group else "the fleet's"
        limit = (
            f"{budget.per_hour:,} an hour" if self.of_the_hour else f"{budget.at_once:,} at once"
        )
        return f"{whose} {budget.impact} budget{of_group} ({limit})"


class Counted(NamedTuple):
    """Work on one machine as budgets count it."""

    machine: str
    """Its present name; its hardware where the fleet does not know it."""
    groups: tuple[str, ...]
    """All groups that the hardware may be in now."""
    impact: Impact


def budgets_of(settings: FleetSettings) -> tuple[Budget, ...]:
    """Return every budget of the fleet, its own first."""
    found = [
        Budget(
            "",
            Impact.DESTRUCTIVE,
            settings.max_destructive_at_once,
            settings.max_destructive_per_hour,
        ),
        Budget(
            "",
            Impact.DISRUPTIVE,
            settings.max_disruptive_at_once,
            settings.max_disruptive_per_hour,
        ),
    ]
    for each in settings.group_budgets:
        for impact, at_once, per_hour in (
            (Impact.DESTRUCTIVE, each.max_destructive_at_once, each.max_destructive_per_hour),
            (Impact.DISRUPTIVE, each.max_disruptive_at_once, each.max_disruptive_per_hour),
        ):
            if at_once is not None and per_hour is not None:
                found.append(Budget(each.group, impact, at_once, per_hour))
    return tuple(found)


def counted(
    fleet: CompiledFleet,
    hardware: FleetHardware,
    identities: tuple[str, ...],
    fallback: str,
    impact: Impact,
) -> Counted:
    """Return how work on some hardware counts; ``fallback`` names what the fleet does not know."""
    owners = hardware.owners(identities)
    if len(owners) == 1:
        return Counted(owners[0], fleet.machines[owners[0]].groups, impact)
    groups = {group: None for owner in owners for group in fleet.machines[owner].groups}
    return Counted(fallback, tuple(groups), impact)


class BudgetTracker:
    """Counts who is at work and who began within the hour, as work begins and ends."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._budgets = {(budget.group, budget.impact): budget for budget in budgets}
        self._at_work: dict[Budget, dict[str, set[str]]] = {}
        """By budget and machine, the operations that are at work."""
        self._begun: dict[Budget, dict[str, datetime]] = {}
        """By budget, when each machine began last, the oldest first."""
        self._working: dict[str, Counted] = {}

    def begin(self, op_id: str, work: Counted, at: datetime, *, at_work: bool = True) -> None:
        """Count an operation that began; those that began earlier have to come first."""
        if at_work:
            self._working[op_id] = work
        for budget in self._concerning(work):
            begun = self._begun.setdefault(budget, {})
            begun.pop(work.machine, None)
            begun[work.machine] = at
            if at_work:
                machines = self._at_work.setdefault(budget, {})
                machines.setdefault(work.machine, set()).add(op_id)

    def end(self, op_id: str) -> bool:
        """Count an operation as at work no more; False where it did not count."""
        work = self._working.pop(op_id, None)
        if work is None:
            return False
        for budget in self._concerning(work):
            machines = self._at_work[budget]
            machines[work.machine].discard(op_id)
            if not machines[work.machine]:
                del machines[work.machine]
        return True

    def limit(self, work: Counted, now: datetime) -> Limit | None:
        """Return what the work has to wait for; None where it may begin now."""
        for budget in self._concerning(work):
            at_work = self._at_work.get(budget, {})
            begun = self._of_the_hour(budget, now)
            # Whoever is counted already makes it no more.
            if len(at_work) >= budget.at_once and work.machine not in at_work:
                return Limit(budget, of_the_hour=False)
            if len(begun) >= budget.per_hour and work.machine not in begun:
                return Limit(budget, of_the_hour=True)
        return None

    def next_release(self, now: datetime) -> datetime | None:
        """Return when the first of those that began within the hour is counted no more."""
        oldest = (
            next(iter(begun.values()))
            for budget in self._begun
            if (begun := self._of_the_hour(budget, now))
        )
        first = min(oldest, default=None)
        return None if first is None else first + BUDGET_WINDOW

    def _of_the_hour(self, budget: Budget, now: datetime) -> dict[str, datetime]:
        begun = self._begun.get(budget, {})
        while begun:
            machine, at = next(iter(begun.items()))
            if now - at < BUDGET_WINDOW:
                break
            del begun[machine]
        return begun

    def _concerning(self, work: Counted) -> Iterator[Budget]:
        for group in ("", *work.groups):
            budget = self._budgets.get((group, work.impact))
            if budget is not None:
                yield budget


def tracker_of(
    fleet: CompiledFleet, hardware: FleetHardware, begun: Iterable[WorkBegun]
) -> BudgetTracker:
    """Return a tracker that has counted what began, in the groups that hardware is in now."""
    tracker = BudgetTracker(budgets_of(fleet.settings))
    for each in sorted(begun, key=lambda work: work.at):
        work = counted(fleet, hardware, each.identities, each.hardware, each.impact)
        tracker.begin(each.op_id, work, each.at, at_work=each.at_work)
    return tracker
