"""Compiling the machines of one file without the other files.

What a machine means depends on its own document and on everything that is no machine:
groups, networks, scenarios. It never depends on another machine, except that some
values must not be used twice, which ``unique_keys`` names. So what a file's machines are
is a pure function of the file and of a context, which can be kept, and worked out by
several processes. The fleet is what all files give together.

Only valid files are answered for. Whatever else is met is an ``InvalidFileError``: whoever
asked calls ``compile_fleet`` instead, which finds the problem again and puts it into words.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from specs.compile.assignments import check_assignments
from specs.compile.context import CompileContext
from specs.compile.machines import compile_machines
from specs.compile.references import check_references
from specs.compile.tables.expand import Tables
from specs.compile.uniqueness import properties
from specs.diagnostics.diagnostic import Diagnostic, Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledMachine
from specs.validate.document import define
from specs.validate.resource import Resource
from specs.yaml import Document, LoadedFile, Section, load_file, load_section

_OF_ITS_FILE = frozenset({"Machine", "MachineTable"})
"""The kinds that concern no document of another file."""


class InvalidFileError(Exception):
    """Something in these documents is wrong, or needs a look at the whole fleet."""


class ReadFile(NamedTuple):
    """The documents of a valid file."""

    machines: tuple[Resource, ...]
    """Machines, and tables of them."""
    others: tuple[Section, ...]
    """The lines of all other documents, which belong to the context."""
    warnings: tuple[Diagnostic, ...]


class CompiledFile(NamedTuple):
    """What the machines of one file are."""

    machines: tuple[CompiledMachine, ...]
    unique_keys: tuple[str, ...]
    """What no other file may have too."""
    selected: tuple[int, ...]
    """How many of the machines each selector of the context means."""
    warnings: tuple[Diagnostic, ...]


def read_file(file: str, data: bytes) -> ReadFile:
    """Return what a file holds; InvalidFileError where one of its documents has an error."""
    loaded = load_file(file, data)
    diagnostics = Diagnostics()
    machines: list[Resource] = []
    others: list[Section] = []
    for resource in _define([loaded], diagnostics):
        if resource.kind in _OF_ITS_FILE:
            machines.append(resource)
        elif isinstance(resource.document, Document):
            others.append(resource.document.own_section)
    return ReadFile(tuple(machines), tuple(others), diagnostics.in_order())


def read_sections(sections: Iterable[Section]) -> list[Resource]:
    """Return what the sections define that ``read_file`` found; its warnings are known by then."""
    return list(_define(map(load_section, sections), Diagnostics()))


def compile_file(
    read: ReadFile, context: CompileContext, tables: Mapping[str, bytes]
) -> CompiledFile:
    """Return the machines of one file; InvalidFileError where one of them has an error.

    ``tables`` are the CSV files of the repository.
    """
    diagnostics = Diagnostics()
    nearest = NearestNames()
    csv = Tables(tables, diagnostics, nearest)
    resources = list(csv.with_rows(read.machines))
    check_references(resources, context.registry, context.groups, diagnostics, nearest)
    check_assignments(resources, diagnostics)
    by_name = {each.name: each for each in resources if each.kind == "Machine"}
    machines = compile_machines(by_name, context, diagnostics)
    if diagnostics.has_errors:
        raise InvalidFileError("a machine has an error")
    keys = [key for each in resources for key in _unique_keys(each)]
    written = context.written_images
    return CompiledFile(
        machines=tuple(machines.values()),
        unique_keys=(
            *keys,
            *(f"CSV {path}" for path in csv.used),
            *(f"image {name}" for each in machines.values() for name in written.of(each)),
        ),
        selected=context.selector_counts(machines.values()),
        warnings=(*read.warnings, *diagnostics.in_order()),
    )


def _define(files: Iterable[LoadedFile], diagnostics: Diagnostics) -> Iterator[Resource]:
    nearest = NearestNames()
    for loaded in files:
        diagnostics.extend(loaded.diagnostics)
        for document in loaded.documents:
            yield define(document, diagnostics, nearest)
        if loaded.unreadable or diagnostics.has_errors:
            raise InvalidFileError("a document has an error")


def _unique_keys(resource: Resource) -> Iterator[str]:
    yield f"{resource.kind} {resource.name}"
    if resource.kind == "Machine":
        for noun, value, _ in properties(resource):
            yield f"{noun} {value}"
