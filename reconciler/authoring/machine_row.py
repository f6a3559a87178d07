"""One machine's own settings, as a row of a table has them, and the texts that say them.

Which fields there are, and where a document has each, is said at ``CompiledMachine``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.scalar import flow_list, flow_mapping, scalar
from specs.desired_state import is_desired_state
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.fleet import MACHINE_FIELDS, CompiledFleet, CompiledMachine
from specs.kinds import API_VERSION
from specs.kinds.machine import Machine, MachineSpec
from specs.machine_fields import MachineField
from specs.validate.document import define
from specs.validate.fields import fields_of
from specs.yaml import load_file

Assign = tuple[tuple[str, str], ...]
"""Scenarios with their run tokens."""
Value = str | bool | tuple[str, ...] | Mapping[str, str] | Assign | None
"""A text, a flag, a list, labels, or assignments, by the form of the field."""


@dataclass(frozen=True, slots=True)
class MachineRow:
    """What is written of a machine itself, by column; what it leaves to its groups is not there.

    Nothing is checked here: a row may hold whatever a file from elsewhere says. Assignments
    may be an empty list: it replaces what the groups assign.
    """

    values: Mapping[str, Value]

    @property
    def name(self) -> str:
        """Return the machine's name."""
        return str(self.values["name"])

    @property
    def macs(self) -> tuple[str, ...]:
        """Return its MAC addresses."""
        macs: Any = self.values["macs"]
        return tuple(macs)

    @property
    def group(self) -> str:
        """Return its group; empty where the table's defaults have to name it."""
        return str(self.values.get("group", ""))

    def data(self) -> dict[str, Any]:
        """Return the Machine document's data, in the order of the models."""
        sections: dict[str, Any] = {"metadata": {}, "spec": dict.fromkeys(fields_of(MachineSpec))}
        for field in MACHINE_FIELDS:
            if field.column in self.values:
                _put(sections, field.path, _as_written(self.values[field.column]))
        spec = {key: value for key, value in sections["spec"].items() if value is not None}
        return {
            "apiVersion": API_VERSION,
            "kind": "Machine",
            "metadata": sections["metadata"],
            "spec": spec,
        }


def machine_row(**values: Value) -> MachineRow:
    """Return the row of what is given, by column; empty texts and lists are not."""
    return MachineRow(
        {
            column: value
            for column, value in values.items()
            if value or value is False or (column == "assign" and value == ())
        }
    )


def fleet_rows(files: Mapping[str, bytes], fleet: CompiledFleet) -> tuple[MachineRow, ...]:
    """Return one row for each machine, in the order of names: what is written of it itself.

    ``files`` are those that ``fleet`` was compiled from. Raises AuthoringError RW938
    with the names of machines of which more is written than a row can say.
    """
    rows: dict[str, MachineRow | None] = {}
    for file in sorted(filter(is_desired_state, files)):
        for document in load_file(file, files[file]).documents:
            model = define(document, Diagnostics(), NearestNames()).model
            if isinstance(model, Machine):
                rows[model.metadata.name] = row_of_document(model)
    for name, machine in fleet.machines.items():
        if name not in rows:
            rows[name] = row_of_compiled(machine)
    more = [name for name, row in rows.items() if row is None]
    if more:
        raise AuthoringError(
            "RW938",
            f"a row of CSV cannot say all that the repository says of {', '.join(sorted(more))}",
            "Keep these machines as they are: export would lose a part of them",
        )
    return tuple(row for _, row in sorted(rows.items()) if row is not None)


def row_of_document(machine: Machine) -> MachineRow | None:
    """Return the row for a Machine document; None when it says more than a row can."""
    row = machine_row(
        **{field.column: _value(field, field.of_document(machine)) for field in MACHINE_FIELDS}
    )
    return row if Machine.model_validate(row.data()) == machine else None


def row_of_compiled(machine: CompiledMachine) -> MachineRow | None:
    """Return the row for a machine that stands in a table, without what its groups gave it.

    None when the machine has power settings of its own, which a row cannot say.
    """

    def own(name: str) -> bool:
        return name in machine.origins and not machine.origins[name].path

    if machine.power_settings and own("power.driver"):
        return None
    values: dict[str, Value] = {"name": machine.name}
    for field in MACHINE_FIELDS:
        value = _value(field, getattr(machine, field.attribute))
        if isinstance(value, Mapping):
            values[field.column] = {key: value[key] for key in value if own(f"labels.{key}")}
        elif own(field.name):
            values[field.column] = value
    return machine_row(**values)


def documents_text(rows: Iterable[MachineRow]) -> str:
    """Return Machine documents, one after the other."""
    return "---\n".join(map(document_text, rows))


def document_text(row: MachineRow) -> str:
    """Return one Machine document, in the layout of ``rackwright fmt``."""
    return "".join(f"{line}\n" for line in _lines(row.data(), ""))


def group_text(path: str, display_name: str = "", network: str = "") -> str:
    """Return a Group document, which sets nothing but the network where one is given."""
    text = f"apiVersion: {API_VERSION}\nkind: Group\nmetadata:\n  name: {scalar(path)}\n"
    if display_name:
        text += f"  displayName: {scalar(display_name)}\n"
    return text + (f"spec:\n  network: {scalar(network)}\n" if network else "")


def table_text(name: str, rows: Iterable[MachineRow]) -> str:
    """Return a MachineTable document."""
    head = f"apiVersion: {API_VERSION}\nkind: MachineTable\nmetadata:\n  name: {scalar(name)}\n"
    return head + "spec:\n  rows:\n" + "".join(f"    - {table_line(row)}\n" for row in rows)


def table_line(row: MachineRow) -> str:
    """Return a row of a MachineTable on one line."""
    return flow_mapping(dict(table_fields(row)))


def table_fields(row: MachineRow) -> Iterator[tuple[str, str]]:
    """Yield the fields of a row of a MachineTable that are given, their values written."""
    for field in MACHINE_FIELDS:
        value = row.values.get(field.column)
        if value is None or not field.said.in_rows:
            continue
        if field.said.form == "power":
            value = {field.path[-1]: str(value)}
        yield field.column, _flow(value)


def _value(field: MachineField, value: Any) -> Value:  # noqa: ANN401 - a value of any form
    """Return what a row has of a value of a model or of a compiled machine."""
    if value is None:
        return None
    match field.said.form:
        case "list":
            return tuple(map(str, value))
        case "assign":
            return tuple((each.scenario, each.run) for each in value)
        case "flag":
            return bool(value)
        case "labels":
            return dict(value)
        case "text" | "power":
            return str(value)


def _as_written(value: Value) -> Any:  # noqa: ANN401 - document values are of any type
    if isinstance(value, tuple):
        return tuple(
            each if isinstance(each, str) else {"scenario": each[0], "run": each[1]}
            for each in value
        )
    return value


def _put(sections: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        if sections.get(part) is None:
            sections[part] = {}
        sections = sections[part]
    sections[path[-1]] = value


def _flow(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return flow_mapping({key: scalar(text) for key, text in value.items()})
    return flow_list(map(str, value)) if isinstance(value, tuple) else scalar(str(value))


def _lines(data: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Yield the lines of a mapping in block style; lists of texts stand on one line."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield f"{indent}{scalar(key)}:"
            yield from _lines(value, f"{indent}  ")
        elif isinstance(value, tuple) and value and isinstance(value[0], Mapping):
            yield f"{indent}{scalar(key)}:"
            for item in value:
                first, *rest = _lines(item, f"{indent}    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        else:
            yield f"{indent}{scalar(key)}: {_flow(value)}"
