"""Where each value of a document is written, what it inherits and who uses it: for any kind.

All of it follows from the models of kinds, from where they refer to each other
(``REFERENCES``) and from the compiled machines, so that a new kind needs nothing here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from reconciler.authoring.explanation import ExplainedField, explained
from reconciler.authoring.rewrite import AuthoringError
from specs.compile.context import CompileContext
from specs.compile.group_member import group_member
from specs.compile.references import REFERENCES
from specs.compile.selectors import compiled_selector
from specs.compile.tables.row import Row
from specs.compile.unsupported import FIELDS, blocking
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path, dotted
from specs.diagnostics.position import Position
from specs.fleet import CompiledFleet, CompiledMachine, CompiledSelector
from specs.kinds import API_VERSION, KINDS
from specs.kinds.metadata import Document, ShownMetadata
from specs.kinds.record import Record
from specs.kinds.selector import Selector
from specs.selection import Selection
from specs.types.secret import SecretReference
from specs.validate.fields import field_at, model_at
from specs.validate.registry import ONLY_ONE
from specs.validate.resource import Resource

_LISTED = 5
"""Names that a message lists where none is near."""
_SECTIONS = ("metadata", "spec")
_NAME: Path = ("metadata", "name")
BELOW = "below it"
"""What stands for the field of a group that lies below another one."""
_NOT_CHECKED: tuple[tuple[tuple[str, ...], str], ...] = ((("spec", "group"), "Group"),)
"""References to what need not be written, besides ``REFERENCES``."""
_LEVELS = frozenset({"Fleet", "Group", "MachineTable"})
"""Kinds whose machines may have something nearer than what the document says."""
_OF_MACHINES: Mapping[str, Callable[[CompiledMachine], Iterable[str]]] = MappingProxyType(
    {
        "Group": lambda machine: machine.groups,
        "Network": lambda machine: (machine.network,),
        "Scenario": lambda machine: (each.scenario for each in machine.assignments),
    }
)
"""What machines use, whoever of their levels says so."""


class Use(NamedTuple):
    """A document that names another one, or selects what is in it."""

    kind: str
    name: str
    field: str
    """Where it does so: ``spec.action.scenario``; of a group below another one, ``below it``."""
    position: Position
    machines: int
    """How many machines it is about itself."""


class ExplainedDocument(NamedTuple):
    """A document of any kind."""

    kind: str
    name: str
    display_name: str
    position: Position | None
    """None: no document is written; what holds nevertheless is told."""
    no_effect: str
    """Why nothing acts on it yet, as a clause; empty where it acts."""
    fields: tuple[ExplainedField, ...]
    """Its own in the order of its model, then what it inherits."""
    machines: tuple[str, ...]
    """Those that use it or that it selects, by name."""
    uses: tuple[Use, ...]
    """By place; groups below a group come last."""


def find_kind(text: str) -> str:
    """Return the kind that is meant; AuthoringError RW976 with all of them for an unknown one.

    Case, hyphens and a plural are passed over.
    """
    known = {kind.casefold(): kind for kind in KINDS}
    folded = text.replace("-", "").replace("_", "").casefold()
    for word in (folded, folded.removesuffix("s"), folded.removesuffix("ies") + "y"):
        if word in known:
            return known[word]
    nearest = NearestNames().find(folded, known)
    guess = f"Did you mean {known[nearest]}? " if nearest else ""
    raise AuthoringError(
        "RW976",
        f"there is no kind {text!r}",
        f"{guess}There are: {', '.join(KINDS)}; or write a code such as RW141",
    )


def explain_document(
    fleet: CompiledFleet, context: CompileContext, kind: str, name: str, remarks: Sequence[str] = ()
) -> ExplainedDocument:
    """Return a document; AuthoringError RW977 with the nearest names where there is none.

    ``name`` may be empty for a kind of which there is only one. ``remarks`` are sentences that may
    say why a name is not there.
    """
    documents = _Documents(fleet, context)
    resources = context.registry.of_kind(kind)
    known = {*resources, *(context.groups if kind == "Group" else ())}
    if kind in ONLY_ONE:
        known = known or {kind.lower()}
        name = name or min(known)
    if name not in known:
        raise _unknown(kind, name, sorted(known), remarks)
    resource = resources.get(name)
    uses = tuple(documents.uses(kind, name))
    model = _model(kind, name, resource)
    metadata = model.metadata if model else None
    own = tuple(_own_fields(model, resource)) if model else ()
    return ExplainedDocument(
        kind=kind,
        name=name,
        display_name=(metadata.display_name or "") if isinstance(metadata, ShownMetadata) else "",
        position=resource.position if resource else None,
        no_effect=blocking(kind, resource.document) if resource and kind in FIELDS else "",
        fields=(*own, *_inherited(fleet, context, kind, _group_of(kind, name, model), own)),
        machines=tuple(sorted(documents.machines(kind, name))),
        uses=tuple(sorted(uses, key=lambda each: (each.field == BELOW, each.position))),
    )


def _unknown(kind: str, name: str, known: Sequence[str], remarks: Sequence[str]) -> AuthoringError:
    nearest = NearestNames().find(name, known)
    there = f"There are: {', '.join(known[:_LISTED])}"
    if len(known) > _LISTED:
        there += f" and {len(known) - _LISTED:,} more"
    if nearest:
        there = f"Did you mean {kind.lower()}/{nearest}?"
    elif not known:
        there = f"There is no {kind} document"
    what = f"no {kind} is named {name!r} in this revision"
    if not name:
        what = f"it takes a name: {kind.lower()}/NAME"
    return AuthoringError("RW977", what, ". ".join((*remarks, there)))


def _model(kind: str, name: str, resource: Resource | None) -> Document | None:
    """Return the document's model; of a kind with one document that is not written, its defaults.

    None for a group that is only the parent of others.
    """
    if resource is not None:
        return resource.model
    if kind not in ONLY_ONE:
        return None
    data = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    return KINDS[kind].model_validate(data)


# --- its own fields ------------------------------------------------------------------


def _own_fields(model: Document, resource: Resource | None) -> Iterator[ExplainedField]:
    """Yield all that a document says, and the defaults of what it does not say."""
    document = resource.document if resource else None
    for path, value, is_written in _values(model, (), written=document is not None):
        if path[0] in _SECTIONS and path != _NAME:
            position = document.position(path) if document and is_written else None
            reason = "" if is_written else "default"
            yield ExplainedField(dotted(path[1:]), _text(value), position, (), reason)


def _values(value: object, path: Path, *, written: bool) -> Iterator[tuple[Path, object, bool]]:
    """Yield the single values within one, and whether they are written.

    What is neither written nor there by default is left out.
    """
    parts: Iterable[tuple[str | int, object, bool]]
    if isinstance(value, Record):
        fields = type(value).model_fields
        parts = [
            (str(fields[name].alias), getattr(value, name), name in value.model_fields_set)
            for name in fields
        ]
    elif isinstance(value, tuple) and any(isinstance(each, Record | Mapping) for each in value):
        parts = [(index, each, True) for index, each in enumerate(value)]
    elif isinstance(value, Mapping):
        parts = [(str(key), each, True) for key, each in value.items()]
    else:
        if written or value not in {None, (), ""}:
            yield path, value, written
        return
    if not parts and written:
        yield path, "{}", written
    for key, each, is_said in parts:
        if each is not None:
            yield from _values(each, (*path, key), written=written and is_said)


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(_text, value))
        case SecretReference():
            return f"!secret {value.name}"
        case date():
            return value.isoformat()
    return str(value)


# --- what it inherits ----------------------------------------------------------------


def _group_of(kind: str, name: str, model: Document | None) -> str:
    """Return the group whose values a document has where it says none; empty for none."""
    group = name if kind == "Group" else getattr(getattr(model, "spec", None), "group", None)
    return group if isinstance(group, str) else ""


def _inherited(
    fleet: CompiledFleet,
    context: CompileContext,
    kind: str,
    group: str,
    own: Sequence[ExplainedField],
) -> Iterator[ExplainedField]:
    """Yield what the group, its parents and the Fleet give, of what a document could say itself."""
    if not group:
        return
    said = [each.field for each in own if each.position]
    for each in explained(fleet, group_member(group, context)):
        below = (f"{each.field}.", f"{each.field}[")
        is_said = any(field == each.field or field.startswith(below) for field in said)
        if not is_said and _can_say(kind, each.field):
            yield each


def _can_say(kind: str, field: str) -> bool:
    """Return whether documents of a kind have a field of this name."""
    path = ("spec", *field.partition("[")[0].split("."))
    outer = path[:-1]
    is_key = field_at(KINDS[kind], outer) is not None and model_at(KINDS[kind], outer) is None
    return is_key or field_at(KINDS[kind], path) is not None


# --- who uses it ---------------------------------------------------------------------


class _Documents:
    """Who uses whom in a fleet."""

    def __init__(self, fleet: CompiledFleet, context: CompileContext) -> None:
        self._fleet = fleet
        self._context = context
        self._machines: dict[tuple[str, str], frozenset[str]] = {}

    def uses(self, kind: str, name: str) -> Iterator[Use]:
        """Yield who names a document, and who selects a group."""
        for resource, path in self._referring(kind, name):
            yield Use(
                resource.kind,
                resource.name,
                BELOW if path == _NAME else resource.document.shown(path),
                resource.document.position(path),
                len(self.machines(resource.kind, resource.name)),
            )

    def machines(self, kind: str, name: str) -> frozenset[str]:
        """Return the machines that use a document, or that it selects."""
        key = kind, name
        if key not in self._machines:
            self._machines[key] = frozenset()  # ends a circle
            self._machines[key] = self._found(kind, name)
        return self._machines[key]

    def _found(self, kind: str, name: str) -> frozenset[str]:
        if kind == "Machine":
            return frozenset({name})
        resource = self._every.get((kind, name))
        machines = self._fleet.machines.values()
        model = resource.model if resource else None
        selector = getattr(getattr(model, "spec", None), "select", None)
        if kind in ONLY_ONE:
            return frozenset(self._fleet.machines)
        if isinstance(selector, Selector):
            chosen = Selection(compiled_selector(selector), self._context.groups)
            return frozenset(
                each.name for each in machines if chosen.matches(each.name, each.group, each.labels)
            )
        direct = set(self._direct.get((kind, name), ()))
        if resource is not None:
            direct |= self._rows.get(id(resource.document), set())
        if kind in {"Group", "Network"}:
            return frozenset(direct)
        users = {(each.kind, each.name) for each, _ in self._referring(kind, name)}
        if kind in _OF_MACHINES:  # what levels say counts where it holds, and was found above
            users = {each for each in users if each[0] not in _LEVELS}
        return frozenset(direct).union(*(self.machines(*each) for each in sorted(users)))

    @cached_property
    def _direct(self) -> Mapping[tuple[str, str], set[str]]:
        """The machines that use a document, by its kind and name."""
        found: dict[tuple[str, str], set[str]] = {}
        for machine in self._fleet.machines.values():
            for kind, used in _OF_MACHINES.items():
                for name in used(machine):
                    found.setdefault((kind, name), set()).add(machine.name)
        return found

    @cached_property
    def _rows(self) -> Mapping[int, set[str]]:
        """The machines of tables, by the identity of the table's document."""
        found: dict[int, set[str]] = {}
        for name, machine in self._context.registry.of_kind("Machine").items():
            if isinstance(machine.document, Row):
                found.setdefault(id(machine.document.table), set()).add(name)
        return found

    def _referring(self, kind: str, name: str) -> Iterator[tuple[Resource, Path]]:
        """Yield the documents that name one, and where; machines are counted instead."""
        for resource in self._every.values():
            for pattern, target in (*REFERENCES.get(resource.kind, ()), *_NOT_CHECKED):
                if target == kind:
                    for path, value in resource.values(pattern):
                        if value == name and (resource.kind, resource.name) != (kind, name):
                            yield resource, path
        if kind == "Group":
            yield from self._selecting(name)
            for (other, child), resource in self._every.items():
                if other == "Group" and child.startswith(f"{name}/"):
                    yield resource, _NAME

    def _selecting(self, group: str) -> Iterator[tuple[Resource, Path]]:
        selectors = (*self._context.selectors, *(each.written for each in self._context.targets))
        for each in selectors:
            if each.selector.groups:
                only = CompiledSelector(groups=each.selector.groups)
                if Selection(only, self._context.groups).matches("", group, {}):
                    yield each.resource, each.path

    @cached_property
    def _every(self) -> Mapping[tuple[str, str], Resource]:
        """All documents but machines, by kind and name."""
        return {
            (kind, name): resource
            for kind in KINDS
            if kind != "Machine"
            for name, resource in self._context.registry.of_kind(kind).items()
        }
