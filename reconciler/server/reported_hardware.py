"""Whether the hardware that a report names can be that of its certificate's machine. Pure.

See ``docs/decisions/0019-reports-of-foreign-hardware.md``.
"""

from agent.wire.report import Hardware
from reconciler.state.hardware import FleetHardware
from specs.fleet import CompiledMachine
from specs.types.hardware_uuid import both_orders

_NAMED = 3
"""Machines that a refusal names: a report may name the hardware of a whole fleet."""


def contradiction(machine: CompiledMachine, fleet: FleetHardware, reported: Hardware) -> str:
    """Return why the hardware is not the machine's, as a clause; empty where it may be.

    One identity that the machine's document names, as present or former, is enough,
    unless the board is that of another machine. Hardware that no document names may be
    the machine's, unless the UUID says otherwise: a NIC may have been replaced.
    """
    own = set(machine.hardware_identities)
    board = [f"uuid:{uuid}" for uuid in both_orders(reported.uuid)]
    other_board = bool(board and machine.uuid and own.isdisjoint(board))
    claimed = [*board, *(f"mac:{mac.lower()}" for mac in reported.macs)]
    if not own.isdisjoint(claimed):
        return _owners(fleet, board) if other_board else ""
    return _owners(fleet, claimed) or (
        f"its UUID is not {machine.uuid}, and its MACs are others too" if other_board else ""
    )


def _owners(fleet: FleetHardware, identities: list[str]) -> str:
    """Return whose these identities are, with one of each; empty where no document names any."""
    owners = {name: each for each in reversed(identities) for name in fleet.claimants(each)}
    named = [f"{owners[name]} is {name}'s" for name in sorted(owners)[:_NAMED]]
    more = f" and {len(owners) - _NAMED:,} more" if len(owners) > _NAMED else ""
    return ", ".join(named) + more
