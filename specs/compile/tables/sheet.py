"""A CSV file of machines (RFC 4180), with the place of every cell."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from specs.compile.tables.row import PLACES
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path
from specs.diagnostics.position import Position
from specs.diagnostics.quote import quoted
from specs.fleet import MACHINE_FIELDS
from specs.kinds.machine_table import MachineRow
from specs.machine_fields import Form
from specs.validate.fields import example, fields_of
from specs.yaml.scalars import Plain

LABEL = "label."
"""What a column's name begins with that holds one label."""

_FORMS = MappingProxyType({field.column: field.said.form for field in MACHINE_FIELDS})
_REQUIRED = ("name", "macs")
_BOOLEANS = {"true": True, "false": False, "TRUE": True, "FALSE": False}
"""As people and as spreadsheets write them."""
_OTHER_SEPARATORS = (";", "\t")
_COLUMNS = frozenset(PLACES) - {"labels"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a sheet with something in it; a quoted cell may make it several."""

    line: int
    """From 0."""
    cells: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The lines of a CSV file. ``columns`` are indexes by the names that are known."""

    file: str
    lines: Sequence[str] = field(repr=False)
    header_line: int
    columns: Mapping[str, int]
    records: Sequence[Record] = field(repr=False)

    def position(self, line: int, column: int) -> Position:
        """Return where a cell begins; ``line`` is the one on which its record does."""
        return _cell_position(self.file, self.lines, line, column)

    def fields(self, record: Record) -> dict[str, Plain]:
        """Return what a record says, as a row of YAML would."""
        found: dict[str, Plain] = {}
        labels: dict[str, Plain] = {}
        for name, column in self.columns.items():
            text = record.cells[column].strip()
            if not text:
                continue
            if name.startswith(LABEL):
                labels[name.removeprefix(LABEL)] = text
            else:
                found[name] = _value(_FORMS[name], text)
        if labels:
            found["labels"] = labels
        return found


def _value(form: Form, text: str) -> Plain:
    """Return what a cell says, as a row of YAML would."""
    if form == "list":
        return tuple(text.split())
    if form == "power":
        return {"driver": text}
    return _BOOLEANS.get(text, text) if form == "flag" else text


@dataclass(frozen=True, slots=True, eq=False)
class CellPlaces:
    """Where the fields of one record are written."""

    sheet: Sheet
    record: Record

    def position(self, path: Path) -> Position:
        """Return where a field's cell begins; () and absent fields are the record."""
        return self.sheet.position(self.record.line, self._column(path) or 0)

    def key_position(self, path: Path) -> Position:
        """Return where the column's name is; of a missing field, its empty cell."""
        column = self._column(path)
        if column is None or not self.record.cells[column].strip():
            return self.sheet.position(self.record.line, column or 0)
        return self.sheet.position(self.sheet.header_line, column)

    def written(self, path: Path) -> str | None:
        """Return the text of the field's cell."""
        column = self._column(path)
        return None if column is None else self.record.cells[column].strip()

    def full_path(self, path: Path) -> Path:
        """Return the path itself: the columns are named like the fields."""
        return path

    def in_words_of_cells(self, path: Path, code: Code, message: str, hint: str) -> tuple[str, str]:
        """Return what is said about a field, which is no YAML here."""
        name, text = str(path[0]) if path else "", self.written(path) or ""
        if code == Code.MISSING_FIELD:
            shown = example(fields_of(MachineRow).get(name)).strip('[]"')
            return f"{name}: the cell is empty", f"every machine has one; for example {shown}"
        if _FORMS.get(name) == "list" and any(sign in text for sign in ";,|"):
            return message, "separate the items of a list by spaces"
        if path == ("power",):
            return message, "leave the cell empty; set power in spec.defaults or on the group"
        return message, hint.removesuffix(", in quotes")

    def _column(self, path: Path) -> int | None:
        if not path:
            return None
        if path[0] == "labels" and len(path) > 1:
            return self.sheet.columns.get(f"{LABEL}{path[1]}")
        return self.sheet.columns.get(str(path[0]))


def read_sheet(
    file: str, data: bytes, *, group_is_given: bool, diagnostics: Diagnostics, nearest: NearestNames
) -> Sheet | None:
    """Return the records of a CSV file that can be used; report whatever is wrong.

    ``group_is_given`` says that the table's defaults name a group, so that no column has to.
    None where the text cannot be read or a required column is missing.
    """
    text = _decoded(file, data, diagnostics)
    if text is None:
        return None
    lines = list(io.StringIO(text, newline=""))
    records = _records(file, lines, diagnostics)
    header = next(records, None)
    if header is None:
        diagnostics.error(
            Position(file, 1, 1),
            Code.TABLE_HEADER,
            "the file is empty",
            "its first line names the columns, for example name,macs,group",
        )
        return None
    rows = list(records)
    _drop_empty_columns(header, rows)
    columns, meant = _columns(file, lines, header, diagnostics, nearest)
    required = _REQUIRED if group_is_given else (*_REQUIRED, "group")
    missing = [name for name in required if name not in columns]
    for name in missing:
        if name in meant:
            continue
        hint = f"add it to this line: {name}"
        if name == "group":
            hint += ", or set spec.defaults.group in the table"
        diagnostics.error(
            Position(file, header.line + 1, 1),
            Code.TABLE_HEADER,
            f"the column {quoted(name)} is missing",
            hint,
        )
    if not rows and not diagnostics.has_errors:
        diagnostics.warning(
            Position(file, header.line + 1, 1),
            Code.NO_EFFECT,
            "there is no row below the columns, so the table has no machines",
            "add a row for each machine",
        )
    valid = [
        each
        for each in rows
        if _has_all_cells(file, each, header, diagnostics)
        and _has_values(file, lines, each, diagnostics)
    ]
    return None if missing else Sheet(file, lines, header.line, columns, valid)


def _decoded(file: str, data: bytes, diagnostics: Diagnostics) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        column = len(before) - before.rfind("\n")
        diagnostics.error(
            Position(file, before.count("\n") + 1, column),
            Code.TABLE_FILE,
            f"the byte 0x{error.object[error.start]:02x} is not UTF-8",
            "save the file as UTF-8; spreadsheets call it CSV UTF-8",
        )
        return None


def _records(file: str, lines: Sequence[str], diagnostics: Diagnostics) -> Iterator[Record]:
    """Yield the records that are not empty; stop with a report where quotes do not fit."""
    reader = csv.reader(lines, strict=True)
    line = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Record(line, cells)
            line = reader.line_num
    except csv.Error as error:
        diagnostics.error(
            Position(file, line + 1, 1),
            Code.TABLE_ROW,
            _CSV_ERRORS.get(str(error), f"the line is not CSV: {error}"),
            'a cell in quotes ends with a quote; a quote within it is written twice: ""',
        )


_CSV_ERRORS = {
    "unexpected end of data": "a quote begins a cell of this line and never ends",
    "',' expected after '\"'": "a cell of this line goes on behind its closing quote",
}
"""What the csv module says, in the words of somebody who looks at the line."""


def _drop_empty_columns(header: Record, rows: Sequence[Record]) -> None:
    """Take away the cells at the ends of all lines that spreadsheets save and nobody filled."""
    named = max((index for index, cell in enumerate(header.cells, 1) if cell.strip()), default=0)
    if all(not any(map(str.strip, each.cells[named:])) for each in rows):
        for record in (header, *rows):
            del record.cells[named:]


def _columns(
    file: str, lines: Sequence[str], header: Record, diagnostics: Diagnostics, nearest: NearestNames
) -> tuple[dict[str, int], frozenset[str]]:
    """Return the indexes of the columns that are known, and what the others mean; report those."""
    columns: dict[str, int] = {}
    meant: set[str] = set()
    for index, cell in enumerate(header.cells):
        name = cell.strip()
        place = _cell_position(file, lines, header.line, index)
        if name in columns:
            first = _cell_position(file, lines, header.line, columns[name])
            diagnostics.error(
                place,
                Code.TABLE_HEADER,
                f"the column {quoted(name)} is there twice, first at {first}",
                "remove one of the two",
            )
        elif name in _COLUMNS or (name.startswith(LABEL) and name != LABEL):
            columns[name] = index
        else:
            hint, names = _column_hint(name, nearest)
            meant |= names
            diagnostics.error(
                place,
                Code.TABLE_HEADER,
                f"unknown column {quoted(name)}" if name else "a column without a name",
                hint,
            )
    return columns, frozenset(meant)


def _column_hint(name: str, nearest: NearestNames) -> tuple[str, frozenset[str]]:
    """Return what helps against an unknown column, and the columns that it seems to be."""
    if any(sign in name for sign in _OTHER_SEPARATORS):
        return "separate the columns by commas", _COLUMNS
    if name == "labels":
        return f"write one column for each label: {LABEL}role", frozenset()
    if not name:
        return "remove it, or name it in this line", frozenset()
    meant = nearest.find(name, sorted(_COLUMNS))
    if meant:
        return f"did you mean {quoted(meant)}?", frozenset({meant})
    return _KNOWN_COLUMNS, frozenset()


_KNOWN_COLUMNS = f"known are: {', '.join(sorted(_COLUMNS))} and {LABEL}KEY"


def _has_all_cells(file: str, record: Record, header: Record, diagnostics: Diagnostics) -> bool:
    found, wanted = len(record.cells), len(header.cells)
    if found != wanted:
        diagnostics.error(
            Position(file, record.line + 1, 1),
            Code.TABLE_ROW,
            f"the row has {found} cells, the header has {wanted}",
            "leave a cell empty where nothing is to be said; separate the items of a list by "
            "spaces; put a cell with a comma in quotes",
        )
    return found == wanted


def _has_values(file: str, lines: Sequence[str], record: Record, diagnostics: Diagnostics) -> bool:
    """Report formulas: what a spreadsheet makes of them is not in the file."""
    formulas = [index for index, cell in enumerate(record.cells) if cell.lstrip().startswith("=")]
    for index in formulas:
        diagnostics.error(
            _cell_position(file, lines, record.line, index),
            Code.TABLE_ROW,
            f"the cell has the formula {quoted(record.cells[index].strip())}",
            "write the value itself",
        )
    return not formulas


def _cell_position(file: str, lines: Sequence[str], line: int, index: int) -> Position:
    """Return where a record's cell begins: after that many commas outside quotes."""
    in_quotes = False
    left = index
    for number in range(line, len(lines)):
        for column, character in enumerate(lines[number]):
            if left == 0:
                return Position(file, number + 1, column + 1)
            if character == '"':
                in_quotes = not in_quotes
            elif character == "," and not in_quotes:
                left -= 1
        if left == 0:
            return Position(file, number + 1, len(lines[number]) + 1)
    return Position(file, line + 1, 1)
