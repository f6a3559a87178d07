"""Running a scenario by hand: ``rackwright run``."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.app.cancel import require_reason
from reconciler.app.machine_selection import MachineFilter, some
from reconciler.errors import ReconcilerError
from reconciler.planning.by_hand import MOST_WAITING, plan_by_hand
from reconciler.planning.plan import Plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.operation import BY_HAND
from reconciler.state.operation_states import ACTIVE
from reconciler.state.runs import run_name
from specs.diagnostics.nearest import NearestNames

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from reconciler.state.observed import Observed
    from specs.fleet import CompiledFleet, CompiledMachine


def plan_of_run(
    project: "Project", scenario: str, on: Iterable[str], reason: str, now: datetime
) -> Plan:
    """Return what running a scenario on machines would do now.

    Each of ``on`` is a name, or conditions as in ``--select``; what any of them means is meant.

    ReconcilerError: RW941 without a reason, RW942 for an unknown scenario, RW943 where no
    machine is meant, RW944 where a machine's queue is full.
    """
    require_reason(reason)
    fleet = project.fleet
    if scenario not in fleet.scenarios:
        nearest = NearestNames().find(scenario, sorted(fleet.scenarios))
        guess = f"; did you mean {nearest}?" if nearest else ""
        raise ReconcilerError(
            "RW942", f"there is no scenario {scenario}{guess}", "`rackwright plan` names some"
        )
    machines = _meant(fleet, on)
    hardware = FleetHardware(fleet.machines.values())
    observed = project.observed_of([each.name for each in machines], hardware, now)
    _refuse_full_queues(machines, hardware, observed)
    token = BY_HAND + run_name(now, f"{scenario} {now.isoformat()} {reason}")
    return plan_by_hand(fleet, machines, fleet.scenarios[scenario], token, hardware, observed, now)


def _meant(fleet: "CompiledFleet", on: Iterable[str]) -> tuple["CompiledMachine", ...]:
    names: set[str] = set()
    for each in on:
        wanted = MachineFilter(each if "=" in each else f"name={each}")
        names.update(machine.name for machine in some(fleet, wanted))
    return tuple(machine for name, machine in fleet.machines.items() if name in names)


def _refuse_full_queues(
    machines: Iterable["CompiledMachine"], hardware: FleetHardware, observed: "Observed"
) -> None:
    waiting: dict[str, int] = {}
    for status in observed.operations:
        owner = hardware.owner(status.operation.identities)
        if owner is not None and status.state in ACTIVE:
            waiting[owner] = waiting.get(owner, 0) + 1
    full = [each.name for each in machines if waiting.get(each.name, 0) >= MOST_WAITING]
    if full:
        raise ReconcilerError(
            "RW944",
            f"{MOST_WAITING} operations are under way on {full[0]} already",
            "Wait until some have ended, or cancel them with `rackwright cancel`",
        )
