"""Machines: what they say themselves on top of what their groups hand down."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from specs.compile.address_pool import AddressPool, report_address
from specs.compile.assignments import compiled
from specs.compile.context import CompileContext
from specs.compile.group_tree import HANDED_DOWN, InheritedSettings
from specs.compile.origins import (
    Fields,
    Origins,
    assign_field,
    is_assign_field,
    label_field,
)
from specs.compile.power import Switch, switched
from specs.compile.targets import Conflicts, Target
from specs.compile.uniqueness import warn_of_idle_history
from specs.compile.unsupported import DRIVERS
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import Path
from specs.fleet import MACHINE_FIELDS, PROTECT, Assignment, CompiledMachine
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
_SHARED = Values(*HANDED_DOWN)
_OF_NETWORKS = tuple(field.attribute for field in HANDED_DOWN if field.said.network_has_it)
_BY_DEFAULT = {"network": "", PROTECT: None, "drift": "report"}
"""Of the fields that are handed down, what holds where no level says them."""
_UNSAID = {field.attribute: "" for field in _OWN_FIELDS if field.said.form == "text"}


class _Settings(NamedTuple):
    """What remains of each field once groups, networks and the machine have had their say."""

    inherited: InheritedSettings
    labels: dict[str, str]
    values: Mapping[str, Any]
    """Of the fields that are handed down as they are, by the attributes of CompiledMachine."""
    pool: AddressPool | None
    """Of the network; None where there is no such network."""
    network_is_known: bool
    """Whether there certainly is none where the values name none."""
    power: Switch
    assignments: tuple[Assignment, ...]


def compile_machines(
    resources: Mapping[str, Resource], context: CompileContext, diagnostics: Diagnostics
) -> dict[str, CompiledMachine]:
    """Return the machines that can be read, by name; report what does not fit."""
    conflicts = Conflicts()
    machines: dict[str, CompiledMachine] = {}
    for name, resource in resources.items():
        model = resource.machine
        if model is not None:
            settings = _settings(resource, model, context)
            _check_network(resource, model, settings, diagnostics)
            if model.spec.hardware.formerly:
                warn_of_idle_history(resource, diagnostics)
            targets, chosen_by = _chosen_by(resource, model, settings, context)
            if targets:
                conflicts.check(name, settings.assignments, targets)
            machines[name] = _compiled(resource, model, settings, targets, chosen_by)
    conflicts.report(diagnostics)
    return machines


def _settings(resource: Resource, model: "Machine", context: CompileContext) -> _Settings:
    spec = model.spec
    inherited = context.tree.inherited(spec.group)
    values = {**_BY_DEFAULT, **inherited.values, **_SHARED.by_attribute(model)}
    pool = context.pools.get(values["network"])
    for name in _OF_NETWORKS:
        values.setdefault(name, getattr(pool.network, name) if pool else "")
    return _Settings(
        inherited=inherited,
        labels=dict(sorted({**inherited.labels, **model.metadata.labels}.items())),
        values=values,
        pool=pool,
        network_is_known=inherited.network_is_known and spec.group in context.groups,
        power=inherited.power if spec.power is None else switched(spec.power),
        assignments=inherited.assignments
        if spec.assign is None
        else compiled(spec.assign, resource.document, ()),
    )


def _chosen_by(
    resource: Resource, model: "Machine", settings: _Settings, context: CompileContext
) -> tuple[Sequence[Target], Mapping[str, tuple[str, ...]]]:
    """Return the targets, and by kind the names of the documents that select a machine."""
    if not context.targets and not context.selectors:
        return (), {}
    asked = resource.name, model.spec.group, settings.labels
    targets = [target for target in context.targets if target.written.selection.matches(*asked)]
    found: dict[str, tuple[str, ...]] = {}
    for each in context.selectors:
        kind, name = each.resource.kind, each.resource.name
        if each.selection.matches(*asked):
            found[kind] = (*found.get(kind, ()), name)
    return targets, found


def _check_network(
    resource: Resource, model: "Machine", settings: _Settings, diagnostics: Diagnostics
) -> None:
    if settings.pool is not None:
        for index, address in enumerate(model.spec.identity.addresses):
            if not settings.pool.has(address):
                report_address(resource, index, address, settings.pool.network, diagnostics)
    elif (
        not settings.values["network"]
        and settings.network_is_known
        and not resource.is_invalid_at(_NETWORK)
    ):
        diagnostics.error(
            resource.position,
            Code.NO_NETWORK,
            f"machine {resource.name} is in no network",
            f"set spec.network here, or on group {model.spec.group} or one above it",
        )


def _compiled(
    resource: Resource,
    model: "Machine",
    settings: _Settings,
    targets: Sequence[Target],
    chosen_by: Mapping[str, tuple[str, ...]],
) -> CompiledMachine:
    inherited, assignments = settings.inherited, settings.assignments
    if targets:
        assignments = (*assignments, *(target.assignment for target in targets))
    said = {"hostname": resource.name, **_OWN.by_attribute(model), "name": resource.name}
    return CompiledMachine(
        **{**_UNSAID, **settings.values, **said},
        groups=inherited.groups,
        labels=settings.labels,
        power_driver=settings.power.driver,
        assignments=assignments,
        origins=Origins(resource.document, partial(_fields, model, inherited, targets)),
        unsupported=DRIVERS.get(settings.power.driver, ""),
        power_settings=settings.power.settings,
        holds=chosen_by.get("Hold", ()),
        schedules=chosen_by.get("Schedule", ()),
        updates=chosen_by.get("UpdatePolicy", ()),
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
