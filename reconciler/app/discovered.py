"""Which machines are there that no document has: for ``status`` and ``adopt``."""

from reconciler.state.boots import Boots
from reconciler.state.database import Database
from reconciler.state.discovered import DiscoveredMachine, discovered
from reconciler.state.discovered_agents import DiscoveredAgents
from reconciler.state.hardware import FleetHardware


def discovered_machines(
    database: Database, hardware: FleetHardware
) -> tuple[DiscoveredMachine, ...]:
    """Return machines that asked for a boot, and those of agents, the newest first.

    ``hardware`` is that of the fleet: what a document names is no discovered machine.
    """
    agents = DiscoveredAgents(database).all()
    return discovered(
        Boots(database).sightings(hardware.macs),
        (
            each
            for each in agents
            if not any(hardware.holders(identity) for identity in each.identities)
        ),
    )
