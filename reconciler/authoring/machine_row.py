"""One machine's own settings, as a row of a table has them, and the texts that say them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.authoring.scalar import flow_list, flow_mapping, scalar
from specs.fleet import CompiledMachine
from specs.kinds.machine import Machine
from specs.kinds.record import API_VERSION

Assign = tuple[tuple[str, str], ...]
"""Scenarios with their run tokens."""


@dataclass(frozen=True, slots=True)
class MachineRow:
    """What is written of a machine itself; empty or None is what it leaves to its groups.

    Nothing is checked here: a row may hold whatever a file from elsewhere says.
    """

    name: str
    macs: tuple[str, ...] = ()
    group: str = ""
    uuid: str = ""
    serial: str = ""
    formerly: tuple[str, ...] = ()
    """Hardware whose history the machine continues: ``uuid:...`` or ``mac:...``."""
    hostname: str = ""
    domain: str = ""
    addresses: tuple[str, ...] = ()
    network: str = ""
    power: str = ""
    protect: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    assign: Assign | None = None
    """An empty list is not None: it replaces what the groups assign."""

    def data(self) -> dict[str, Any]:
        """Return the Machine document's data."""
        hardware = _given(
            macs=self.macs, uuid=self.uuid, serial=self.serial, formerly=self.formerly
        )
        identity = _given(hostname=self.hostname, domain=self.domain, addresses=self.addresses)
        spec = _given(
            group=self.group,
            hardware=hardware,
            identity=identity,
            network=self.network,
            power=_given(driver=self.power),
        )
        if self.protect is not None:
            spec["protect"] = self.protect
        if self.assign is not None:
            spec["assign"] = tuple({"scenario": name, "run": run} for name, run in self.assign)
        return {
            "apiVersion": API_VERSION,
            "kind": "Machine",
            "metadata": {"name": self.name, **_given(labels=dict(self.labels))},
            "spec": spec,
        }


def row_of_document(machine: Machine) -> MachineRow | None:
    """Return the row for a Machine document; None when it says more than a row can."""
    spec = machine.spec
    row = MachineRow(
        name=machine.metadata.name,
        macs=spec.hardware.macs,
        group=spec.group,
        uuid=spec.hardware.uuid or "",
        serial=spec.hardware.serial or "",
        formerly=spec.hardware.formerly,
        hostname=spec.identity.hostname or "",
        domain=spec.identity.domain or "",
        addresses=tuple(map(str, spec.identity.addresses)),
        network=spec.network or "",
        power=spec.power.driver if spec.power else "",
        protect=spec.protect,
        labels=machine.metadata.labels,
        assign=None if spec.assign is None else tuple((e.scenario, e.run) for e in spec.assign),
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

    return MachineRow(
        name=machine.name,
        macs=machine.macs,
        group=machine.group,
        uuid=machine.uuid,
        serial=machine.serial,
        formerly=machine.formerly,
        hostname=machine.hostname if own("identity.hostname") else "",
        domain=machine.domain if own("identity.domain") else "",
        addresses=tuple(map(str, machine.addresses)),
        network=machine.network if own("network") else "",
        power=machine.power_driver if own("power.driver") else "",
        protect=machine.protect if own("protect") else None,
        labels={key: text for key, text in machine.labels.items() if own(f"labels.{key}")},
    )


def documents_text(rows: Iterable[MachineRow]) -> str:
    """Return Machine documents, one after the other."""
    return "---\n".join(map(document_text, rows))


def document_text(row: MachineRow) -> str:
    """Return one Machine document, in the layout of ``rackwright fmt``."""
    return "".join(f"{line}\n" for line in _document_lines(row))


def group_text(path: str) -> str:
    """Return a Group document that sets nothing."""
    return f"apiVersion: {API_VERSION}\nkind: Group\nmetadata:\n  name: {scalar(path)}\n"


def table_text(name: str, rows: Iterable[MachineRow]) -> str:
    """Return a MachineTable document."""
    head = f"apiVersion: {API_VERSION}\nkind: MachineTable\nmetadata:\n  name: {scalar(name)}\n"
    return head + "spec:\n  rows:\n" + "".join(f"    - {table_line(row)}\n" for row in rows)


def table_line(row: MachineRow) -> str:
    """Return a row of a MachineTable on one line."""
    return flow_mapping(dict(table_fields(row)))


_TABLE_FIELDS = (
    "uuid",
    "serial",
    "formerly",
    "hostname",
    "domain",
    "addresses",
    "group",
    "network",
)


def table_fields(row: MachineRow) -> Iterator[tuple[str, str]]:
    """Yield the fields of a row of a MachineTable that are given, their values written."""
    yield "name", scalar(row.name)
    yield "macs", flow_list(row.macs)
    for key in _TABLE_FIELDS:
        value = getattr(row, key)
        if value:
            yield key, scalar(value) if isinstance(value, str) else flow_list(value)
    if row.power:
        yield "power", flow_mapping({"driver": scalar(row.power)})
    if row.protect is not None:
        yield "protect", str(row.protect).lower()
    if row.labels:
        yield "labels", flow_mapping({key: scalar(text) for key, text in row.labels.items()})


def _document_lines(row: MachineRow) -> Iterator[str]:
    yield f"apiVersion: {API_VERSION}"
    yield "kind: Machine"
    yield "metadata:"
    yield f"  name: {scalar(row.name)}"
    yield from _section("labels", row.labels)
    yield "spec:"
    yield from _fields(2, {"group": row.group})
    yield "  hardware:"
    yield f"    macs: {flow_list(row.macs)}"
    yield from _fields(4, {"uuid": row.uuid, "serial": row.serial})
    if row.formerly:
        yield f"    formerly: {flow_list(row.formerly)}"
    identity = {"hostname": row.hostname, "domain": row.domain}
    yield from _section("identity", identity, is_wanted=bool(row.addresses))
    if row.addresses:
        yield f"    addresses: {flow_list(row.addresses)}"
    yield from _fields(2, {"network": row.network})
    yield from _section("power", {"driver": row.power})
    if row.protect is not None:
        yield f"  protect: {str(row.protect).lower()}"
    yield from _assign_lines(row.assign)


def _section(name: str, fields: Mapping[str, str], *, is_wanted: bool = False) -> Iterator[str]:
    if is_wanted or any(fields.values()):
        yield f"  {name}:"
    yield from _fields(4, fields)


def _fields(column: int, fields: Mapping[str, str]) -> Iterator[str]:
    for key, text in fields.items():
        if text:
            yield f"{' ' * column}{scalar(key)}: {scalar(text)}"


def _assign_lines(assign: Assign | None) -> Iterator[str]:
    if assign is None:
        return
    if not assign:
        yield "  assign: []"
        return
    yield "  assign:"
    for name, run in assign:
        yield f"    - scenario: {scalar(name)}"
        yield f"      run: {scalar(run)}"


def _given(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - document values are of any type
    return {key: value for key, value in fields.items() if value}
