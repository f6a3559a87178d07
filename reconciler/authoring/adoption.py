"""From machines that were seen to machines that are written down."""

from collections.abc import Mapping, Sequence

from reconciler.authoring.discovery import DiscoveredMachine
from reconciler.authoring.machine_row import MachineRow, machine_row
from reconciler.authoring.placement import Placement
from reconciler.authoring.rewrite import AuthoringError
from specs.fleet import CompiledFleet, CompiledMachine
from specs.types.hardware_uuid import both_orders


def adopted(
    machines: Sequence[DiscoveredMachine],
    placed: Sequence[Placement],
    fleet: CompiledFleet,
    name: str,
) -> tuple[MachineRow, ...]:
    """Return the rows to write down; ``name`` may be given for a single machine.

    ``placed`` has the place of each machine. Raises AuthoringError RW939 for hardware
    that a machine of the fleet has already.
    """
    if name and len(machines) != 1:
        raise AuthoringError(
            "RW939",
            f"--name {name} would name {len(machines)} machines",
            "Adopt one machine at a time, or leave --name out",
        )
    owners = {machine.uuid: machine for machine in fleet.machines.values() if machine.uuid}
    return tuple(
        machine_row(
            name=name or machine.default_name,
            macs=machine.macs,
            uuid=_unowned(machine, owners),
            group=place.group,
            network=place.network,
        )
        for machine, place in zip(machines, placed, strict=True)
    )


def _unowned(machine: DiscoveredMachine, owners: Mapping[str, CompiledMachine]) -> str:
    found = (owners[uuid] for uuid in both_orders(machine.uuid) if uuid in owners)
    owner = next(found, None)
    if owner is not None:
        raise AuthoringError(
            "RW939",
            f"{machine.macs[0]} is a NIC of {owner.name}, which has the same UUID",
            f"Add it to hardware.macs at {owner.origins['hardware.macs'].position}",
        )
    return machine.uuid
