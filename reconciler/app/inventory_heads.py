"""What lists show of the inventories of machines: the newest of each machine's hardware."""

from typing import TYPE_CHECKING

from reconciler.state.hardware import FleetHardware
from reconciler.state.inventory_head import InventoryHead

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from specs.fleet import CompiledMachine

_FEW = 50
"""Machines whose inventories are looked up by their hardware; of more, all are read."""


def heads_by_machine(
    project: "Project", machines: "tuple[CompiledMachine, ...]", hardware: FleetHardware
) -> dict[str, InventoryHead]:
    """Return what is known of these machines, by their names."""
    if not project.has_state:
        return {}
    from reconciler.state.inventories import Inventories  # noqa: PLC0415 - slow to load

    asked = None
    if len(machines) <= _FEW:
        asked = {identity for each in machines for identity in each.hardware_identities}
    names = {each.name for each in machines}
    found: dict[str, InventoryHead] = {}
    for head in Inventories(project.database).heads(asked):
        owner = hardware.owner(head.identities)
        if owner is not None and owner in names:
            found[owner] = head
    return found
