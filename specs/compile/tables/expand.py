"""From machine tables to the resources of their machines."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from specs.compile.tables.row import (
    DEFAULTS,
    PLACES,
    Row,
    RowPlaces,
    as_machine,
    machine_path,
    row_path,
)
from specs.compile.tables.sheet import CellPlaces, read_sheet
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path, dotted, is_within
from specs.diagnostics.position import Position
from specs.diagnostics.quote import quoted
from specs.kinds.machine import Machine
from specs.kinds.machine_table import MachineRow, MachineTable
from specs.validate.document import remainder
from specs.validate.model_errors import ModelDiagnostic, explain
from specs.validate.resource import Resource
from specs.yaml import Document
from specs.yaml.scalars import Plain

if TYPE_CHECKING:
    from specs.kinds.metadata import Document as Model
    from specs.kinds.record import Record

_SPEC: Path = ("spec",)
_ROWS: Path = ("spec", "rows")
_CSV: Path = ("spec", "csv")
_SECTIONS = frozenset({"hardware", "identity", "metadata", "spec"})
"""Of a Machine document. What is written in one is not missing from its row."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemPlaces:
    """Where the fields of one item of ``spec.rows`` are written."""

    table: Document
    index: int

    def position(self, path: Path) -> Position:
        """Return where a field of the row is written; () is the row."""
        return self.table.position(self.full_path(path))

    def key_position(self, path: Path) -> Position:
        """Return where its name is written."""
        return self.table.key_position(self.full_path(path))

    def written(self, path: Path) -> str | None:
        """Return its text as it stands in the file, without quotes."""
        return self.table.written(self.full_path(path))

    def full_path(self, path: Path) -> Path:
        """Return the path within the table's document."""
        return (*_ROWS, self.index, *path)


class Tables:
    """Makes machines of tables; knows which CSV files were used.

    ``files`` are the CSV files of the repository by their paths; those that no table
    names are never looked at.
    """

    def __init__(
        self, files: Mapping[str, bytes], diagnostics: Diagnostics, nearest: NearestNames
    ) -> None:
        self._files = files
        self._diagnostics = diagnostics
        self._nearest = nearest
        self.used: dict[str, Position] = {}
        """The CSV files that tables named, and where."""

    def with_rows(self, resources: Iterable[Resource]) -> Iterator[Resource]:
        """Yield resources, each table followed by its machines."""
        for resource in resources:
            yield resource
            if resource.kind == "MachineTable":
                yield from self.machines(resource)

    def machines(self, table: Resource) -> Iterator[Resource]:
        """Yield the machines of a table as resources; report what is wrong with its rows."""
        document = table.document
        if not isinstance(document, Document) or not isinstance(document.data, dict):
            return
        defaults = _Defaults(table)
        rows = document.value(_ROWS)
        for index, row in enumerate(rows if isinstance(rows, tuple) else ()):
            places = ItemPlaces(document, index)
            if isinstance(row, dict):
                invalid = [
                    path[len(_ROWS) + 1 :]
                    for path in document.invalid
                    if is_within(path, places.full_path(()))
                ]
                yield self._machine(row, defaults, places, invalid)
            elif not table.is_invalid_at(places.full_path(())):
                self._report_no_mapping(places, row)
        is_usable = not any(table.is_invalid_at(path) for path in (_SPEC, _ROWS, _CSV))
        if not rows and document.value(_CSV) is None and is_usable:
            self._diagnostics.warning(
                document.position(_SPEC),
                Code.NO_EFFECT,
                "spec: the table has no machines",
                "add rows, or csv with the name of a CSV file beside this one",
            )
        yield from self._of_csv(table, document, defaults)

    def _of_csv(
        self, table: Resource, document: Document, defaults: "_Defaults"
    ) -> Iterator[Resource]:
        name = document.value(_CSV)
        if not isinstance(name, str) or table.is_invalid_at(_CSV):
            return
        file = self._file(document, name)
        if file is None:
            return
        sheet = read_sheet(
            file,
            self._files[file],
            group_is_given="group" in defaults.fields or "group" in defaults.invalid,
            diagnostics=self._diagnostics,
            nearest=self._nearest,
        )
        if sheet is not None:
            for record in sheet.records:
                places = CellPlaces(sheet, record)
                yield self._machine(sheet.fields(record), defaults, places, ())

    def _file(self, document: Document, name: str) -> str | None:
        """Return the path of the table's CSV file within the repository; None after a report."""
        place = document.position(_CSV)
        file = posixpath.normpath(posixpath.join(posixpath.dirname(document.file), name))
        if file.startswith("../") or file not in self._files:
            meant = self._nearest.find(file, sorted(self._files))
            outside = "is outside the repository" if file.startswith("../") else "does not exist"
            folder = posixpath.dirname(document.file)
            hint = (
                f"did you mean {quoted(posixpath.relpath(meant, folder or '.'))}?"
                if meant
                else (f"the path is relative to {document.file} and ends in .csv")
            )
            if not file.casefold().endswith(".csv"):
                hint = "export the spreadsheet as CSV UTF-8, and name that file"
            self._diagnostics.error(
                place, Code.TABLE_FILE, f"{dotted(_CSV)}: {quoted(file)} {outside}", hint
            )
            return None
        first = self.used.setdefault(file, place)
        if first != place:
            self._diagnostics.error(
                place,
                Code.TABLE_FILE,
                f"{dotted(_CSV)}: {quoted(file)} is already a table's at {first}",
                "its machines would exist twice; remove one of the two",
            )
            return None
        return file

    def _machine(
        self,
        fields: Mapping[str, Plain],
        defaults: "_Defaults",
        places: RowPlaces,
        invalid: Iterable[Path],
    ) -> Resource:
        row = _row(fields, defaults, places)
        name = fields.get("name")
        paths = [machine_path(path) for path in invalid]
        paths += [PLACES[field] for field in defaults.invalid if field not in fields]
        errors: list[ErrorDetails] = [
            {"type": "extra_forbidden", "loc": (key,), "msg": "", "input": fields[key]}
            for key in fields
            if key not in PLACES
        ]
        model: Model | None = None
        try:
            model = Machine.model_validate(row.data)
        except ValidationError as error:
            errors += [
                {**each, "loc": row_path(_path(each["loc"]))}
                for each in error.errors(include_url=False)
                if not any(is_within(_path(each["loc"]), known) for known in paths)
                if each["type"] != "missing" or not _SECTIONS.intersection(fields)
            ]
        if errors:
            paths += self._report(errors, row)
        if paths:
            model = remainder(Machine, row.data, paths)
        return Resource(row, "Machine", name if isinstance(name, str) else "", model, tuple(paths))

    def _report(self, errors: list[ErrorDetails], row: Row) -> Iterator[Path]:
        """Report what is wrong with a row; yield the paths within the Machine document."""
        prefix = row.places.full_path(())
        model: type[Record] = MachineTable if prefix else MachineRow
        for error in errors:
            error["loc"] = (*prefix, *error["loc"])

        def written(path: Path) -> str | None:
            return row.places.written(path[len(prefix) :])

        for diagnostic in explain(errors, model, self._nearest, written):
            yield self._place(diagnostic, row, diagnostic.path[len(prefix) :])

    def _place(self, diagnostic: ModelDiagnostic, row: Row, path: Path) -> Path:
        places = row.places
        position = places.key_position(path) if diagnostic.at_key else places.position(path)
        message, hint = diagnostic.message, diagnostic.hint
        if isinstance(places, CellPlaces):
            message, hint = places.in_words_of_cells(path, diagnostic.code, message, hint)
        self._diagnostics.error(position, diagnostic.code, message, hint)
        return machine_path(path)

    def _report_no_mapping(self, places: ItemPlaces, row: Plain) -> None:
        error: ErrorDetails = {
            "type": "model_type",
            "loc": places.full_path(()),
            "msg": "",
            "input": row,
        }
        for each in explain([error], MachineTable, self._nearest, places.table.written):
            self._diagnostics.error(places.position(()), each.code, each.message, each.hint)


class _Defaults:
    """What a table's rows have in common. ``invalid`` are the fields that were reported."""

    def __init__(self, table: Resource) -> None:
        self.table = table.document
        written = self.table.value(DEFAULTS)
        fields = dict(written) if isinstance(written, dict) else {}
        self.invalid = frozenset(
            field for field in PLACES if table.invalid and table.is_invalid_at((*DEFAULTS, field))
        )
        self.fields: dict[str, Plain] = {
            field: value
            for field, value in fields.items()
            if field in PLACES and field not in self.invalid
        }
        labels = self.fields.get("labels")
        self.labels: dict[str, Plain] = labels if isinstance(labels, dict) else {}


def _row(fields: Mapping[str, Plain], defaults: _Defaults, places: RowPlaces) -> Row:
    own = fields.get("labels")
    labels = own if isinstance(own, dict) else {}
    merged = {**defaults.fields, **fields}
    if defaults.labels and (isinstance(own, dict) or own is None):
        merged["labels"] = {**defaults.labels, **labels}
    return Row(as_machine(merged), frozenset(fields), frozenset(labels), places, defaults.table)


def _path(loc: Iterable[str | int]) -> Path:
    return tuple(part for part in loc if part != "[key]")
