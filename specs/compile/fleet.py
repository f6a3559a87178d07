"""Compiling a revision: from the bytes of its files to a fleet, or to all that is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from specs.compile.assignments import check_assignments
from specs.compile.context import CompileContext
from specs.compile.enrollment_rules import compile_enrollment_rules
from specs.compile.file import InvalidFileError
from specs.compile.group_tree import GroupTree, fleet_defaults
from specs.compile.machines import compile_machines
from specs.compile.networks import compile_networks
from specs.compile.package_sources import compile_package_sources
from specs.compile.packages import compile_packages
from specs.compile.references import check_references
from specs.compile.rollouts import compile_rollouts, selectors_of_waves
from specs.compile.scenarios import compile_images, compile_scenarios
from specs.compile.schedules import compile_schedules
from specs.compile.selectors import (
    compile_holds,
    selectors_of_documents,
    warn_of_unmatched,
)
from specs.compile.settings import compile_settings
from specs.compile.tables.expand import Tables
from specs.compile.targets import compile_targets
from specs.compile.uniqueness import check_uniqueness
from specs.compile.unsupported import unsupported_documents
from specs.compile.update_policies import compile_update_policies
from specs.compile.waits import compile_waits
from specs.compile.windows import compile_windows
from specs.compile.written_images import check_written_images
from specs.desired_state import is_desired_state, is_table
from specs.diagnostics.diagnostic import Diagnostic, Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledCommits, CompiledFleet, CompiledMachine
from specs.validate.document import define
from specs.validate.registry import Registry
from specs.validate.resource import Resource
from specs.yaml import load_file


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What a revision says. ``fleet`` is None when one of the problems is an error."""

    fleet: CompiledFleet | None
    diagnostics: tuple[Diagnostic, ...]
    """By file, line and column."""
    context: CompileContext = field(compare=False, repr=False)
    """Every document, and what machines are compiled against."""


class CompiledContext(NamedTuple):
    """What all documents but the machines mean."""

    fleet: CompiledFleet
    """Without a machine."""
    context: CompileContext
    """What machines are compiled against."""
    warnings: tuple[Diagnostic, ...]


def compile_fleet(files: Mapping[str, bytes], revision: str) -> CompileResult:
    """Return the fleet that the files describe, or None and every problem they have.

    ``files`` maps paths within the repository to content; those that are not
    desired state are ignored, and so are CSV files that no MachineTable names.
    ``revision`` names the content for people. Never raises because of what the files hold.
    """
    read = sorted(filter(is_desired_state, files))
    documents = [file for file in read if not is_table(file)]
    tables = {file: files[file] for file in read if is_table(file)}
    resources: list[Resource] = []
    unreadable: list[str] = []
    diagnostics = Diagnostics()
    nearest = NearestNames()
    for file in documents:
        loaded = load_file(file, files[file])
        diagnostics.extend(loaded.diagnostics)
        unreadable += loaded.unreadable
        resources += [define(document, diagnostics, nearest) for document in loaded.documents]
    resources = list(Tables(tables, diagnostics, nearest).with_rows(resources))
    registry = Registry(resources, unreadable, diagnostics)
    context = _context(registry, diagnostics)
    check_references(resources, registry, context.groups, diagnostics, nearest)
    check_assignments(resources, diagnostics)
    check_uniqueness(registry.of_kind("Machine").values(), diagnostics)
    machines = compile_machines(registry.of_kind("Machine"), context, diagnostics)
    check_written_images(machines.values(), context.written_images, diagnostics)
    if not diagnostics.has_errors:
        unmatched = context.unmatched(context.selector_counts(machines.values()))
        warn_of_unmatched(unmatched, machines, context.groups, diagnostics, nearest)
    fleet = _fleet(revision, context, machines, diagnostics)
    compiled = None if diagnostics.has_errors else fleet
    return CompileResult(compiled, diagnostics.in_order(), context)


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
    is_invalid = any(each.invalid or each.model is None for each in fleets.values())
    return (
        None
        if diagnostics.has_errors or is_invalid
        else compile_settings(fleets, diagnostics).commits
    )


def compile_context(resources: Sequence[Resource]) -> CompiledContext:
    """Return what all documents but the machines mean.

    InvalidFileError where there is an error: ``compile_fleet`` puts it into words.
    """
    diagnostics = Diagnostics()
    registry = Registry(resources, (), diagnostics)
    context = _context(registry, diagnostics)
    check_references(resources, registry, context.groups, diagnostics, NearestNames())
    check_assignments(resources, diagnostics)
    fleet = _fleet("", context, {}, diagnostics)
    if diagnostics.has_errors:
        raise InvalidFileError("a document has an error")
    return CompiledContext(fleet, context, diagnostics.in_order())


def _context(registry: Registry, diagnostics: Diagnostics) -> CompileContext:
    tree = GroupTree(registry.of_kind("Group"), registry, fleet_defaults(registry.of_kind("Fleet")))
    return CompileContext(
        registry=registry,
        tree=tree,
        networks=compile_networks(registry.of_kind("Network"), diagnostics),
        targets=compile_targets(registry.of_kind("Scenario"), tree.names),
        selectors=(
            *selectors_of_documents(registry, tree.names),
            *selectors_of_waves(registry, tree.names),
        ),
    )


def _fleet(
    revision: str,
    context: CompileContext,
    machines: Mapping[str, CompiledMachine],
    diagnostics: Diagnostics,
) -> CompiledFleet:
    of_kind = context.registry.of_kind
    return CompiledFleet(
        revision=revision,
        settings=compile_settings(of_kind("Fleet"), diagnostics),
        networks=context.networks,
        groups=context.tree.names,
        group_display_names=context.tree.display_names(),
        scenarios=compile_scenarios(of_kind("Scenario"), diagnostics),
        images=compile_images(of_kind("Image")),
        packages=compile_packages(of_kind("Package"), diagnostics),
        machines=machines,
        holds=compile_holds(context.selectors),
        enrollment_rules=compile_enrollment_rules(
            of_kind("EnrollmentRule"), context.tree, diagnostics
        ),
        unsupported=unsupported_documents(context.registry),
        waits=compile_waits(context.registry),
        windows=compile_windows(context.registry),
        rollouts=compile_rollouts(context.registry),
        schedules=compile_schedules(context.selectors, context.registry),
        update_policies=compile_update_policies(context.registry),
        package_sources=compile_package_sources(context.registry),
    )
