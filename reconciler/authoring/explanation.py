"""Where each value of a machine comes from."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.authoring.rewrite import AuthoringError
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.position import Position
from specs.fleet import (
    DEFAULT_WAITS,
    MACHINE_FIELDS,
    BackupStep,
    CompiledFleet,
    CompiledMachine,
    Origin,
    RestoreStep,
    wait_level,
)
from specs.types.quantities import Duration

_MOST_NAMED = 5


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
    display_name: str = ""
    """Of the group or the scenario that the value names."""


class _Told(NamedTuple):
    """A value by the name of its field."""

    name: str
    value: str
    display_name: str = ""


def find_machine(
    fleet: CompiledFleet, name: str, uncommitted: Sequence[str] = (), remark: str = ""
) -> CompiledMachine:
    """Return a machine by its name, or by what people call it.

    AuthoringError RW934 with the nearest name where there is none, RW980 as ``called``.
    ``uncommitted`` are files that may have it and that are not in the fleet's revision,
    ``remark`` a sentence that may say why else it is not there.
    """
    machine = called(fleet, name)
    if machine is not None:
        return machine
    nearest = NearestNames().find(name, fleet.machines)
    hints = []
    if uncommitted:
        hints.append(f"Commit first: {', '.join(uncommitted)} changed since the commit")
    hints += filter(None, [remark])
    if nearest:
        hints.append(f"Did you mean machine/{nearest}?")
    raise AuthoringError(
        "RW934",
        f"there is no machine {name!r} in this revision",
        ". ".join(hints) or "`rackwright status` lists the machines that there are",
    )


def called(fleet: CompiledFleet, name: str) -> CompiledMachine | None:
    """Return the machine with a name, or else the one that people call so; None for neither.

    Case and width of letters do not count in what people call it. AuthoringError RW980 where
    several machines are called so.
    """
    machine = fleet.machines.get(name)
    if machine is not None or not name:
        return machine
    wanted = _folded(name)
    found = [
        each
        for each in fleet.machines.values()
        if each.display_name and _folded(each.display_name) == wanted
    ]
    if len(found) > 1:
        ids = ", ".join(sorted(each.name for each in found)[:_MOST_NAMED])
        more = f" and {len(found) - _MOST_NAMED:,} more" if len(found) > _MOST_NAMED else ""
        raise AuthoringError(
            "RW980",
            f"{len(found):,} machines are called {name!r}: {ids}{more}",
            "Name one by its id",
        )
    return found[0] if found else None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def explained(fleet: CompiledFleet, machine: CompiledMachine) -> tuple[ExplainedField, ...]:
    """Return every effective value of a machine, in the order of ``MACHINE_FIELDS``.

    Defaults are included. How long its work is waited for follows as ``waits.NAME``, what a
    scenario that it has says of that as ``waits[SCENARIO].NAME``, then the windows of the
    machine, and the holds and schedules that select it, as ``windows``, ``holds.NAME`` and
    ``schedules.NAME``, and what the images of its scenarios are called on it, as
    ``images[SCENARIO]``.
    """
    fields = (
        _field(told, machine.origins[told.name])
        if told.name in machine.origins
        else _default(told, fleet, machine)
        for told in _values(fleet, machine)
        if told.value
    )
    also = (
        *_windows(fleet, machine),
        *_rollout(fleet, machine),
        *_holds(fleet, machine),
        *_schedules(fleet, machine),
        *_images(fleet, machine),
    )
    return (*fields, *_waits(fleet, machine), *also)


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
        f"there is no value {name!r} here",
        f"Did you mean {nearest}?" if nearest else f"There are: {', '.join(known)}",
    )


def _values(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[_Told]:
    """Yield the fields of a machine, and of what they name what people call it."""
    for field in MACHINE_FIELDS:
        value = getattr(machine, field.attribute)
        match field.said.form:
            case "labels":
                yield from (_Told(f"{field.name}.{key}", value[key]) for key in value)
            case "assign":
                for index, each in enumerate(value):
                    title = fleet.scenarios[each.scenario].display_name
                    yield _Told(f"{field.name}[{index}]", f"{each.scenario}, run {each.run}", title)
            case "power":
                yield _Told(field.name, value)
                settings = machine.power_settings
                yield from (_Told(f"power.{key}", settings[key]) for key in settings)
            case "list":
                yield _Told(field.name, ", ".join(map(str, value)) or field.said.empty)
            case "flag":
                yield _Told(field.name, str(bool(value)).lower())
            case "text" if field.attribute == "group":
                yield _Told(field.name, value, fleet.group_display_names.get(value, ""))
            case "text" if field.attribute != "name":
                yield _Told(field.name, value or field.said.empty)


def _field(told: _Told, origin: Origin) -> ExplainedField:
    if origin.giver:
        reason = f"through {origin.giver}"
    elif origin.path:
        reason = f"through group {' > '.join(origin.path)}"
    else:
        reason = "the machine's own"
    return ExplainedField(*told[:2], origin.position, origin.path, reason, told.display_name)


def _waits(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    said = fleet.said_waits(machine.groups)
    for attribute, default in DEFAULT_WAITS._asdict().items():
        found = said.get(attribute)
        if found is None:
            yield _wait("waits", attribute, default)
        else:
            yield _wait("waits", attribute, found[0].value, found[0].position, found[1])
    for scenario in dict.fromkeys(each.scenario for each in machine.assignments):
        level = wait_level("Scenario", scenario)
        for attribute, each in fleet.waits.get(level, {}).items():
            yield _wait(f"waits[{scenario}]", attribute, each.value, each.position, level)


def _wait(
    outer: str, attribute: str, value: int, position: Position | None = None, level: str = ""
) -> ExplainedField:
    name = attribute.removesuffix("_seconds")
    text = str(value) if name == attribute else str(Duration(value))
    reason = "through the Fleet document" if level == "Fleet" else "default"
    if level not in {"", "Fleet"}:
        reason = f"through {level[:1].lower()}{level[1:]}"
    return ExplainedField(f"{outer}.{name}", text, position, (), reason)


def _windows(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    found = fleet.windows_of(machine)
    if found is None:
        yield ExplainedField("windows", "always", None, (), "default")
        return
    level, windows = found
    yield _of_level("windows", str(windows), windows.position, level, machine)


def _of_level(
    name: str, value: str, position: Position, level: str, machine: CompiledMachine
) -> ExplainedField:
    """Return what a machine has from one of its groups, or from the Fleet document."""
    path = machine.groups[machine.groups.index(level) :] if level else machine.groups
    giver = f"group {' > '.join(path)}" if level else "the Fleet document"
    return ExplainedField(name, value, position, path, f"through {giver}")


def _rollout(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    found = fleet.rollout_of(machine)
    if found is not None:
        level, terms = found
        yield _of_level("rollout", str(terms), terms.position, level, machine)


def _holds(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    for hold in fleet.holds:
        if hold.name in machine.holds:
            value = f"until {hold.until.isoformat()}, {hold.owner}: {hold.reason}"
            reason = f"selected by hold {hold.name}"
            yield ExplainedField(f"holds.{hold.name}", value, hold.position, (), reason)


def _schedules(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    for name in machine.schedules:
        schedule = fleet.schedules[name]
        does = f"power {schedule.power}" if schedule.power else f"scenario {schedule.scenario}"
        when = schedule.at.isoformat() if schedule.at else f"{schedule.cron} {schedule.time_zone}"
        reason = f"selected by schedule {name}"
        value = f"{does}, {when}"
        yield ExplainedField(f"schedules.{name}", value, schedule.position, (), reason)


def _images(fleet: CompiledFleet, machine: CompiledMachine) -> Iterator[ExplainedField]:
    scenarios = [each.scenario for each in machine.assignments]
    scenarios += [fleet.schedules[name].scenario for name in machine.schedules]
    for name in dict.fromkeys(filter(None, scenarios)):
        scenario = fleet.scenarios[name]
        for step in scenario.on(machine.name).steps:
            if isinstance(step, BackupStep | RestoreStep):
                verb = "backed up" if isinstance(step, BackupStep) else "restored"
                reason = f"{verb} by scenario {name}"
                reason += f" as {step.document}" if step.document else ""
                yield ExplainedField(f"images[{name}]", step.image, scenario.position, (), reason)


_DEFAULTS = {
    "identity.hostname": "default: the machine's name",
    "identity.addresses": "default: no fixed address is written",
}


_NETWORK_HAS = frozenset(each.name for each in MACHINE_FIELDS if each.said.network_has_it)


def _default(told: _Told, fleet: CompiledFleet, machine: CompiledMachine) -> ExplainedField:
    name, value, display_name = told
    if name in _NETWORK_HAS and machine.network in fleet.networks:
        network = fleet.networks[machine.network]
        return ExplainedField(name, value, network.position, (), f"from network {network.name}")
    return ExplainedField(name, value, None, (), _DEFAULTS.get(name, "default"), display_name)
