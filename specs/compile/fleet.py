"""Compiling a revision: from the bytes of its files to a fleet, or to all that is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from specs.compile.assignments import check_assignments
from specs.compile.context import Surroundings
from specs.compile.enrollment_rules import compile_enrollment_rules
from specs.compile.group_tree import GroupTree, fleet_defaults
from specs.compile.machine_context import InvalidPartError, MachineContext, machine_context
from specs.compile.machines import compile_machines
from specs.compile.networks import compile_networks
from specs.compile.references import check_references
from specs.compile.scenario_targets import compile_targets
from specs.compile.scenarios import compile_images, compile_scenarios
from specs.compile.selectors import (
    compile_holds,
    selectors_of_documents,
    warn_of_unmatched,
)
from specs.compile.settings import compile_settings
from specs.compile.tables.expand import Tables
from specs.compile.uniqueness import check_uniqueness
from specs.compile.unsupported import unsupported_documents
from specs.desired_state import is_desired_state, is_table
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.diagnostic import Diagnostic
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledCommits, CompiledFleet, CompiledMachine
from specs.validate.document import define
from specs.validate.registry import Registry
from specs.validate.resource import Resource
from specs.yaml import LoadedFile, load_file, load_files

NO_TABLES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What a revision says. ``fleet`` is None when one of the problems is an error."""

    fleet: CompiledFleet | None
    diagnostics: tuple[Diagnostic, ...]
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
    diagnostics = Diagnostics()
    nearest = NearestNames()
    resources: list[Resource] = []
    for file in sorted(files):
        if is_desired_state(file) and not is_table(file) and may_hold_fleet(files[file]):
            loaded = load_file(file, files[file])
            diagnostics.extend(loaded.diagnostics)
            found = (define(document, Diagnostics(), nearest) for document in loaded.documents)
            resources += [each for each in found if each.kind == "Fleet"]
    fleets = Registry(resources, (), diagnostics).of_kind("Fleet")
    unsound = any(each.invalid or each.model is None for each in fleets.values())
    return (
        None if diagnostics.has_errors or unsound else compile_settings(fleets, diagnostics).commits
    )


def compile_loaded(
    loaded: Iterable[LoadedFile], revision: str, tables: Mapping[str, bytes] = NO_TABLES
) -> CompileResult:
    """Return what files mean together that were loaded before, in the order of their names.

    ``tables`` are the CSV files; those that no MachineTable names are ignored.
    """
    resources: list[Resource] = []
    unreadable: list[str] = []
    diagnostics = Diagnostics()
    nearest = NearestNames()
    for file in loaded:
        diagnostics.extend(file.diagnostics)
        unreadable += file.unreadable
        resources += [define(document, diagnostics, nearest) for document in file.documents]
    resources = _with_rows(resources, Tables(tables, diagnostics, nearest))
    parts = _Parts(resources, unreadable, diagnostics)
    registry, tree = parts.registry, parts.tree
    check_references(resources, registry, tree.names, diagnostics, nearest)
    check_assignments(resources, diagnostics)
    check_uniqueness(registry.of_kind("Machine").values(), diagnostics)
    surroundings = parts.surroundings(diagnostics)
    machines = compile_machines(registry.of_kind("Machine"), surroundings, diagnostics)
    if not diagnostics.has_errors:
        unmatched = surroundings.unmatched(surroundings.selector_counts(machines.values()))
        warn_of_unmatched(unmatched, machines, tree.names, diagnostics, nearest)
    fleet = parts.fleet(revision, surroundings, machines, diagnostics)
    return CompileResult(None if diagnostics.has_errors else fleet, diagnostics.in_order())


def _with_rows(resources: list[Resource], tables: Tables) -> list[Resource]:
    """Return the definitions, each table followed by its machines."""
    if not any(resource.kind == "MachineTable" for resource in resources):
        return resources
    every: list[Resource] = []
    for resource in resources:
        every.append(resource)
        if resource.kind == "MachineTable":
            every += tables.machines(resource)
    return every


def compile_surroundings(
    resources: Sequence[Resource], diagnostics: Diagnostics, revision: str
) -> tuple[CompiledFleet, MachineContext]:
    """Return the fleet that sound documents make without its machines, and what these need.

    ``resources`` are all but the machines. UnsoundPartError when there is an error:
    ``compile_fleet`` puts it into words.
    """
    if any(resource.invalid or resource.model is None for resource in resources):
        raise InvalidPartError("a document is not sound")
    parts = _Parts(resources, (), diagnostics)
    check_references(resources, parts.registry, parts.tree.names, diagnostics, NearestNames())
    check_assignments(resources, diagnostics)
    surroundings = parts.surroundings(diagnostics)
    fleet = parts.fleet(revision, surroundings, {}, diagnostics)
    if diagnostics.has_errors:
        raise InvalidPartError("the documents have an error")
    return fleet, machine_context(parts.registry, parts.tree, surroundings)


class _Parts:
    """The documents of a revision, and the fleet that they make."""

    def __init__(
        self, resources: Sequence[Resource], unreadable: Sequence[str], diagnostics: Diagnostics
    ) -> None:
        self.registry = Registry(resources, unreadable, diagnostics)
        root = fleet_defaults(self.registry.of_kind("Fleet"))
        self.tree = GroupTree(self.registry.of_kind("Group"), self.registry, root)

    def surroundings(self, diagnostics: Diagnostics) -> Surroundings:
        """Return what machines are compiled against."""
        return Surroundings(
            tree=self.tree,
            networks=compile_networks(self.registry.of_kind("Network"), diagnostics),
            targets=compile_targets(self.registry.of_kind("Scenario"), self.tree.names),
            selectors=selectors_of_documents(self.registry, self.tree.names),
        )

    def fleet(
        self,
        revision: str,
        surroundings: Surroundings,
        machines: Mapping[str, CompiledMachine],
        diagnostics: Diagnostics,
    ) -> CompiledFleet:
        """Return the fleet."""
        of_kind = self.registry.of_kind
        return CompiledFleet(
            revision=revision,
            settings=compile_settings(of_kind("Fleet"), diagnostics),
            networks=surroundings.networks,
            groups=self.tree.names,
            group_display_names=self.tree.display_names(),
            scenarios=compile_scenarios(of_kind("Scenario"), diagnostics),
            images=compile_images(of_kind("Image")),
            machines=machines,
            holds=compile_holds(surroundings.selectors),
            enrollment_rules=compile_enrollment_rules(
                of_kind("EnrollmentRule"), self.tree, diagnostics
            ),
            unsupported=unsupported_documents(self.registry),
        )
