"""What a person clears: quarantines, and used tokens that were shown again.

Operations of unknown outcome are left to ``resolve``.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from reconciler.app.machine_selection import hardware_of
from reconciler.authoring.explanation import find_machine
from reconciler.errors import ReconcilerError
from reconciler.state.database import Database
from reconciler.state.faults import OF_TOKENS, Faults
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.observed import Fault, Quarantine
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import OperationState
from specs.fleet import CompiledFleet, CompiledMachine

SHORT = 12


class Clearing(NamedTuple):
    """What there is to clear of one machine; nothing may be."""

    machine: str
    identities: tuple[str, ...]
    """Everything that its hardware is known by; empty where only the name is known."""
    quarantines: tuple[Quarantine, ...]
    unresolved: tuple[OperationStatus, ...]
    """Operations of unknown outcome: nothing here clears them."""
    replays: tuple[Fault, ...] = ()
    """Used tokens of it that somebody showed again."""

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what would be cleared, and what would not, each as a clause for people."""
        quarantines = (f"quarantined: {each.reason}" for each in self.quarantines)
        return (*quarantines, *(each.cause for each in self.replays), *self.left)

    @property
    def left(self) -> tuple[str, ...]:
        """Return what another command ends, each as a clause for people."""
        return tuple(
            f"nobody knows how operation {each.operation.op_id[:SHORT]} ended: say it with "
            f"`rackwright resolve {self.machine}`"
            for each in self.unresolved
        )


class Clearings:
    """Finds what there is to clear, and clears it."""

    def __init__(self, database: Database, fleet: CompiledFleet) -> None:
        self._ledger = Ledger(database)
        self._machines = Machines(database)
        self._faults = Faults(database)
        self._replays = {
            each.subject.removeprefix(OF_TOKENS): each
            for each in self._faults.present()
            if each.subject.startswith(OF_TOKENS)
        }
        self._fleet = fleet
        self._quarantines = self._machines.quarantines()
        self._unknown = tuple(
            status
            for status in self._ledger.under_way()
            if status.state is OperationState.INDETERMINATE
        )

    def of_names(self, names: Iterable[str]) -> tuple[Clearing, ...]:
        """Return what there is to clear of machines by name, in their order.

        A name that no machine has is that of the hardware which had it last. AuthoringError
        RW934 where nothing ever had it.
        """
        return tuple(self._of_name(name) for name in dict.fromkeys(names))

    def _of_name(self, name: str) -> Clearing:
        if any(each.machine == name for each in self._quarantines):
            present = self._fleet.machines.get(name)
            known = present.hardware_identities if present else self._ledger.known_as(name)
        else:
            known = hardware_of(self._fleet, self._ledger, name)
            if not self._ledger.known_as(name):
                name = find_machine(self._fleet, name).name
        return self._clearing(name, known)

    def of_machines(self, machines: Iterable[CompiledMachine]) -> tuple[Clearing, ...]:
        """Return what there is to clear of some machines; those with nothing are left out."""
        found = (self._clearing(each.name, each.hardware_identities) for each in machines)
        return tuple(each for each in found if each.findings)

    def of_all(self) -> tuple[Clearing, ...]:
        """Return all that there is to clear, also of hardware that no document has any more."""
        found = self.of_machines(self._fleet.machines.values())
        done = {id(each) for one in found for each in (*one.quarantines, *one.unresolved)}
        named = {one.machine for one in found}
        left = [each.machine for each in self._quarantines if id(each) not in done]
        left += [name for name in self._replays if name not in named]
        left += [each.operation.machine for each in self._unknown if id(each) not in done]
        others = (self._clearing(name, self._ledger.known_as(name)) for name in dict.fromkeys(left))
        return (*found, *(each for each in others if each.findings))

    def clear(self, each: Clearing, actor: str, reason: str, now: datetime) -> bool:
        """End the quarantine of one machine, and keep who did it and why; False without one.

        What is shown of its used tokens goes too.
        """
        for fault in each.replays:
            self._faults.end(fault.subject)
        return self._machines.clear_quarantine(each.machine, each.identities, actor, reason, now)

    def _clearing(self, name: str, identities: tuple[str, ...]) -> Clearing:
        known = {*identities, f"name:{name}"}
        return Clearing(
            name,
            identities,
            tuple(
                each
                for each in self._quarantines
                if known.intersection(each.identities) or (not identities and each.machine == name)
            ),
            tuple(each for each in self._unknown if known.intersection(each.operation.identities)),
            (self._replays[name],) if name in self._replays else (),
        )


def require_one_way(names: tuple[str, ...], select: str, *, everything: bool) -> None:
    """Refuse a command that names no machines or names them in two ways (RW916)."""
    ways = [
        way
        for way, is_given in (("names", names), ("--select", select), ("--all", everything))
        if is_given
    ]
    if len(ways) != 1:
        cause = "no machine is named" if not ways else f"both {' and '.join(ways)} are given"
        raise ReconcilerError(
            "RW916", cause, "Name machines, or choose them with --select, or say --all"
        )
