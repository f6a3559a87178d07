"""Machines: what they say themselves on top of what their groups hand down."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from specs.compile.address_pool import report_address
from specs.compile.context import Surroundings
from specs.compile.effective_settings import EffectiveSettings, EffectiveSettingsCache
from specs.compile.inherited_settings import InheritedSettings
from specs.compile.origins import (
    Fields,
    Origins,
    assign_field,
    is_assign_field,
    label_field,
)
from specs.compile.power import switched
from specs.compile.targets import Conflicts, Target
from specs.compile.uniqueness import warn_of_idle_history
from specs.diagnostics.codes import Code
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.path import Path
from specs.fleet import MACHINE_FIELDS, CompiledMachine
from specs.machine_fields import Values
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.kinds.machine import Machine

_NETWORK: Path = ("spec", "network")
_OWN_FIELDS = tuple(
    field
    for field in MACHINE_FIELDS
    if field.said.form in {"text", "list"} and not field.said.handed_down
)
"""What a machine alone says."""
_OWN = Values(*_OWN_FIELDS)
_UNSAID = {field.attribute: "" for field in _OWN_FIELDS if field.said.form == "text"}


def compile_machines(
    resources: Mapping[str, Resource], surroundings: Surroundings, diagnostics: Diagnostics
) -> dict[str, CompiledMachine]:
    """Return the machines that can be read, by name; report what does not fit."""
    conflicts = Conflicts()
    levels = EffectiveSettingsCache(surroundings)
    machines: dict[str, CompiledMachine] = {}
    for name, resource in resources.items():
        model = resource.machine
        if model is not None:
            level = levels.of(resource, model)
            _check_network(resource, model, level, diagnostics)
            if model.spec.hardware.formerly:
                warn_of_idle_history(resource, diagnostics)
            targets, holds = _chosen_by(resource, model, level, surroundings)
            if targets:
                conflicts.check(name, level.assignments, targets)
            machines[name] = _compiled(resource, model, level, targets, holds)
    conflicts.report(diagnostics)
    return machines


def _chosen_by(
    resource: Resource, model: "Machine", level: EffectiveSettings, surroundings: Surroundings
) -> tuple[Sequence[Target], tuple[str, ...]]:
    """Return the targets and the names of the holds that select a machine."""
    if not surroundings.targets and not surroundings.selectors:
        return (), ()
    asked = resource.name, model.spec.group, level.labels
    targets = [
        target for target in surroundings.targets if target.written.selection.matches(*asked)
    ]
    holds = tuple(
        each.resource.name
        for each in surroundings.selectors
        if each.resource.kind == "Hold" and each.selection.matches(*asked)
    )
    return targets, holds


def _check_network(
    resource: Resource, model: "Machine", level: EffectiveSettings, diagnostics: Diagnostics
) -> None:
    if level.room is not None:
        for index, address in enumerate(model.spec.identity.addresses):
            if not level.room.has(address):
                report_address(resource, index, address, level.room.network, diagnostics)
    elif not level.network and level.network_is_known and not resource.is_invalid_at(_NETWORK):
        _report_no_network(resource, model, diagnostics)


def _report_no_network(resource: Resource, model: "Machine", diagnostics: Diagnostics) -> None:
    diagnostics.error(
        resource.position,
        Code.NO_NETWORK,
        f"machine {resource.name} is in no network",
        f"set spec.network here, or on group {model.spec.group} or one above it",
    )


def _compiled(
    resource: Resource,
    model: "Machine",
    level: EffectiveSettings,
    targets: Sequence[Target],
    holds: tuple[str, ...],
) -> CompiledMachine:
    inherited, assignments = level.inherited, level.assignments
    if targets:
        assignments = (*assignments, *(target.assignment for target in targets))
    said = {"hostname": resource.name, **_OWN.by_attribute(model), "name": resource.name}
    return CompiledMachine(
        **{**_UNSAID, **level.values, **said},
        groups=inherited.groups,
        labels=level.labels,
        power_driver=level.driver,
        assignments=assignments,
        origins=Origins(resource.document, partial(_fields, model, inherited, targets)),
        unsupported=level.unsupported,
        power_settings=level.settings,
        holds=holds,
    )


def _fields(model: "Machine", inherited: InheritedSettings, targets: Sequence[Target]) -> Fields:
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
    for field in MACHINE_FIELDS:
        value = field.of_document(model)
        if field.said.form == "labels":
            yield from map(label_field, value)
        elif field.said.form == "assign":
            yield from map(assign_field, range(len(value or ())))
        elif field.said.form == "power":
            yield from switched(model.spec.power).fields if model.spec.power else ()
        elif value is not None and value != () and field.attribute != "name":
            yield field.name
