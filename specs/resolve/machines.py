"""Machines: what they say themselves on top of what their groups hand down."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from specs.code import Code
from specs.compiled import PROTECT, CompiledMachine
from specs.definition import Definition
from specs.origins import (
    Fields,
    Origins,
    assign_field,
    is_assign_field,
    label_field,
)
from specs.path import Path
from specs.problems import Problems
from specs.resolve.inherited import Inherited
from specs.resolve.level import Level, Levels
from specs.resolve.power import switched
from specs.resolve.room import report_address
from specs.resolve.surroundings import Surroundings
from specs.resolve.targets import Conflicts, Target
from specs.uniqueness import warn_of_idle_history

if TYPE_CHECKING:
    from specs.kinds.machine import Machine, MachineIdentity

_NETWORK: Path = ("spec", "network")


def compile_machines(
    definitions: Mapping[str, Definition], surroundings: Surroundings, problems: Problems
) -> dict[str, CompiledMachine]:
    """Return the machines that can be read, by name; report what does not fit."""
    conflicts = Conflicts()
    levels = Levels(surroundings)
    machines: dict[str, CompiledMachine] = {}
    for name, definition in definitions.items():
        model = definition.machine
        if model is not None:
            level = levels.of(definition, model)
            _check_network(definition, model, level, problems)
            if model.spec.hardware.formerly:
                warn_of_idle_history(definition, problems)
            targets, holds = _chosen_by(definition, model, level, surroundings)
            if targets:
                conflicts.check(name, level.assignments, targets)
            machines[name] = _compiled(definition, model, level, targets, holds)
    conflicts.report(problems)
    return machines


def _chosen_by(
    definition: Definition, model: "Machine", level: Level, surroundings: Surroundings
) -> tuple[Sequence[Target], tuple[str, ...]]:
    """Return the targets and the names of the holds that select a machine."""
    if not surroundings.targets and not surroundings.selectors:
        return (), ()
    asked = definition.name, model.spec.group, level.labels
    targets = [
        target for target in surroundings.targets if target.written.selection.matches(*asked)
    ]
    holds = tuple(
        each.definition.name
        for each in surroundings.selectors
        if each.definition.kind == "Hold" and each.selection.matches(*asked)
    )
    return targets, holds


def _check_network(
    definition: Definition, model: "Machine", level: Level, problems: Problems
) -> None:
    if level.room is not None:
        for index, address in enumerate(model.spec.identity.addresses):
            if not level.room.has(address):
                report_address(definition, index, address, level.room.network, problems)
    elif not level.network and level.network_is_known and not definition.is_broken_at(_NETWORK):
        _report_no_network(definition, model, problems)


def _report_no_network(definition: Definition, model: "Machine", problems: Problems) -> None:
    problems.error(
        definition.position,
        Code.NO_NETWORK,
        f"machine {definition.name} is in no network",
        f"set spec.network here, or on group {model.spec.group} or one above it",
    )


def _compiled(
    definition: Definition,
    model: "Machine",
    level: Level,
    targets: Sequence[Target],
    holds: tuple[str, ...],
) -> CompiledMachine:
    hardware, identity = model.spec.hardware, model.spec.identity
    inherited, assignments = level.inherited, level.assignments
    if targets:
        assignments = (*assignments, *(target.assignment for target in targets))
    return CompiledMachine(
        name=definition.name,
        group=model.spec.group,
        groups=inherited.groups,
        labels=level.labels,
        macs=hardware.macs,
        uuid=hardware.uuid or "",
        serial=hardware.serial or "",
        network=level.network,
        hostname=identity.hostname or definition.name,
        addresses=identity.addresses,
        power_driver=level.driver,
        protect=level.protect,
        assignments=assignments,
        origins=Origins(definition.document, partial(_fields, model, inherited, targets)),
        domain=level.domain,
        formerly=hardware.formerly,
        unsupported=level.unsupported,
        power_settings=level.settings,
        holds=holds,
    )


def _fields(model: "Machine", inherited: Inherited, targets: Sequence[Target]) -> Fields:
    """Return the fields that the machine sets itself, and what its groups and targets add."""
    own = tuple(_own_fields(model))
    hidden = set(own)
    if model.spec.assign is not None:
        hidden.update(field for field in inherited.sources if is_assign_field(field))
    if model.spec.power is not None:
        hidden.update(inherited.power.fields)
    left = {field: source for field, source in inherited.sources.items() if field not in hidden}
    assigned = len(inherited.assignments if model.spec.assign is None else model.spec.assign)
    for index, target in enumerate(targets, start=assigned):
        left[assign_field(index)] = target.source
    return own, left


def _own_fields(model: "Machine") -> Iterator[str]:
    """Yield the names of the fields that the machine's own document sets."""
    spec = model.spec
    yield "group"
    yield "hardware.macs"
    if spec.hardware.uuid is not None:
        yield "hardware.uuid"
    if spec.hardware.serial is not None:
        yield "hardware.serial"
    if spec.hardware.formerly:
        yield "hardware.formerly"
    yield from _own_identity(spec.identity)
    if spec.network is not None:
        yield "network"
    if spec.power is not None:
        yield from switched(spec.power).fields
    if spec.protect is not None:
        yield PROTECT
    yield from map(label_field, model.metadata.labels)
    yield from map(assign_field, range(len(spec.assign or ())))


def _own_identity(identity: "MachineIdentity") -> Iterator[str]:
    if identity.hostname is not None:
        yield "identity.hostname"
    if identity.domain is not None:
        yield "identity.domain"
    if identity.addresses:
        yield "identity.addresses"
