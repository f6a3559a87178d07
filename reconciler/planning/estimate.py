"""How long work may take: a guess from stated constants, always shown as one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from specs.fleet import BackupStep, CompiledScenario, FleetSettings, RestoreStep

if TYPE_CHECKING:
    from agent.wire.step import Step
    from reconciler.state.observed import ObservedImage

BYTES_PER_SECOND = 100_000_000
"""What one Gigabit link of the server carries, shared by all machines at work."""
BOOT_SECONDS = 180
"""Two starts of a server with its firmware's self-test, once into RAM and once from disk."""
SYSTEM_SECONDS = 60
"""Work on an installed system: how long a command takes nobody knows."""
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Budget:
    """How many machines may be in destructive work at one moment, and begin it in an hour."""

    at_once: int
    per_hour: int
    groups: tuple[tuple[str, "Budget"], ...] = ()
    """Groups with a budget of their own, which their machines keep as well."""


def budget_of(settings: FleetSettings) -> Budget:
    """Return the limits on destructive work: the fleet's, and in it those of groups."""
    limits = [
        (each.name, Budget(each.at_once, each.per_hour or each.at_once))
        for each in settings.budgets
        if each.kind == "destructive" and each.scope in {"fleet", "group"}
    ]
    (_, fleet), *groups = limits
    at_once = min(
        each.at_once
        for each in settings.budgets
        if each.scope == "fleet" and each.kind != "disruptive"
    )
    return Budget(at_once, fleet.per_hour, tuple(groups))


def strictest(
    machines: Mapping[str, int], bytes_to_move: int, budget: Budget
) -> tuple[str, int, Budget]:
    """Return what makes all the work longest: a group and its machines and budget.

    ``machines`` are counted by their own group. The group is empty where no group's
    budget makes it longer than the fleet's does.
    """
    found = ("", sum(machines.values()), budget)
    longest = total_seconds(found[1], bytes_to_move, budget)
    for group, limit in budget.groups:
        below = sum(count for name, count in machines.items() if f"{name}/".startswith(f"{group}/"))
        seconds = total_seconds(below, bytes_to_move, limit)
        if seconds > longest:
            found, longest = (group, below, limit), seconds
    return found


def restore_seconds(used_bytes: int) -> int:
    """Return the estimate for one machine that has the link to itself."""
    return BOOT_SECONDS + ceil(used_bytes / BYTES_PER_SECOND)


def work_seconds(steps: Iterable["Step"], images: "Mapping[str, ObservedImage]") -> int:
    """Return the estimate for the steps of one machine, by the images that they move.

    An image that is captured for the first time counts as nothing.
    """
    from agent.wire.step import (  # noqa: PLC0415 - plans without work need none
        Backup,
        InstallPackages,
        PlaceFiles,
        Restore,
        Run,
        UpgradeAgent,
    )

    steps = tuple(steps)
    if any(isinstance(step, Run | InstallPackages | PlaceFiles | UpgradeAgent) for step in steps):
        return SYSTEM_SECONDS
    moved = (step.image for step in steps if isinstance(step, Backup | Restore))
    return restore_seconds(sum(images[name].used_bytes for name in moved if name in images))


def scenario_seconds(scenario: CompiledScenario, images: "Mapping[str, ObservedImage]") -> int:
    """Return the estimate for one machine of whose disks nothing is known, as ``work_seconds``."""
    if scenario.runs_in_system:
        return SYSTEM_SECONDS
    moved = (step.image for step in scenario.steps if isinstance(step, BackupStep | RestoreStep))
    return restore_seconds(sum(images[name].used_bytes for name in moved if name in images))


def rounds(machines: int, budget: Budget) -> int:
    """Return how many times a full set of machines goes to work."""
    return ceil(machines / min(budget.at_once, budget.per_hour))


def total_seconds(machines: int, bytes_to_move: int, budget: Budget) -> int:
    """Return the estimate for all machines under the budget; 0 for none.

    The link is shared, so bytes add up; booting is done by a whole round at a time;
    and the last hour's share cannot begin before the hours before it are over.
    """
    if not machines:
        return 0
    at_work = rounds(machines, budget) * BOOT_SECONDS + ceil(bytes_to_move / BYTES_PER_SECOND)
    waiting = (ceil(machines / budget.per_hour) - 1) * _HOUR
    return max(at_work, waiting + BOOT_SECONDS)
