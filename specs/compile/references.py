"""Names that point at other documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from specs.diagnostics.codes import Code
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.quote import quoted
from specs.kinds import KINDS
from specs.validate.registry import Registry
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.kinds.machine import Machine

_Pattern = tuple[str, ...]

REFERENCES: Mapping[str, tuple[tuple[_Pattern, str], ...]] = MappingProxyType(
    {
        "Group": (
            (("spec", "network"), "Network"),
            (("spec", "assign", "*", "scenario"), "Scenario"),
        ),
        "Machine": (
            (("spec", "group"), "Group"),
            (("spec", "network"), "Network"),
            (("spec", "assign", "*", "scenario"), "Scenario"),
        ),
        "EnrollmentRule": ((("spec", "network"), "Network"),),
        "Fleet": (
            (("spec", "defaults", "network"), "Network"),
            (("spec", "budgets", "groups", "*", "group"), "Group"),
        ),
        "Installer": ((("spec", "operatingSystem"), "OperatingSystem"),),
        "Package": ((("spec", "requires", "*"), "Package"),),
        "MachineTable": (
            (("spec", "defaults", "group"), "Group"),
            (("spec", "defaults", "network"), "Network"),
        ),
        "Schedule": ((("spec", "action", "scenario"), "Scenario"),),
        "UpdatePolicy": ((("spec", "packages", "*"), "Package"),),
        "Scenario": (
            (("spec", "steps", "*", "backup", "image"), "Image"),
            (("spec", "steps", "*", "restore", "image"), "Image"),
            (("spec", "steps", "*", "install", "installer"), "Installer"),
            (("spec", "steps", "*", "packages", "install", "*"), "Package"),
        ),
    }
)
"""Where each kind refers to which other; ``*`` stands for every item of a list."""

_MOST_LISTED = 5


def references_of(machine: "Machine") -> Iterator[tuple[str, str]]:
    """Yield the kinds and names that a sound machine refers to, as ``REFERENCES`` has them.

    By itself, since a fleet has many machines, and most name nothing but their group.
    """
    spec = machine.spec
    yield "Group", spec.group
    if spec.network is not None:
        yield "Network", spec.network
    for assignment in spec.assign or ():
        yield "Scenario", assignment.scenario


def check_references(
    resources: Sequence[Resource],
    registry: Registry,
    groups: Iterable[str],
    diagnostics: Diagnostics,
    nearest: NearestNames,
) -> None:
    """Report names that no document defines. ``groups`` includes those that are only parents."""
    known = {kind: set(registry.of_kind(kind)) for kind in KINDS}
    known["Group"] = set(groups)
    unusable = {each.name for each in resources if each.is_invalid_at(("metadata", "name"))}
    for resource in resources:
        for pattern, kind in REFERENCES.get(resource.kind, ()):
            for path, name in resource.values(pattern):
                if not isinstance(name, str) or name in known[kind]:
                    continue
                if registry.may_define(kind, name):
                    continue
                diagnostics.error(
                    resource.document.position(path),
                    Code.UNKNOWN_REFERENCE,
                    f"{resource.document.shown(path)}: no {kind} is named {quoted(name)}",
                    _hint(kind, name, sorted(known[kind] - unusable), nearest),
                )


def _hint(kind: str, name: str, known: list[str], nearest: NearestNames) -> str:
    meant = nearest.find(name, known)
    if meant:
        return f"did you mean {quoted(meant)}?"
    if not known:
        return f"add {_one(kind)} document; there is none"
    if len(known) <= _MOST_LISTED:
        return f"known are: {', '.join(known)}"
    return f"add {_one(kind)} document or correct the name"


def _one(kind: str) -> str:
    return f"an {kind}" if kind[0] in "AEIOU" else f"a {kind}"
