"""Which machines a command is about: ``--select``, ``--group``, ``--search``.

The grammar of ``--select`` is in docs/reference/status.md.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from reconciler.authoring.explanation import called, find_machine
from reconciler.errors import ReconcilerError
from reconciler.state.ledger import Ledger
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledFleet, CompiledMachine, CompiledSelector
from specs.selection import Selection
from specs.types.pattern import is_pattern

_EXAMPLE = "Write it as name=node-*,group=tokyo/**,label:role=compute: comma means and"


class MachineFilter(NamedTuple):
    """All parts that are given must match; without any, all machines do."""

    select: str = ""
    group: str = ""
    search: str = ""


def parse_selection(text: str) -> tuple[CompiledSelector, ...]:
    """Return the conditions of ``--select``, all of which must match; RW915 for bad ones."""
    return tuple(_condition(term.strip(), text) for term in text.split(","))


def _condition(term: str, text: str) -> CompiledSelector:
    key, equals, value = term.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key or not value:
        raise _unreadable(text, f"{term!r} is no condition of the form key=value")
    if key == "name":
        return CompiledSelector(machines=(value,))
    if key == "group":
        return CompiledSelector(groups=(value.rstrip("/"),))
    label = key.removeprefix("label:")
    if label != key and label:
        return CompiledSelector(labels={label: (value,)})
    raise _unreadable(text, f"{key!r} is neither name, nor group, nor label:KEY")


def _unreadable(text: str, why: str) -> ReconcilerError:
    return ReconcilerError("RW915", f"the selection {text!r} cannot be understood: {why}", _EXAMPLE)


def filtered(fleet: CompiledFleet, wanted: MachineFilter) -> tuple[CompiledMachine, ...]:
    """Return the machines that a filter means, in the order of their names."""
    machines = tuple(fleet.machines.values())
    if not any(wanted):
        return machines
    asked = parse_selection(wanted.select) if wanted.select else ()
    conditions = tuple(_by_id(fleet, each) for each in asked)
    if wanted.group:
        conditions = (*conditions, CompiledSelector(groups=(wanted.group.rstrip("/"),)))
    groups = {each for machine in machines for each in machine.groups} if conditions else ()
    selections = [Selection(each, groups) for each in conditions]
    text = wanted.search.casefold()
    return tuple(
        machine
        for machine in machines
        if all(each.matches(machine.name, machine.group, machine.labels) for each in selections)
        and any(
            text in name.casefold()
            for name in (machine.name, machine.hostname, machine.display_name)
        )
    )


def _by_id(fleet: CompiledFleet, condition: CompiledSelector) -> CompiledSelector:
    """Return a condition in which a machine that people call so stands with its name.

    AuthoringError RW980 where several machines are called so.
    """
    found = [called(fleet, name) for name in condition.machines]
    names = zip(condition.machines, found, strict=True)
    return replace(condition, machines=tuple(each.name if each else name for name, each in names))


def some(fleet: CompiledFleet, wanted: MachineFilter) -> tuple[CompiledMachine, ...]:
    """Return what ``filtered`` does; RW943 where that is no machine."""
    found = filtered(fleet, wanted)
    if not found:
        raise ReconcilerError(
            "RW943",
            f"{wanted.select}: {why_none(fleet, wanted)}",
            "Name a machine, or write conditions: 'group=tokyo/**,label:role=compute'",
        )
    return found


def machines_meant(fleet: CompiledFleet, on: Iterable[str]) -> tuple[CompiledMachine, ...]:
    """Return what ``--on`` means: each a name, what people call a machine, or conditions.

    What any of them means is meant. RW943 where one means no machine, RW980 as ``called``.
    """
    names: set[str] = set()
    for each in on:
        machine = called(fleet, each)
        if machine is not None:
            names.add(machine.name)
            continue
        wanted = MachineFilter(each if "=" in each else f"name={each}")
        names.update(machine.name for machine in some(fleet, wanted))
    return tuple(machine for name, machine in fleet.machines.items() if name in names)


def why_none(fleet: CompiledFleet, wanted: MachineFilter) -> str:
    """Return what to say where a filter means no machine, with what was probably meant."""
    groups = {each for machine in fleet.machines.values() for each in machine.groups}
    guesses = NearestNames()
    conditions = parse_selection(wanted.select) if wanted.select else ()
    for name in (name for each in conditions for name in each.machines):
        if not is_pattern(name) and name not in fleet.machines:
            nearest = guesses.find(name, sorted(fleet.machines))
            if nearest:
                return f"no machine matches: there is no machine {name}; did you mean {nearest}?"
    asked = [group for each in conditions for group in each.groups]
    for group in (*asked, wanted.group.rstrip("/")):
        if group and not is_pattern(group) and group not in groups:
            nearest = guesses.find(group, sorted(groups))
            return f"no machine matches: there is no group {group}" + (
                f"; did you mean {nearest}?" if nearest else ""
            )
    return "no machine matches"


def hardware_of(fleet: CompiledFleet, ledger: Ledger, name: str) -> tuple[str, ...]:
    """Return what the hardware under a name is known by.

    A name that no machine has is that of the hardware which had it last. AuthoringError
    RW934 where nothing ever had it.
    """
    if name not in fleet.machines:
        known = ledger.known_as(name)
        if known:
            return known
    return find_machine(fleet, name).hardware_identities
