"""What the Fleet document and groups say alike, level by level."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from specs.fleet import FLEET
from specs.kinds.fleet import Fleet, FleetSpec
from specs.kinds.group import Group, GroupSpec
from specs.validate.registry import Registry
from specs.validate.resource import Resource

T = TypeVar("T")


def said_by_levels(
    registry: Registry, read: Callable[[FleetSpec | GroupSpec], T | None]
) -> Iterator[tuple[str, Resource, T]]:
    """Yield what levels say, with the level and its document: the Fleet, then groups.

    ``read`` returns it of a document's spec; None where that says nothing.
    """
    for resource in registry.of_kind("Fleet").values():
        if isinstance(resource.model, Fleet) and (said := read(resource.model.spec)) is not None:
            yield FLEET, resource, said
    for name, resource in registry.of_kind("Group").items():
        if isinstance(resource.model, Group) and (said := read(resource.model.spec)) is not None:
            yield name, resource, said
