"""Where each value of a machine comes from."""

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.authoring.rewrite import AuthoringError
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.position import Position
from specs.fleet import CompiledFleet, CompiledMachine, Origin


@dataclass(frozen=True, slots=True)
class ExplainedField:
    """One effective value. ``position`` is None for a default, which stands in no file."""

    field: str
    value: str
    position: Position | None
    groups: tuple[str, ...]
    """The groups that it was inherited along, root first; empty when the machine's own."""
    reason: str
    """Why it holds, as a clause: ``the machine's own``, ``default: the machine's name``."""


def find_machine(fleet: CompiledFleet, name: str) -> CompiledMachine:
    """Return a machine; AuthoringError RW934 with the nearest name where there is none."""
    machine = fleet.machines.get(name)
    if machine is not None:
        return machine
    nearest = NearestNames().find(name, fleet.machines)
    raise AuthoringError(
        "RW934",
        f"there is no machine {name!r} in this revision",
        f"Did you mean machine/{nearest}?"
        if nearest
        else "`rackwright status` lists the machines that there are",
    )


def explained(fleet: CompiledFleet, machine: CompiledMachine) -> tuple[ExplainedField, ...]:
    """Return every effective value of a machine, defaults included, in the document's order.

    The holds that select the machine follow as ``holds.NAME``.
    """
    fields = (
        _field(name, value, machine.origins[name])
        if name in machine.origins
        else _default(name, value, fleet, machine)
        for name, value in _values(machine)
    )
    return (*fields, *_holds(fleet, machine))


def chosen(fields: tuple[ExplainedField, ...], name: str) -> tuple[ExplainedField, ...]:
    """Return one field, or all below a prefix (``identity``); AuthoringError RW934 for neither.

    ``spec.`` and ``metadata.`` may stand before the name, as in the document.
    """
    wanted = name.removeprefix("spec.").removeprefix("metadata.")
    found = tuple(
        each
        for each in fields
        if each.field == wanted or each.field.startswith((f"{wanted}.", f"{wanted}["))
    )
    if found:
        return found
    known = [each.field for each in fields]
    nearest = NearestNames().find(wanted, known)
    raise AuthoringError(
        "RW934",
        f"there is no value {name!r} on this machine",
        f"Did you mean {nearest}?" if nearest else f"There are: {', '.join(known)}",
    )


def _values(machine: CompiledMachine) -> Iterator[tuple[str, str]]:
    yield "group", machine.group
    yield "hardware.macs", ", ".join(machine.macs)
    if machine.uuid:
        yield "hardware.uuid", machine.uuid
    if machine.serial:
        yield "hardware.serial", machine.serial
    if machine.formerly:
        yield "hardware.formerly", ", ".join(machine.formerly)
    yield "identity.hostname", machine.hostname
    if machine.domain:
        yield "identity.domain", machine.domain
    yield "identity.addresses", ", ".join(map(str, machine.addresses)) or "DHCP"
    yield "network", machine.network
    yield "power.driver", machine.power_driver
    for key, value in machine.power_settings.items():
        yield f"power.{key}", value
    yield "protect", str(bool(machine.protect)).lower()
    for key, value in machine.labels.items():
        yield f"labels.{key}", value
    for index, each in enumerate(machine.assignments):
        yield f"assign[{index}]", f"{each.scenario}, run {each.run}"


def _field(name: str, value: str, origin: Origin) -> ExplainedField:
    if origin.giver:
        reason = f"through {origin.giver}"
    elif origin.path:
        reason = f"through group {' > '.join(origin.path)}"
    else:
        reason = "the machine's own"
    return ExplainedField(name, value, origin.position, origin.path, reason)


def _holds(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    for hold in fleet.holds:
        if hold.name in machine.holds:
            value = f"until {hold.until.isoformat()}, {hold.owner}: {hold.reason}"
            reason = f"selected by hold {hold.name}"
            yield ExplainedField(f"holds.{hold.name}", value, hold.position, (), reason)


_DEFAULTS = {
    "identity.hostname": "default: the machine's name",
    "identity.addresses": "default: no fixed address is written",
}


def _default(
    name: str, value: str, fleet: CompiledFleet, machine: CompiledMachine
) -> ExplainedField:
    if name == "identity.domain" and machine.network in fleet.networks:
        network = fleet.networks[machine.network]
        return ExplainedField(name, value, network.position, (), f"from network {network.name}")
    return ExplainedField(name, value, None, (), _DEFAULTS.get(name, "default"))
