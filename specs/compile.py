"""Compiling a revision: from the bytes of its files to a fleet, or to all that is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from specs.compiled import CompiledFleet
from specs.define import define
from specs.definition import Definition
from specs.library import Library
from specs.nearest import NearestNames
from specs.problem import Problem
from specs.problems import Problems
from specs.references import check_references
from specs.resolve.assignments import check_assignments
from specs.resolve.enrollment_rules import compile_enrollment_rules
from specs.resolve.group_tree import GroupTree, fleet_defaults
from specs.resolve.machines import Surroundings, compile_machines
from specs.resolve.networks import compile_networks
from specs.resolve.scenarios import compile_images, compile_scenarios
from specs.resolve.selectors import (
    compile_holds,
    matched,
    selectors_of_documents,
    warn_of_unmatched,
)
from specs.resolve.settings import compile_settings
from specs.resolve.targets import compile_targets, without_machines
from specs.resolve.unsupported import unsupported_documents
from specs.source import LoadedFile, load_file
from specs.table.expand import Tables
from specs.uniqueness import check_uniqueness

SUFFIXES = frozenset({".yaml", ".yml", ".csv"})
NO_TABLES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What a revision says. ``fleet`` is None when one of the problems is an error."""

    fleet: CompiledFleet | None
    problems: tuple[Problem, ...]
    """By file, line and column."""


def is_desired_state(file: str) -> bool:
    """Return whether a file of the repository is read: YAML or CSV, not in a hidden place.

    Whatever begins with a dot (``.github/workflows/ci.yaml``) belongs to other tools.
    """
    path = PurePosixPath(file)
    if any(part.startswith(".") for part in path.parts):
        return False
    return path.suffix in SUFFIXES


def is_table(file: str) -> bool:
    """Return whether a file is CSV, which only counts where a MachineTable names it."""
    return file.endswith(".csv")


def compile_fleet(files: Mapping[str, bytes], revision: str) -> CompileResult:
    """Return the fleet that the files describe, or None and every problem they have.

    ``files`` maps paths within the repository to content; those that are not
    desired state are ignored. ``revision`` names the content for people. Never
    raises because of what the files hold.
    """
    read = sorted(filter(is_desired_state, files))
    loaded = [load_file(file, files[file]) for file in read if not is_table(file)]
    return compile_loaded(loaded, revision, {file: files[file] for file in read if is_table(file)})


def compile_loaded(
    loaded: Iterable[LoadedFile], revision: str, tables: Mapping[str, bytes] = NO_TABLES
) -> CompileResult:
    """Return what files mean together that were loaded before, in the order of their names.

    ``tables`` are the CSV files; those that no MachineTable names are ignored.
    """
    problems = Problems()
    nearest = NearestNames()
    definitions: list[Definition] = []
    unreadable: list[str] = []
    for file in loaded:
        problems.extend(file.problems)
        unreadable += file.unreadable
        definitions += [define(document, problems, nearest) for document in file.documents]
    definitions = _with_rows(definitions, Tables(tables, problems, nearest))
    library = Library(definitions, unreadable, problems)
    root = fleet_defaults(library.of_kind("Fleet"))
    tree = GroupTree(library.of_kind("Group"), library, root)
    check_references(definitions, library, tree.names, problems, nearest)
    check_assignments(definitions, problems)
    check_uniqueness(library.of_kind("Machine").values(), problems)
    fleet = _compiled(library, tree, problems, revision, nearest)
    return CompileResult(None if problems.has_errors else fleet, problems.in_order())


def _with_rows(definitions: list[Definition], tables: Tables) -> list[Definition]:
    """Return the definitions, each table followed by its machines."""
    if not any(definition.kind == "MachineTable" for definition in definitions):
        return definitions
    every: list[Definition] = []
    for definition in definitions:
        every.append(definition)
        if definition.kind == "MachineTable":
            every += tables.machines(definition)
    return every


def _compiled(
    library: Library, tree: GroupTree, problems: Problems, revision: str, nearest: NearestNames
) -> CompiledFleet:
    networks = compile_networks(library.of_kind("Network"), problems)
    targets = compile_targets(library.of_kind("Scenario"), tree.names)
    surroundings = Surroundings(tree, networks, targets)
    machines = compile_machines(library.of_kind("Machine"), surroundings, problems)
    selected = matched(selectors_of_documents(library, tree.names), machines.values())
    if not problems.has_errors:
        unmatched = [each for each, names in selected.items() if not names]
        unmatched += without_machines(targets, machines.values())
        warn_of_unmatched(unmatched, machines, tree.names, problems, nearest)
    return CompiledFleet(
        revision=revision,
        settings=compile_settings(library.of_kind("Fleet"), problems),
        networks=networks,
        groups=tree.names,
        scenarios=compile_scenarios(library.of_kind("Scenario"), problems),
        images=compile_images(library.of_kind("Image")),
        machines=machines,
        holds=compile_holds(selected),
        enrollment_rules=compile_enrollment_rules(
            library.of_kind("EnrollmentRule"), tree, problems
        ),
        unsupported=unsupported_documents(library),
    )
