"""Budgets: whether work on a machine may begin now, and which limit it waits for. Pure.

A budget counts machines, however many operations each has. All budgets that concern a
machine's work must be kept: the fleet's, and those of every group that the machine is in, of
its network and of the scenario.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.state.breakers import OpenBreaker
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import BUDGET_WINDOW
from reconciler.state.operation import Operation
from reconciler.state.work_begun import Impact, WorkBegun
from specs.fleet import Budget, BudgetKind, BudgetScope, CompiledFleet

_MINUTE = timedelta(minutes=1)


class Limit(NamedTuple):
    """The budget for which work waits."""

    budget: Budget
    why: str
    """``1 at once``, ``10 an hour`` or ``30 a minute``."""

    def __str__(self) -> str:
        budget = self.budget
        if budget.scope == "fleet":
            return f"the fleet's {budget.kind} budget ({self.why})"
        return f"the {budget.kind} budget of {budget.scope} {budget.name} ({self.why})"


class Counted(NamedTuple):
    """Work on one machine as budgets count it."""

    machine: str
    """Its present name; its hardware where the fleet does not know it."""
    scopes: tuple[tuple[BudgetScope, str], ...]
    """All that the hardware may be in now: the fleet, groups, networks, the scenario."""
    kinds: tuple[BudgetKind, ...]


def counted(
    fleet: CompiledFleet, hardware: FleetHardware, work: Operation | WorkBegun, impact: Impact
) -> Counted:
    """Return how work counts."""
    owners = hardware.owners(work.identities)
    machines = [fleet.machines[owner] for owner in owners]
    groups = {group: None for machine in machines for group in machine.groups}
    networks = {machine.network: None for machine in machines}
    scopes: list[tuple[BudgetScope, str]] = [("fleet", ""), ("scenario", work.scenario)]
    scopes += [("group", group) for group in groups]
    scopes += [("network", network) for network in networks]
    kinds: list[BudgetKind] = ["work"]
    if work.kind != "inspect":
        kinds.append("imaging")
    if impact is Impact.DESTRUCTIVE:
        kinds.append("destructive")
    elif impact is Impact.DISRUPTIVE:
        kinds.append("disruptive")
    name = owners[0] if len(owners) == 1 else work.hardware
    return Counted(name, tuple(scopes), tuple(kinds))


def open_breaker(open_ones: Mapping[str, OpenBreaker], work: Counted) -> OpenBreaker | None:
    """Return the breaker that holds work back; ``open_ones`` are by group, empty for the fleet."""
    groups = (name for scope, name in work.scopes if scope in {"fleet", "group"})
    return next((open_ones[name] for name in groups if name in open_ones), None)


class BudgetTracker:
    """Counts who is at work and who began within the hour, as work begins and ends."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._budgets = {(each.scope, each.name, each.kind): each for each in budgets}
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
        found = (self._limit_of(budget, work.machine, now) for budget in self._concerning(work))
        return next((limit for limit in found if limit is not None), None)

    def all_wait(self, now: datetime) -> bool:
        """Return whether no machine may begin anything now."""
        budget = self._budgets.get(("fleet", "", "work"))
        return budget is not None and self._limit_of(budget, "", now) is not None

    def next_release(self, now: datetime) -> datetime | None:
        """Return when the time that a budget wants between beginnings, or its hour, is over."""
        times = []
        for budget in self._begun:
            begun = self._of_the_hour(budget, now)
            if begun and budget.per_hour is not None:
                times.append(next(iter(begun.values())) + BUDGET_WINDOW)
            if begun and budget.per_minute is not None:
                times.append(next(reversed(begun.values())) + _MINUTE / budget.per_minute)
        return min((time for time in times if time > now), default=None)

    def _limit_of(self, budget: Budget, machine: str, now: datetime) -> Limit | None:
        at_work = self._at_work.get(budget, {})
        begun = self._of_the_hour(budget, now)
        # Whoever is counted already makes it no more.
        if len(at_work) >= budget.at_once and machine not in at_work:
            return Limit(budget, f"{budget.at_once:,} at once")
        if budget.per_hour and len(begun) >= budget.per_hour and machine not in begun:
            return Limit(budget, f"{budget.per_hour:,} an hour")
        if budget.per_minute and begun:
            last = next(reversed(begun.values()))
            if now < last + _MINUTE / budget.per_minute:
                return Limit(budget, f"{budget.per_minute:,} a minute")
        return None

    def _of_the_hour(self, budget: Budget, now: datetime) -> dict[str, datetime]:
        begun = self._begun.get(budget, {})
        while begun:
            machine, at = next(iter(begun.items()))
            if now - at < BUDGET_WINDOW:
                break
            del begun[machine]
        return begun

    def _concerning(self, work: Counted) -> Iterator[Budget]:
        for kind in work.kinds:
            for scope, name in work.scopes:
                budget = self._budgets.get((scope, name, kind))
                if budget is not None:
                    yield budget


def tracker_of(
    fleet: CompiledFleet, hardware: FleetHardware, begun: Iterable[WorkBegun], now: datetime
) -> BudgetTracker:
    """Return a tracker that has counted what began, in the groups that hardware is in now.

    A beginning in the future, by a clock that was wrong, counts as one of this moment.
    """
    tracker = BudgetTracker(fleet.settings.budgets)
    for each in sorted(begun, key=lambda work: work.at):
        work = counted(fleet, hardware, each, each.impact)
        tracker.begin(each.op_id, work, min(each.at, now), at_work=each.at_work)
    return tracker
