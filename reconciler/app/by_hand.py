"""Running a scenario by hand, or one that is written on the command line."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.app.cancel import require_reason
from reconciler.app.machine_selection import machines_meant
from reconciler.errors import ReconcilerError
from reconciler.planning.by_hand import MOST_WAITING, plan_by_hand
from reconciler.planning.plan import Plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.operation import BY_HAND
from reconciler.state.operation_states import ACTIVE
from reconciler.state.runs import run_name
from specs.diagnostics.nearest import NearestNames
from specs.fleet import BackupStep
from specs.types.name import MACHINE

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from reconciler.state.observed import Observed
    from specs.fleet import CompiledMachine, CompiledScenario


def plan_of_run(
    project: "Project", scenario: str, on: Iterable[str], reason: str, now: datetime
) -> Plan:
    """Return what running a scenario on machines would do now.

    Each of ``on`` is a name, what people call a machine, or conditions as in ``--select``; what
    any of them means is meant.

    ReconcilerError: RW941 without a reason, RW942 for an unknown scenario, RW943 where no
    machine is meant, RW980 where several are called so, RW659 where two machines would write one
    image, RW944 where a machine's queue is full.
    """
    require_reason(reason)
    fleet = project.fleet
    if scenario not in fleet.scenarios:
        nearest = NearestNames().find(scenario, sorted(fleet.scenarios))
        guess = f"; did you mean {nearest}?" if nearest else ""
        raise ReconcilerError(
            "RW942", f"there is no scenario {scenario}{guess}", "`rackwright plan` names some"
        )
    return plan_of_scenario(project, fleet.scenarios[scenario], on, reason, now)


def plan_of_scenario(
    project: "Project", scenario: "CompiledScenario", on: Iterable[str], reason: str, now: datetime
) -> Plan:
    """Return the same of any scenario, also of one that no document has.

    ReconcilerError as ``plan_of_run``, but for RW942.
    """
    require_reason(reason)
    fleet = project.fleet
    machines = machines_meant(fleet, on)
    _refuse_one_image(machines, scenario)
    hardware = FleetHardware(fleet.machines.values())
    observed = project.observed_of([each.name for each in machines], hardware, now)
    _refuse_full_queues(machines, hardware, observed)
    token = BY_HAND + run_name(now, f"{scenario.name} {now.isoformat()} {reason}")
    return plan_by_hand(fleet, machines, scenario, token, hardware, observed, now)


def _refuse_one_image(machines: Iterable["CompiledMachine"], scenario: "CompiledScenario") -> None:
    writers: dict[str, list[str]] = {}
    for machine in machines:
        written = {
            step.image for step in scenario.on(machine.name).steps if isinstance(step, BackupStep)
        }
        for image in written:
            writers.setdefault(image, []).append(machine.name)
    for image, names in writers.items():
        if len(names) > 1:
            more = f" and {len(names) - 2:,} more" if len(names) > 2 else ""  # noqa: PLR2004
            raise ReconcilerError(
                "RW659",
                f"{', '.join(names[:2])}{more} would all write image {image} by {scenario.name} "
                f"({scenario.position})",
                f'Write "{image}-{MACHINE}" there and in the Image document, so that each machine '
                "has an image of its own, or name one machine",
            )


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
