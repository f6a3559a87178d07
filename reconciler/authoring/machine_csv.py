"""Machines as CSV, for spreadsheets and for lists from other systems."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.authoring.checked import diagnostics_of_rows
from reconciler.authoring.conversions import converted, prefix_length
from reconciler.authoring.ids_file import IdsFile
from reconciler.authoring.imported_names import Ids, ImportedNames
from reconciler.authoring.machine_row import (
    Assign,
    MachineRow,
    Value,
    document_text,
    machine_row,
    table_text,
)
from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.spreadsheet import NotCsvError, is_changed, read, text_of, unguarded
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
    "マシン名": "name",
    "コンピュータ名": "name",
    "コンピューター名": "name",
    "表示名": "displayName",
    "macアドレス": "macs",
    "シリアル番号": "serial",
    "シリアルナンバー": "serial",
    "ホスト名": "hostname",
    "ドメイン": "domain",
    "ドメイン名": "domain",
    "ipアドレス": "addresses",
    "サブネットマスク": "subnet mask",
    "グループ": "group",
    "グループ名": "group",
    "マシングループ": "group",
    "マシングループ名": "group",
    "登録先マシングループ": "group",
    "ネットワーク": "network",
}
"""Headings of other systems (NFKC, without spaces, in lower case). Japanese ones are words of
DeploymentManager's manuals, or plain translations of the English ones."""

_LABEL = "label."
_EMPTY_LIST = "none"
_MOST_SHOWN = 100
_KNOWN = frozenset({*COLUMNS, "subnet mask"})
_SPELLED = {column.lower(): column for column in _KNOWN}
_SHOWN_NAMES = frozenset({"name", "displayName", "group"})
"""Columns in which a line break (Alt+Enter) is a space."""
_PARTS = re.compile(r"[\s,;、]+")
_is_number = re.compile(r"\d+(?:\.\d+)?E[+-]?\d+|\d{1,11}", re.IGNORECASE).fullmatch
"""Tells what is left of a MAC address in digits alone, such as 00E012345678 or 001122334455."""


@dataclass(frozen=True, slots=True)
class ReadMachines:
    """What a CSV file says, and lines for people: what was converted, and what looks wrong."""

    rows: tuple[MachineRow, ...]
    ids: Ids
    notes: tuple[str, ...] = ()

    @property
    def conversions(self) -> tuple[str, ...]:
        """Return what was converted."""
        return self.ids.lines


def csv_text(rows: Iterable[MachineRow]) -> str:
    """Return machines as CSV, with the columns that at least one of them needs."""
    records = [_record(row) for row in rows]
    labels = sorted({key for record in records for key in record if key.startswith(_LABEL)})
    used = [
        column
        for column in COLUMNS
        if column in {"name", "macs", "group"} or any(record.get(column) for record in records)
    ]
    header = [*used, *labels]
    return text_of([header, *([record.get(key, "") for key in header] for record in records)])


def read_csv(
    file: str, text: str, group: str = "", asked_for: IdsFile | None = None
) -> ReadMachines:
    """Return the machines of a CSV file; ``group`` is for rows that name none.

    Columns may be in any order. ``asked_for`` are the ids that a person chose. Raises
    AuthoringError RW936, which lists everything that is wrong with line numbers.
    """
    names = ImportedNames()
    machines = MachineList(file, text, names, group)
    ids = names.ids(asked_for)
    rows, errors = machines.rows(ids)
    if errors:
        raise refused(f"{file} has", errors)
    unused = names.unused(asked_for) if asked_for else ()
    return ReadMachines(rows, ids, (*machines.notes(), *unused))


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


class MachineList:
    """The rows of a CSV file, of which the ids are not known yet.

    Reading adds the names of machines and groups to ``names``; once all files are read,
    ``rows`` has the machines.
    """

    def __init__(self, file: str, text: str, names: ImportedNames, group: str = "") -> None:
        self._file = file
        self._group = group
        self._names = names
        self._records: list[tuple[int, dict[str, str]]] = []
        self._lines_of_names: dict[str, int] = {}
        self._errors: list[tuple[int, str]] = []
        self._emptied: set[tuple[int, str]] = set()
        """Cells that were reported and are read as empty, by line and column."""
        try:
            self._read(text)
        except NotCsvError as error:
            self._wrong(error.line, str(error))

    def rows(self, ids: Ids) -> tuple[tuple[MachineRow, ...], list[str]]:
        """Return the machines, and all that is wrong with the file."""
        made = [(line, self._machine(line, record, ids)) for line, record in self._records]
        spoiled = {line for line, message in self._errors if message.startswith("macs:")}
        checked = [(line, row) for line, row in made if line not in spoiled]
        documents = [document_text(row) for _, row in checked]
        found = diagnostics_of_rows(self._file, documents, [line for line, _ in checked])
        return tuple(row for _, row in made), [
            f"{self._file}:{line}: {message}" for line, message in sorted([*self._errors, *found])
        ]

    def notes(self) -> Iterable[str]:
        """Yield what looks as if a spreadsheet had changed it, and may be right."""
        serials = [(line, record.get("serial", "")) for line, record in self._records]
        numbers = [(line, text) for line, text in serials if text.isdecimal()]
        longest = max((len(text) for _, text in numbers), default=0)
        if any(text.startswith("0") for _, text in numbers):
            return
        for line, text in numbers:
            if len(text) < longest:
                yield (
                    f"{self._file}:{line}: the serial number {text} has {len(text)} digits, others "
                    f"have {longest}: a spreadsheet may have taken zeros away from its beginning"
                )

    def _read(self, text: str) -> None:
        header: list[str] | None = None
        for line, cells in read(text):
            if header is None:
                header = self._header(line, cells)
                if self._errors:
                    return
            else:
                self._row(line, header, cells)
        if header is None:
            self._wrong(1, "there is no header; the first line names the columns")

    def _wrong(self, line: int, message: str) -> None:
        self._errors.append((line, message))

    def _header(self, line: int, cells: list[str]) -> list[str]:
        """Return the columns in their order; empty for one without a heading."""
        header: list[str] = []
        for cell in cells:
            column = _column(cell)
            if column and column not in _KNOWN and not column.startswith(_LABEL):
                nearest = NearestNames().find(column, _KNOWN)
                hint = f"did you mean {nearest}?" if nearest else f"known: {', '.join(COLUMNS)}"
                self._wrong(line, f"unknown column {cell.strip()!r}; {hint}; labels are label.KEY")
            elif column and column in header:
                self._wrong(line, f"the column {column} is there twice")
            header.append(column)
        for needed in ("name", "macs"):
            if needed not in header:
                self._wrong(line, f"the column {needed} is missing")
        return header

    def _row(self, line: int, header: list[str], cells: list[str]) -> None:
        while len(cells) > len(header) and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(header):
            self._wrong(line, f"{len(cells)} cells, but the header has {len(header)}")
        record: dict[str, str] = {}
        for number, (column, cell) in enumerate(zip(header, cells, strict=False), 1):
            text = cell.strip()
            if column:
                record[column] = self._text(line, column, text)
            elif text:
                self._wrong(line, f"{text!r} stands in column {number}, which has no heading")
        self._records.append((line, record))
        self._add_names(line, record)

    def _text(self, line: int, column: str, cell: str) -> str:
        """Return what a cell holds; empty after a report."""
        form = _FORMS.get(column, "text")
        if form == "list":
            return " ".join(unguarded(part) for part in _PARTS.split(cell) if part)
        if form == "assign":
            cell = " ".join(cell.split())
        elif column in _SHOWN_NAMES:
            cell = " ".join(line_.strip() for line_ in cell.split("\n") if line_.strip())
        if is_changed(cell):
            self._emptied.add((line, column))
            self._wrong(
                line,
                f"{column}: {cell!r} looks like what a spreadsheet made of another text; format "
                "the column as text and enter it again, or write ' before it where it is right",
            )
            return ""
        text = unguarded(cell)
        if misleading(text):
            self._emptied.add((line, column))
            self._wrong(line, f"{column}: {text!r} has characters that cannot be shown")
            return ""
        return text

    def _add_names(self, line: int, record: dict[str, str]) -> None:
        place = f"{self._file}:{line}"
        name, group = record.get("name", ""), record.get("group", "")
        first = self._lines_of_names.setdefault(name, line)
        if not name:
            if (line, "name") not in self._emptied:
                self._wrong(line, "no name")
        elif first != line:
            self._wrong(line, f"machine {name!r} is there already, in line {first}")
            record["name"] = ""
        else:
            self._names.machine(place, name)
        if group:
            try:
                self._names.group(place, group)
            except ValueError as error:
                self._wrong(line, str(error))
                record["group"] = ""
        elif not self._group and (line, "group") not in self._emptied:
            self._wrong(line, "no group; fill the column group, or use --group")

    def _machine(self, line: int, record: Mapping[str, str], ids: Ids) -> MachineRow:
        """Return the row; a valid value stands for each that was reported already."""
        values: dict[str, Value] = {
            column: self._value(line, column, form, record.get(column, ""))
            for column, form in _FORMS.items()
        }
        given, group = record.get("name", ""), record.get("group", "")
        made = ids.machines[given] if given else f"row-{line}"
        values["name"] = made
        if given and given != made:
            values["displayName"] = values["displayName"] or given
            if is_label(given) and made not in ids.numbered:
                values["hostname"] = values["hostname"] or given
        values["group"] = ids.groups[group.strip("/")] if group else self._group or "unknown"
        values["addresses"] = self._addresses(line, record)
        values["labels"] = {
            key.removeprefix(_LABEL): text
            for key, text in record.items()
            if key.startswith(_LABEL) and text
        }
        return machine_row(**values)

    def _value(self, line: int, column: str, form: Form, cell: str) -> Value:
        match form:
            case "list":
                items = cell.split()
                if column == "macs":
                    self._refuse_numbers(line, items)
                return tuple(map(_ITEMS.get(column, str), items))
            case "flag":
                return self._flag(line, column, cell)
            case "assign":
                return self._assign(line, cell)
            case _:
                return cell

    def _refuse_numbers(self, line: int, macs: Sequence[str]) -> None:
        """Report MAC addresses that a spreadsheet took for numbers: digits are lost."""
        for text in filter(_is_number, macs):
            self._wrong(
                line,
                f"macs: {text!r} is the number that a spreadsheet made of a MAC address, and "
                "digits are lost; format the column as text and enter the address again",
            )

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


def _column(heading: str) -> str:
    """Return the column that a heading means, or the heading in lower case."""
    text = unguarded(heading.strip())
    if text.startswith(_LABEL):
        return text
    lower = unicodedata.normalize("NFKC", text).lower()
    bare = re.sub(r"[\s_-]+", "", lower)
    return _SPELLED.get(lower) or OTHER_NAMES.get(bare) or _SPELLED.get(bare) or lower


def _identity(text: str) -> str:
    """Return hardware as documents have it: MAC addresses with colons, in small letters."""
    bare = text.removeprefix("mac:")
    return text.lower() if bare == text else f"mac:{_mac(bare)}"


def _mac(text: str) -> str:
    return suggestion(text) or text.lower().replace("-", ":")


_ITEMS: Mapping[str, Callable[[str], str]] = {"macs": _mac, "formerly": _identity}
"""How the items of lists are read that other systems write in several ways."""
