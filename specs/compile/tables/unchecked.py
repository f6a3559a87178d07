"""Rows of tables as they are written: to compare two revisions, not to compile one."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from specs.compile.tables.expand import ItemPlaces
from specs.compile.tables.row import DEFAULTS, Row, RowPlaces, as_machine
from specs.compile.tables.sheet import CellPlaces, Record, Sheet, read_sheet
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.yaml import Document, Section
from specs.yaml.scalars import Plain
from specs.yaml.source_map import SourceMap

NO_TABLE = Document({}, frozenset(), Section("", "", 0), 0, 0, 0, {})
"""Stands for a table whose own document is not looked at."""


def rows_of_document(table: Document) -> Iterator[tuple[str, Callable[[], SourceMap]]]:
    """Yield the names of the rows that a table's document has, and what makes each a Machine."""
    rows = table.value(("spec", "rows"))
    for index, row in enumerate(rows if isinstance(rows, tuple) else ()):
        if isinstance(row, dict) and isinstance(name := row.get("name"), str):
            yield name, partial(_machine, row, ItemPlaces(table, index), table)


def rows_of_csv(
    file: str, data: bytes, table: Document = NO_TABLE
) -> Iterator[tuple[str, Callable[[], SourceMap]]]:
    """Yield the names of the rows that a CSV file has, and what makes each a Machine.

    With the defaults of a table; nothing where the file cannot be read.
    """
    sheet = read_sheet(
        file, data, group_is_given=True, diagnostics=Diagnostics(), nearest=NearestNames()
    )
    if sheet is not None:
        column = sheet.columns["name"]
        for record in sheet.records:
            yield record.cells[column].strip(), partial(_cells, sheet, record, table)


def _cells(sheet: Sheet, record: Record, table: Document) -> SourceMap:
    return _machine(sheet.fields(record), CellPlaces(sheet, record), table)


def _machine(fields: Mapping[str, Plain], places: RowPlaces, table: Document) -> SourceMap:
    written = table.value(DEFAULTS)
    defaults = written if isinstance(written, dict) else {}
    own, common = fields.get("labels"), defaults.get("labels")
    labels = own if isinstance(own, dict) else {}
    merged = {**defaults, **fields}
    if isinstance(common, dict):
        merged["labels"] = {**common, **labels}
    return Row(as_machine(merged), frozenset(fields), frozenset(labels), places, table)
