"""Names that point at other documents."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.quote import quoted
from specs.validate.registry import Registry
from specs.validate.resource import Resource

_Pattern = tuple[str, ...]

REFERENCES: Mapping[str, tuple[tuple[_Pattern, str], ...]] = MappingProxyType(
    {
        "Group": (
            (("spec", "windows", "holidays", "calendars", "*"), "Calendar"),
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
            (("spec", "windows", "holidays", "calendars", "*"), "Calendar"),
            (("spec", "defaults", "network"), "Network"),
            (("spec", "budgets", "groups", "*", "group"), "Group"),
            (("spec", "breaker", "groups", "*", "group"), "Group"),
            (("spec", "budgets", "networks", "*", "network"), "Network"),
            (("spec", "budgets", "scenarios", "*", "scenario"), "Scenario"),
        ),
        "Installer": ((("spec", "operatingSystem"), "OperatingSystem"),),
        "Package": ((("spec", "requires", "*"), "Package"),),
        "PackageSource": ((("spec", "schedule", "holidays", "calendars", "*"), "Calendar"),),
        "MachineTable": (
            (("spec", "defaults", "group"), "Group"),
            (("spec", "defaults", "network"), "Network"),
        ),
        "Schedule": (
            (("spec", "action", "scenario"), "Scenario"),
            (("spec", "when", "holidays", "calendars", "*"), "Calendar"),
        ),
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
_NAME = ("metadata", "name")


def check_references(
    resources: Sequence[Resource],
    registry: Registry,
    groups: frozenset[str],
    diagnostics: Diagnostics,
    nearest: NearestNames,
) -> None:
    """Report names that no document defines. ``groups`` includes those that are only parents."""
    names = _Names(resources, registry, groups)
    for resource in resources:
        for pattern, kind in REFERENCES.get(resource.kind, ()):
            for path, name in resource.values(pattern):
                if not isinstance(name, str) or registry.may_define(kind, name):
                    continue
                if kind == "Group" and name in groups:
                    continue
                diagnostics.error(
                    resource.document.position(path),
                    Code.UNKNOWN_REFERENCE,
                    f"{resource.document.shown(path)}: no {kind} is named {quoted(name)}",
                    _hint(kind, name, names.of(kind), nearest),
                )


class _Names:
    """The names that can be suggested, in order; worked out at the first mistake."""

    def __init__(
        self, resources: Sequence[Resource], registry: Registry, groups: frozenset[str]
    ) -> None:
        self._resources = resources
        self._registry = registry
        self._groups = groups
        self._known: dict[str, list[str]] = {}

    def of(self, kind: str) -> list[str]:
        """Return the names of a kind without those that were reported themselves."""
        if kind not in self._known:
            every = self._groups if kind == "Group" else self._registry.of_kind(kind)
            self._known[kind] = sorted(set(every) - self._unusable)
        return self._known[kind]

    @cached_property
    def _unusable(self) -> set[str]:
        return {each.name for each in self._resources if each.is_invalid_at(_NAME)}


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
