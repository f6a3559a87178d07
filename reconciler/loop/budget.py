"""Budgets: whether work on a machine may begin now, and which budget holds it. Pure.

A budget counts machines, however many operations each has. All budgets that concern a
machine must be kept: the fleet's, and that of every group that the machine is in.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from specs.fleet import FleetSettings


class Effect(StrEnum):
    """What work does to a machine, as budgets tell it apart."""

    DESTRUCTIVE = "destructive"
    """Overwrites a disk."""
    DISRUPTIVE = "disruptive"
    """Interrupts a system that may be running, and overwrites no disk."""


class Work(NamedTuple):
    """Work on one machine that budgets count."""

    machine: str
    groups: tuple[str, ...]
    """All groups that the machine is in now; none where the fleet does not know it."""
    effect: Effect


class Budget(NamedTuple):
    """How many machines may be in work of one effect at one moment, and begin it in an hour."""

    group: str
    """Holds for this group and all below it; empty for the whole fleet."""
    effect: Effect
    at_once: int
    per_hour: int


class Hold(NamedTuple):
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
        return f"{whose} {budget.effect} budget{of_group} ({limit})"


def budgets_of(settings: FleetSettings) -> tuple[Budget, ...]:
    """Return every budget of the fleet, its own first."""
    found = [
        Budget(
            "",
            Effect.DESTRUCTIVE,
            settings.max_destructive_at_once,
            settings.max_destructive_per_hour,
        ),
        Budget(
            "",
            Effect.DISRUPTIVE,
            settings.max_disruptive_at_once,
            settings.max_disruptive_per_hour,
        ),
    ]
    for each in settings.group_budgets:
        for effect, at_once, per_hour in (
            (Effect.DESTRUCTIVE, each.max_destructive_at_once, each.max_destructive_per_hour),
            (Effect.DISRUPTIVE, each.max_disruptive_at_once, each.max_disruptive_per_hour),
        ):
            if at_once is not None and per_hour is not None:
                found.append(Budget(each.group, effect, at_once, per_hour))
    return tuple(found)


class Room:
    """What the budgets still let begin: a value that counts along as work begins."""

    def __init__(
        self, budgets: Iterable[Budget], at_work: Iterable[Work], begun: Iterable[Work]
    ) -> None:
        """Count who is at work now, and whose work began within the last hour."""
        self._budgets = {(budget.group, budget.effect): budget for budget in budgets}
        self._at_work: dict[Budget, set[str]] = {}
        self._begun: dict[Budget, set[str]] = {}
        for work in at_work:
            self._count(self._at_work, work)
        for work in begun:
            self._count(self._begun, work)

    def hold(self, work: Work) -> Hold | None:
        """Return what holds the work; None where it may begin now."""
        for budget in self._concerning(work):
            for counted, limit in ((self._at_work, budget.at_once), (self._begun, budget.per_hour)):
                machines = counted.get(budget, ())
                # Whoever is counted already makes it no more.
                if len(machines) >= limit and work.machine not in machines:
                    return Hold(budget, of_the_hour=counted is self._begun)
        return None

    def begin(self, work: Work) -> None:
        """Count work that begins now."""
        self._count(self._at_work, work)
        self._count(self._begun, work)

    def _count(self, counted: dict[Budget, set[str]], work: Work) -> None:
        for budget in self._concerning(work):
            counted.setdefault(budget, set()).add(work.machine)

    def _concerning(self, work: Work) -> Iterable[Budget]:
        for group in ("", *work.groups):
            budget = self._budgets.get((group, work.effect))
            if budget is not None:
                yield budget
