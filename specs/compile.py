"""Compiling a revision: from the bytes of its files to a fleet, or to all that is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from specs.compiled import CompiledCommits, CompiledFleet, CompiledMachine
from specs.define import define
from specs.definition import Definition
from specs.desired_state import is_desired_state, is_table
from specs.library import Library
from specs.machine_context import MachineContext, UnsoundPartError, machine_context
from specs.nearest import NearestNames
from specs.problem import Problem
from specs.problems import Problems
from specs.references import check_references
from specs.resolve.assignments import check_assignments
from specs.resolve.enrollment_rules import compile_enrollment_rules
from specs.resolve.group_tree import GroupTree, fleet_defaults
from specs.resolve.machines import compile_machines
from specs.resolve.networks import compile_networks
from specs.resolve.scenario_targets import compile_targets
from specs.resolve.scenarios import compile_images, compile_scenarios
from specs.resolve.selectors import (
    compile_holds,
    selectors_of_documents,
    warn_of_unmatched,
)
from specs.resolve.settings import compile_settings
from specs.resolve.surroundings import Surroundings
from specs.resolve.unsupported import unsupported_documents
from specs.source import LoadedFile, load_file, load_files
from specs.table.expand import Tables
from specs.uniqueness import check_uniqueness

NO_TABLES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What a revision says. ``fleet`` is None when one of the problems is an error."""

    fleet: CompiledFleet | None
    problems: tuple[Problem, ...]
    """By file, line and column."""


def compile_fleet(files: Mapping[str, bytes], revision: str) -> CompileResult:
    """Return the fleet that the files describe, or None and every problem they have.

    ``files`` maps paths within the repository to content; those that are not
    desired state are ignored. ``revision`` names the content for people. Never
    raises because of what the files hold.
    """
    read = sorted(filter(is_desired_state, files))
    loaded = load_files((file, files[file]) for file in read if not is_table(file))
    return compile_loaded(loaded, revision, {file: files[file] for file in read if is_table(file)})


def may_hold_fleet(content: bytes) -> bool:
    """Tell whether a file can hold a Fleet document, without parsing it.

    YAML cannot write the word in other bytes than these but with an escape.
    """
    return b"Fleet" in content or b"\\" in content


def compile_commits(files: Mapping[str, bytes]) -> CompiledCommits | None:
    """Return by whom the commits after these files must be signed; None where they do not say.

    Only the Fleet document is looked at, so that many revisions can be asked; None
    means that something is wrong with it.
    """
    problems = Problems()
    nearest = NearestNames()
    definitions: list[Definition] = []
    for file in sorted(files):
        if is_desired_state(file) and not is_table(file) and may_hold_fleet(files[file]):
            loaded = load_file(file, files[file])
            problems.extend(loaded.problems)
            found = (define(document, Problems(), nearest) for document in loaded.documents)
            definitions += [each for each in found if each.kind == "Fleet"]
    fleets = Library(definitions, (), problems).of_kind("Fleet")
    unsound = any(each.broken or each.model is None for each in fleets.values())
    return None if problems.has_errors or unsound else compile_settings(fleets, problems).commits


def compile_loaded(
    loaded: Iterable[LoadedFile], revision: str, tables: Mapping[str, bytes] = NO_TABLES
) -> CompileResult:
    """Return what files mean together that were loaded before, in the order of their names.

    ``tables`` are the CSV files; those that no MachineTable names are ignored.
    """
    definitions: list[Definition] = []
    unreadable: list[str] = []
    problems = Problems()
    nearest = NearestNames()
    for file in loaded:
        problems.extend(file.problems)
        unreadable += file.unreadable
        definitions += [define(document, problems, nearest) for document in file.documents]
    definitions = _with_rows(definitions, Tables(tables, problems, nearest))
    parts = _Parts(definitions, unreadable, problems)
    library, tree = parts.library, parts.tree
    check_references(definitions, library, tree.names, problems, nearest)
    check_assignments(definitions, problems)
    check_uniqueness(library.of_kind("Machine").values(), problems)
    surroundings = parts.surroundings(problems)
    machines = compile_machines(library.of_kind("Machine"), surroundings, problems)
    if not problems.has_errors:
        unmatched = surroundings.unmatched(surroundings.selector_counts(machines.values()))
        warn_of_unmatched(unmatched, machines, tree.names, problems, nearest)
    fleet = parts.fleet(revision, surroundings, machines, problems)
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


def compile_surroundings(
    definitions: Sequence[Definition], problems: Problems, revision: str
) -> tuple[CompiledFleet, MachineContext]:
    """Return the fleet that sound documents make without its machines, and what these need.

    ``definitions`` are all but the machines. UnsoundPartError when there is an error:
    ``compile_fleet`` puts it into words.
    """
    if any(definition.broken or definition.model is None for definition in definitions):
        raise UnsoundPartError("a document is not sound")
    parts = _Parts(definitions, (), problems)
    check_references(definitions, parts.library, parts.tree.names, problems, NearestNames())
    check_assignments(definitions, problems)
    surroundings = parts.surroundings(problems)
    fleet = parts.fleet(revision, surroundings, {}, problems)
    if problems.has_errors:
        raise UnsoundPartError("the documents have an error")
    return fleet, machine_context(parts.library, parts.tree, surroundings)


class _Parts:
    """The documents of a revision, and the fleet that they make."""

    def __init__(
        self, definitions: Sequence[Definition], unreadable: Sequence[str], problems: Problems
    ) -> None:
        self.library = Library(definitions, unreadable, problems)
        root = fleet_defaults(self.library.of_kind("Fleet"))
        self.tree = GroupTree(self.library.of_kind("Group"), self.library, root)

    def surroundings(self, problems: Problems) -> Surroundings:
        """Return what machines are compiled against."""
        return Surroundings(
            tree=self.tree,
            networks=compile_networks(self.library.of_kind("Network"), problems),
            targets=compile_targets(self.library.of_kind("Scenario"), self.tree.names),
            selectors=selectors_of_documents(self.library, self.tree.names),
        )

    def fleet(
        self,
        revision: str,
        surroundings: Surroundings,
        machines: Mapping[str, CompiledMachine],
        problems: Problems,
    ) -> CompiledFleet:
        """Return the fleet."""
        of_kind = self.library.of_kind
        return CompiledFleet(
            revision=revision,
            settings=compile_settings(of_kind("Fleet"), problems),
            networks=surroundings.networks,
            groups=self.tree.names,
            scenarios=compile_scenarios(of_kind("Scenario"), problems),
            images=compile_images(of_kind("Image")),
            machines=machines,
            holds=compile_holds(surroundings.selectors),
            enrollment_rules=compile_enrollment_rules(
                of_kind("EnrollmentRule"), self.tree, problems
            ),
            unsupported=unsupported_documents(self.library),
        )
