"""What each level says of how long machines at work are waited for."""

from collections.abc import Iterator, Mapping

from specs.fleet import SaidWait, wait_level
from specs.kinds.fleet import Fleet
from specs.kinds.group import Group
from specs.kinds.scenario import Scenario
from specs.types.quantities import Duration
from specs.validate.registry import Registry
from specs.validate.resource import Resource


def compile_waits(registry: Registry) -> dict[str, Mapping[str, SaidWait]]:
    """Return the waits of the levels that say any, by ``wait_level``."""
    found = {
        wait_level(kind, name): dict(_said(resource))
        for kind in ("Fleet", "Group", "Scenario")
        for name, resource in registry.of_kind(kind).items()
    }
    return {level: said for level, said in found.items() if said}


def _said(resource: Resource) -> Iterator[tuple[str, SaidWait]]:
    model = resource.model
    waits = model.spec.waits if isinstance(model, Fleet | Group | Scenario) else None
    if waits is None:
        return
    for name, value in waits:
        if value is not None:
            position = resource.document.position(("spec", "waits", name))
            if isinstance(value, Duration):
                yield f"{name}_seconds", SaidWait(value.seconds, position)
            else:
                yield name, SaidWait(value, position)
