"""What ``rackwright status`` shows: the condition of the machines that were asked for."""

from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconciler.app.inventory_heads import heads_by_machine
from reconciler.app.lossy_images import lossy_images
from reconciler.app.machine_selection import MachineFilter, filtered
from reconciler.app.shared_identity import shared_of
from reconciler.app.unattended_work import with_unattended
from reconciler.loop.waiting import waits_for
from reconciler.planning.approvals import NONE_MISSING, MissingApprovals
from reconciler.planning.conditions import (
    FleetStatus,
    MachineCondition,
    count_conditions,
    count_further,
    machine_conditions,
)
from reconciler.planning.estimate import budget_of
from reconciler.planning.plan import plan_of
from reconciler.planning.planner import history_of, plan_machines
from reconciler.planning.upcoming_work import upcoming_work
from reconciler.state.faults import STORE_FAULT, without_room
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Fault, Observed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.app.project import Project
    from reconciler.planning.shared_identity import SharedIdentity
    from reconciler.state.discovered import DiscoveredMachine
    from specs.fleet import CompiledFleet, CompiledMachine

_NOTHING_SHARED: "Mapping[str, tuple[SharedIdentity, ...]]" = MappingProxyType({})


def fleet_status(
    project: "Project", wanted: MachineFilter, conditions: tuple[str, ...], now: datetime
) -> FleetStatus:
    """Return the status of the machines that ``wanted`` means.

    ``conditions`` narrows down which of them are listed; empty lists all. Only machines
    that are asked for are planned.
    """
    fleet = project.fleet
    chosen = filtered(fleet, wanted)
    hardware = FleetHardware(fleet.machines.values())
    observed = project.observed_of([each.name for each in chosen], hardware, now)
    shared = shared_of(project, chosen, hardware, now)
    approvals = project.missing_approvals(now)
    states = conditions_of(fleet, chosen, hardware, observed, now, approvals, shared)
    folded = {each.casefold() for each in conditions}
    listed = tuple(each for each in states if not folded or folded.intersection(_conditions(each)))
    of_machines = {f"machine/{name}" for name in fleet.machines}
    faults = tuple(each for each in observed.faults if each.subject not in of_machines)
    faults += without_room(project.state, now)
    if observed.store_problem and not any(each.subject == STORE_FAULT for each in faults):
        code, _, cause = observed.store_problem.partition(": ")
        faults += (Fault(STORE_FAULT, code, cause, now, now, 1),)
    if fleet.package_sources and project.has_state:
        from reconciler.state.package_mirrors import (  # noqa: PLC0415 - slow to load
            PackageMirrors,
            failing_sources,
        )

        faults += failing_sources(PackageMirrors(project.database).sources().values())
    if any(each.alert_seconds is not None for each in fleet.images.values()):
        from reconciler.app.backup_age import overdue_backups  # noqa: PLC0415 - slow to load

        faults += overdue_backups(project, observed, now)
    faults += lossy_images(observed, now)
    scrub = None
    if project.has_state:
        from reconciler.app.image_health import (  # noqa: PLC0415 - slow to load
            damaged_images,
            images_out_of_use,
            scrub_status,
        )

        faults += tuple(damaged_images(project, now))
        faults += tuple(images_out_of_use(project, observed, now))
        scrub = scrub_status(project)
    counts = count_conditions(states)
    return FleetStatus(
        listed,
        counts,
        count_further(states),
        discovered=_discovered(project, hardware),
        faults=faults,
        breakers=observed.breakers,
        reboot_locks=observed.reboot_locks,
        rollouts=observed.rollouts,
        approvals=approvals.plans,
        scheduled=upcoming_work(fleet.schedules, chosen, now),
        inventories=heads_by_machine(project, chosen, hardware),
        scrub=scrub,
    )


def _discovered(project: "Project", hardware: FleetHardware) -> "tuple[DiscoveredMachine, ...]":
    if not project.has_state:
        return ()
    from reconciler.app.discovered import discovered_machines  # noqa: PLC0415 - slow to load

    return discovered_machines(project.database, hardware)


def _conditions(state: MachineCondition) -> "Iterator[str]":
    yield state.condition.casefold()
    yield from (each.type.casefold() for each in state.further)


def conditions_of(  # noqa: PLR0913, PLR0917 - all that a condition depends on
    fleet: "CompiledFleet",
    machines: "Iterable[CompiledMachine]",
    hardware: FleetHardware,
    observed: Observed,
    now: datetime,
    approvals: MissingApprovals = NONE_MISSING,
    shared: "Mapping[str, tuple[SharedIdentity, ...]]" = _NOTHING_SHARED,
) -> tuple[MachineCondition, ...]:
    """Return the conditions of some machines of a fleet, given what was observed of it.

    ``shared`` is what they have in common although each should have its own.
    """
    chosen = tuple(machines)
    history = history_of(hardware, observed.operations)
    items = tuple(plan_machines(fleet, chosen, hardware, observed, now, history))
    starting = (item for item in items if item.starts)
    made = plan_of(fleet.revision, now, starting, budget_of(fleet.settings))
    begins = with_unattended(made, observed, fleet).unattended
    waits = waits_for(fleet, observed, now, hardware)
    return machine_conditions(
        fleet, chosen, observed, history, items, waits, begins, approvals, shared, now
    )
