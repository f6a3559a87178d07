"""What installed systems share that should be one machine's own, for whoever shows machines."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.planning.shared_identity import (
    SharedIdentity,
    may_be_shared,
    shared_identities,
)
from reconciler.state.hardware import FleetHardware
from reconciler.state.reported_identities import ReportedIdentities
from reconciler.state.world import FEW

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from specs.fleet import CompiledMachine


def shared_of(
    project: "Project",
    machines: "Sequence[CompiledMachine]",
    hardware: FleetHardware,
    now: datetime,
) -> Mapping[str, tuple[SharedIdentity, ...]]:
    """Return, by machine, what some machines of the fleet share with which others.

    A few are looked up one by one; for many, whatever is there twice is.
    """
    if not project.has_state:
        return {}
    fleet = project.fleet
    table = ReportedIdentities(project.database)
    if len(machines) > FEW:
        reported = table.repeated()
    else:
        own = {
            identity
            for machine in machines
            for identity in table.of_hardware(machine.hardware_identities)
            if not may_be_shared(fleet, machine, identity)
        }
        reported = table.reporters(own)
    oldest = now - timedelta(seconds=fleet.settings.observation_max_age_seconds)
    return shared_identities(fleet, hardware, reported, oldest)
