"""All that is wanted, known and recorded of one machine, for ``rackwright get machine``."""

from datetime import datetime

from reconciler.app.inventory_heads import heads_by_machine
from reconciler.app.project import Project
from reconciler.app.shared_identity import shared_of
from reconciler.app.status import conditions_of
from reconciler.authoring.explanation import explained, find_machine
from reconciler.planning.upcoming_work import upcoming_on
from reconciler.state.boots import BootEvent, Boots
from reconciler.state.hardware import FleetHardware
from reconciler.state.machine_history import MachineHistory, PastOperation
from reconciler.state.machines import Machines
from reconciler.state.observation import quarantine_of
from reconciler.state.observed import ObservedMachine, Quarantine
from reconciler.views.machine_details import MachineDetails

MOST_BOOTS = 200
MOST_OPERATIONS = 100


def machine_details(project: Project, name: str, now: datetime) -> MachineDetails:
    """Return the details of a machine by its name, or by what people call it.

    Raises AuthoringError as ``find_machine``.
    """
    fleet = project.fleet
    machine = find_machine(fleet, name, project.uncommitted)
    name = machine.name
    hardware = FleetHardware(fleet.machines.values())
    observed = project.observed_of([name], hardware, now)
    shared = shared_of(project, (machine,), hardware, now)
    approvals = project.missing_approvals(now)
    (condition,) = conditions_of(fleet, (machine,), hardware, observed, now, approvals, shared)
    quarantine: Quarantine | None = None
    boots: tuple[BootEvent, ...] = ()
    operations: tuple[PastOperation, ...] = ()
    if project.has_state:
        identities = machine.hardware_identities
        quarantine = quarantine_of(name, identities, Machines(project.database).quarantines())
        boots = Boots(project.database).timeline(machine.macs, MOST_BOOTS)[::-1]
        operations = tuple(
            each
            for each in MachineHistory(project.database).operations(identities, MOST_OPERATIONS)
            if name in hardware.owners(each.operation.identities)
        )
    return MachineDetails(
        name=name,
        revision=fleet.revision,
        wanted=tuple(
            (each.field, each.value)
            for each in explained(fleet, machine)
            if each.position is not None or not each.field.startswith("waits.")
        ),
        condition=condition,
        seen=observed.machines.get(name, ObservedMachine()),
        quarantine=quarantine,
        boots=boots,
        operations=operations,
        scheduled=upcoming_on(fleet.schedules, machine, fleet.machines.values(), now),
        inventory=heads_by_machine(project, (machine,), hardware).get(name),
    )
