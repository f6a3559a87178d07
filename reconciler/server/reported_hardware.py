"""Whether the hardware that a report names can be that of its certificate's machine. Pure.

See ``docs/decisions/0019-reports-of-foreign-hardware.md``.
"""

from agent.wire.report import Hardware
from reconciler.state.hardware import FleetHardware
from specs.fleet import CompiledMachine
from specs.types.hardware_uuid import own

_NAMED = 3
"""Machines that a refusal names: a report may name the hardware of a whole fleet."""


def contradiction(machine: CompiledMachine, fleet: FleetHardware, reported: Hardware) -> str:
    """Return why the hardware is not the machine's, as a clause; empty where it may be.

    One identity that the machine's document names, as present or former, is enough,
    unless the board is that of another machine. Hardware that no document names may be
    the machine's, unless the UUID says otherwise: a NIC may have been replaced.
    """
    uuid = own(reported.uuid)
    board = f"uuid:{uuid}" if uuid else ""
    other_board = bool(board and machine.uuid) and board not in machine.hardware_identities
    claimed = [board, *(f"mac:{mac.lower()}" for mac in reported.macs)]
    if set(claimed) & set(machine.hardware_identities):
        return _owners(fleet, [board]) if other_board else ""
    return _owners(fleet, claimed) or (
        f"its UUID is not {machine.uuid}, and its MACs are others too" if other_board else ""
    )


def _owners(fleet: FleetHardware, identities: list[str]) -> str:
    """Return whose these identities are, with one of each; empty where no document names any."""
    owners = {name: each for each in reversed(identities) for name in fleet.claimants(each)}
    named = [f"{owners[name]} is {name}'s" for name in sorted(owners)[:_NAMED]]
    more = f" and {len(owners) - _NAMED:,} more" if len(owners) > _NAMED else ""
    return ", ".join(named) + more
