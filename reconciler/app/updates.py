"""What machines install by themselves, for people: ``rackwright updates``."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from reconciler.app.cancel import require_reason
from reconciler.app.machine_selection import machines_meant
from reconciler.authoring.explanation import find_machine
from reconciler.errors import ReconcilerError
from reconciler.planning.update_coverage import (
    Coverage,
    PolicyCoverage,
    coverage_of,
    names_by_policy,
    policy_coverage,
)
from reconciler.state.update_status import UpdateResult, UpdateStatus
from reconciler.state.updates import UpdateRecords
from specs.fleet import CompiledMachine

if TYPE_CHECKING:
    from reconciler.app.project import Project

_MOST_RESULTS = 50


class MachineUpdates(NamedTuple):
    """What one machine installs by itself."""

    machine: CompiledMachine
    covered: Coverage | None
    """None where no policy selects it."""
    status: UpdateStatus | None
    """None where its agent has said nothing."""
    history: tuple[UpdateResult, ...]


def coverage(project: "Project", on: Iterable[str], now: datetime) -> tuple[PolicyCoverage, ...]:
    """Return of each policy where its machines stand; ``on`` as ``machines_meant``, empty: all."""
    fleet = project.fleet
    asked = tuple(on)
    machines = machines_meant(fleet, asked) if asked else tuple(fleet.machines.values())
    return policy_coverage(fleet, machines, project.observed(now), now)


def updates_of(project: "Project", name: str, now: datetime) -> MachineUpdates:
    """Return what one machine installs by itself; AuthoringError RW934 where there is none."""
    machine = find_machine(project.fleet, name)
    status = project.observed(now).updates.get(machine.name)
    history = UpdateRecords(project.database).history(machine, _MOST_RESULTS)
    covered = coverage_of(project.fleet, machine, status, names_by_policy(project.fleet))
    return MachineUpdates(machine, covered, status, history)


def ask_to_check(
    project: "Project", on: Iterable[str], now: datetime, actor: str, reason: str
) -> tuple[CompiledMachine, ...]:
    """Ask machines to look now what is missing; return those whose policy lets them be asked.

    ReconcilerError: RW941 without a reason, RW290 where none of the machines may be asked.
    """
    require_reason(reason)
    fleet = project.fleet
    meant = machines_meant(fleet, on)
    asked = tuple(
        machine
        for machine in meant
        if (policy := fleet.update_policy_of(machine)) and policy.check_on_notice
    )
    if not asked:
        which = meant[0].name if len(meant) == 1 else f"{len(meant):,} machines"
        raise ReconcilerError(
            "RW290",
            f"no update policy lets {which} be asked",
            "Select it in an UpdatePolicy whose checks have onNotice: true",
        )
    UpdateRecords(project.database).notify(asked, now, actor, reason)
    return asked
