"""Machines as CSV (RFC 4180), for spreadsheets and for lists from other systems.

A cell that begins with a character that makes spreadsheets calculate (``= + - @``, tab,
or their full-width forms) is written with a quote ``'`` before it, which is what OWASP
recommends ("CSV Injection"); reading takes one such quote away, so that nothing changes
on the way. A cell that begins with ``'`` itself gets one too.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from reconciler.authoring.checked import diagnostics_of_rows
from reconciler.authoring.conversions import ConversionError, Conversions, converted, prefix_length
from reconciler.authoring.machine_row import (
    Assign,
    MachineRow,
    Value,
    document_text,
    machine_row,
    table_text,
)
from reconciler.authoring.rewrite import AuthoringError
from specs.diagnostics.nearest import NearestNames
from specs.fleet import MACHINE_FIELDS
from specs.machine_fields import Form
from specs.types.display_name import misleading
from specs.types.host_name import is_label
from specs.types.mac_address import suggestion

_FORMS: Mapping[str, Form] = {
    field.column: field.said.form for field in MACHINE_FIELDS if field.said.form != "labels"
}
COLUMNS = tuple(_FORMS)
"""The columns in the order in which they are written; labels follow as ``label.KEY``."""

OTHER_NAMES: Mapping[str, str] = {
    "machinename": "name",
    "computername": "name",
    "mac": "macs",
    "macaddress": "macs",
    "macaddresses": "macs",
    "hostname": "hostname",
    "serialnumber": "serial",
    "ip": "addresses",
    "ipaddress": "addresses",
    "ipaddresses": "addresses",
    "subnetmask": "subnet mask",
    "machinegroup": "group",
    "groupname": "group",
    "destinationmachinegroup": "group",
}
"""Headings of other systems, without spaces, in lower case."""

_LABEL = "label."
_EMPTY_LIST = "none"
_CALCULATES = "=+-@\t＝＋－＠"  # noqa: RUF001 - the full-width forms count in some locales
_DELIMITERS = ",;\t"
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ReadMachines:
    """What a CSV file says, and what was converted on the way, as lines for people."""

    rows: tuple[MachineRow, ...]
    conversions: tuple[str, ...]


def csv_text(rows: Iterable[MachineRow]) -> str:
    """Return machines as CSV, with the columns that at least one of them needs."""
    records = [_record(row) for row in rows]
    labels = sorted({key for record in records for key in record if key.startswith(_LABEL)})
    used = [
        column
        for column in COLUMNS
        if column in {"name", "macs", "group"} or any(record.get(column) for record in records)
    ]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header = [*used, *labels]
    writer.writerow(header)
    writer.writerows([[guarded(record.get(key, "")) for key in header] for record in records])
    return out.getvalue()


def read_csv(file: str, text: str, group: str = "") -> ReadMachines:
    """Return the machines of a CSV file; ``group`` is for rows that name none.

    Columns may be in any order, and separated by commas, semicolons or tabs. Raises
    AuthoringError RW936, which lists everything that is wrong with line numbers.
    """
    conversions = Conversions()
    rows, errors = read_rows(file, text, conversions, group)
    if errors:
        raise refused(f"{file} has", errors)
    return ReadMachines(rows, tuple(conversions.lines))


def read_rows(
    file: str, text: str, conversions: Conversions, group: str = ""
) -> tuple[tuple[MachineRow, ...], list[str]]:
    """Return the machines of a CSV file, and all that is wrong with it; see ``read_csv``."""
    reader = _Reader(file, group, conversions)
    reader.read(text)
    documents = [document_text(row) for row in reader.rows]
    errors = sorted([*reader.errors, *diagnostics_of_rows(file, documents, reader.lines)])
    return tuple(reader.rows), [f"{file}:{line}: {message}" for line, message in errors]


def as_table(file: str, name: str, found: ReadMachines) -> str:
    """Return one MachineTable with all rows.

    Raises AuthoringError RW936 for rows with ``assign``: tables have no such field.
    """
    assigned = [row.name for row in found.rows if "assign" in row.values]
    if assigned:
        raise refused(
            f"{file} has", [f"{file}: {each}: a MachineTable has no assign" for each in assigned]
        )
    return table_text(converted(name) or "machines", found.rows)


def refused(subject: str, errors: Sequence[str]) -> AuthoringError:
    """Return the error that lists what is wrong; ``subject`` as in "m.csv has"."""
    shown = list(errors[:_MOST_SHOWN])
    if len(errors) > _MOST_SHOWN:
        shown.append(f"and {len(errors) - _MOST_SHOWN} more")
    listing = "\n".join(shown)
    return AuthoringError(
        "RW936",
        f"{subject} {len(errors)} error(s)\n{listing}",
        "Correct them; nothing was written",
    )


def _record(row: MachineRow) -> dict[str, str]:
    """Return the cells of a row, by column."""
    cells: dict[str, str] = {}
    for column, value in row.values.items():
        if isinstance(value, Mapping):
            cells |= {_LABEL + key: text for key, text in value.items()}
        else:
            cells[column] = _cell(value)
    return cells


def _cell(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        parts = (each if isinstance(each, str) else "=".join(each) for each in value)
        return " ".join(parts) or _EMPTY_LIST
    return "" if value is None else str(value)


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet calculates (see above)."""
    return f"'{cell}" if cell.startswith((*_CALCULATES, "'")) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith((*_CALCULATES, "'")) else cell


class _Reader:
    """Reads rows and collects all that is wrong."""

    def __init__(self, file: str, group: str, conversions: Conversions) -> None:
        self._file = file
        self._group = group
        self._conversions = conversions
        self._names: dict[str, int] = {}
        self.rows: list[MachineRow] = []
        self.lines: list[int] = []
        self.errors: list[tuple[int, str]] = []

    def read(self, text: str) -> None:
        first = text.partition("\n")[0]
        delimiter = max(_DELIMITERS, key=first.count)
        reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        line = 1
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    pass
                elif header is None:
                    header = self._header(line, cells)
                    if self.errors:
                        return
                else:
                    self._row(line, header, cells)
                line = reader.line_num + 1
        except csv.Error as error:
            self._wrong(line, f"this is not CSV: {error}")
        if header is None and not self.errors:
            self._wrong(1, "there is no header; the first line names the columns")

    def _wrong(self, line: int, message: str) -> None:
        self.errors.append((line, message))

    def _header(self, line: int, cells: list[str]) -> list[str]:
        known = {*COLUMNS, "subnet mask"}
        spelled = {column.lower(): column for column in known}
        header: list[str] = []
        for cell in cells:
            text = cell.strip()
            bare = re.sub(r"[\s_-]+", "", text).lower()
            column = text if text.startswith(_LABEL) else spelled.get(text.lower(), text.lower())
            if column not in known and not column.startswith(_LABEL):
                column = OTHER_NAMES.get(bare, spelled.get(bare, column))
            if column not in known and not column.startswith(_LABEL):
                nearest = NearestNames().find(column, known)
                hint = f"did you mean {nearest}?" if nearest else f"known: {', '.join(COLUMNS)}"
                self._wrong(line, f"unknown column {text!r}; {hint}; labels are label.KEY")
            elif column in header:
                self._wrong(line, f"the column {column} is there twice")
            header.append(column)
        for needed in ("name", "macs"):
            if needed not in header:
                self._wrong(line, f"the column {needed} is missing")
        return header

    def _row(self, line: int, header: list[str], cells: list[str]) -> None:
        if len(cells) > len(header):
            self._wrong(line, f"{len(cells)} cells, but the header has {len(header)}")
        record = {
            column: _unguarded(cell.strip()) for column, cell in zip(header, cells, strict=False)
        }
        for column, cell in list(record.items()):
            if misleading(cell):
                self._wrong(line, f"{column}: {cell!r} has characters that cannot be shown")
                record[column] = ""
        self.rows.append(self._machine(line, record))
        self.lines.append(line)

    def _machine(self, line: int, record: Mapping[str, str]) -> MachineRow:
        """Return the row; a sound value stands for each that was reported already."""
        values: dict[str, Value] = {
            column: self._value(line, column, form, record.get(column, ""))
            for column, form in _FORMS.items()
        }
        given = record.get("name", "")
        values["name"] = name = self._name(line, given)
        values["group"] = self._group_path(line, record.get("group", ""))
        values["addresses"] = self._addresses(line, record)
        was_host_name = given != name == converted(given) and is_label(given)
        values["hostname"] = values["hostname"] or (given if was_host_name else "")
        values["labels"] = {
            key.removeprefix(_LABEL): text
            for key, text in record.items()
            if key.startswith(_LABEL) and text
        }
        return machine_row(**values)

    def _value(self, line: int, column: str, form: Form, cell: str) -> Value:
        match form:
            case "list":
                return tuple(map(_ITEMS.get(column, str), cell.split()))
            case "flag":
                return self._flag(line, column, cell)
            case "assign":
                return self._assign(line, cell)
            case _:
                return cell

    def _name(self, line: int, given: str) -> str:
        if not given:
            self._wrong(line, "no name")
            return f"row-{line}"
        try:
            name = self._conversions.machine(f"{self._file}:{line}", given)
        except ConversionError as error:
            self._wrong(line, str(error))
            return f"row-{line}"
        if name in self._names:
            self._wrong(line, f"machine {given!r} is there already, in line {self._names[name]}")
            return f"row-{line}"
        self._names[name] = line
        return name

    def _group_path(self, line: int, given: str) -> str:
        if not given:
            if not self._group:
                self._wrong(line, "no group; fill the column group, or use --group")
            return self._group or "unknown"
        try:
            return self._conversions.group(f"{self._file}:{line}", given)
        except ConversionError as error:
            self._wrong(line, str(error))
            return "unknown"

    def _addresses(self, line: int, record: Mapping[str, str]) -> tuple[str, ...]:
        addresses = record.get("addresses", "").split()
        mask = record.get("subnet mask", "")
        if mask and any("/" not in address for address in addresses):
            try:
                prefix = prefix_length(mask)
            except ValueError as error:
                self._wrong(line, str(error))
            else:
                addresses = [
                    address if "/" in address else f"{address}/{prefix}" for address in addresses
                ]
        return tuple(addresses)

    def _flag(self, line: int, column: str, text: str) -> bool | None:
        if text and text.lower() not in {"true", "false"}:
            self._wrong(line, f"{column}: {text!r} is neither true nor false")
        return text.lower() == "true" if text else None

    def _assign(self, line: int, text: str) -> Assign | None:
        if not text:
            return None
        if text == _EMPTY_LIST:
            return ()
        pairs = [part.partition("=") for part in text.split()]
        if not all(name and run for name, _, run in pairs):
            self._wrong(line, f"assign: {text!r} is not a list of scenario=run")
            return None
        return tuple((name, run) for name, _, run in pairs)


def _identity(text: str) -> str:
    """Return hardware as documents have it: MAC addresses with colons, in small letters."""
    bare = text.removeprefix("mac:")
    return text.lower() if bare == text else f"mac:{_mac(bare)}"


def _mac(text: str) -> str:
    return suggestion(text) or text.lower().replace("-", ":")


_ITEMS: Mapping[str, Callable[[str], str]] = {"macs": _mac, "formerly": _identity}
"""How the items of lists are read that other systems write in several ways."""
