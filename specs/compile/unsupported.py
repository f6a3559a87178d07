"""Documents that are valid, but that nothing here acts on yet."""

from specs.compile.effects import EFFECTS, blocking
from specs.fleet import UnsupportedDocument
from specs.kinds.package import Package
from specs.validate.registry import Registry

_PLANNED_WITH_THEIR_MACHINES = frozenset({"Group", "Machine", "MachineTable", "Scenario"})
"""What blocks in these is said of each machine that it concerns."""


def unsupported_documents(registry: Registry) -> tuple[UnsupportedDocument, ...]:
    """Return the documents without effect, in the order of kinds and names."""
    return tuple(
        UnsupportedDocument(kind, name, reason, resource.position, _display_name(resource.model))
        for kind in EFFECTS
        if kind not in _PLANNED_WITH_THEIR_MACHINES
        for name, resource in registry.of_kind(kind).items()
        if (reason := blocking(kind, resource.document))
    )


def _display_name(model: object) -> str:
    return (model.metadata.display_name or "") if isinstance(model, Package) else ""
