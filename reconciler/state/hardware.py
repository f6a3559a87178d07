"""Whose history is it: from hardware, as it was known once, to a machine of the fleet. Pure.

Names move between machines, UUIDs are added, MACs change their order. What was
recorded is therefore looked up by everything that its hardware was known by.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Self

from specs.fleet import CompiledMachine

_Names = dict[str, tuple[str, ...]]


class FleetHardware:
    """The hardware of all machines of one fleet."""

    def __init__(self, machines: Iterable[CompiledMachine]) -> None:
        self._machines = tuple(machines)
        self._found: dict[tuple[str, ...], tuple[str, ...]] = {}

    @cached_property
    def _known(self) -> tuple[_Names, _Names]:
        """By each identity, the machines that have it now and those that had it formerly.

        Made when somebody asks: where nothing was recorded of a fleet, nobody does.
        """
        known: tuple[_Names, _Names] = {}, {}
        for machine in self._machines:
            now = {machine.hardware_identity, *(f"mac:{mac}" for mac in machine.macs)}
            for identity in machine.hardware_identities:
                by_identity = known[identity not in now]
                by_identity[identity] = (*by_identity.get(identity, ()), machine.name)
        return known

    def owners(self, identities: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the machines that this hardware may be, in order.

        One name is certain, none means that the fleet does not know the hardware. With
        several the history is ambiguous: nobody may act as if there were none.

        A system board outweighs the NICs on it: hardware whose UUID one machine has now
        is that machine, although another may have got one of its NICs. A document that
        says ``formerly`` contradicts that.
        """
        found = self._found.get(identities)
        if found is None:
            found = self._found[identities] = self._owners(identities)
        return found

    def owner(self, identities: tuple[str, ...]) -> str | None:
        """Return the one machine that this hardware is; None when unknown or ambiguous."""
        owners = self.owners(identities)
        return owners[0] if len(owners) == 1 else None

    def owner_of_mac(self, mac: str) -> str | None:
        """Return the machine that has this NIC now."""
        names = self._known[0].get(f"mac:{mac}")
        return names[-1] if names else None

    @cached_property
    def macs(self) -> frozenset[str]:
        """Return the MACs of all NICs that the machines have now."""
        return frozenset(mac for machine in self._machines for mac in machine.macs)

    def prepare(self) -> Self:
        """Work out who has what, which takes a while for a large fleet; return this."""
        _ = self._known
        return self

    def claimants(self, identity: str) -> tuple[str, ...]:
        """Return the machines whose documents name this identity, as present or former.

        Nothing is remembered of the question: agents may ask about whatever they like.
        """
        present, former = self._known
        return (*present.get(identity, ()), *former.get(identity, ()))

    def holders(self, identity: str) -> tuple[str, ...]:
        """Return the machines that have this identity now; as ``claimants``."""
        return self._known[0].get(identity, ())

    def _owners(self, identities: tuple[str, ...]) -> tuple[str, ...]:
        now, before = self._known
        present = {name for each in identities for name in now.get(each, ())}
        former = {name for each in identities for name in before.get(each, ())}
        boards = {
            name for each in identities if each.startswith("uuid:") for name in now.get(each, ())
        }
        if len(boards) == 1 and former <= boards:
            return tuple(boards)
        return tuple(sorted(present | former))
