"""What groups hand down to their machines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specs.compile.origins import Sources
from specs.compile.power import BY_HAND, Switch
from specs.fleet import MACHINE_FIELDS, PROTECT, Assignment

HANDED_DOWN = tuple(each for each in MACHINE_FIELDS if each.said.handed_down)
"""The fields that come as they are from the nearest level that says them."""


@dataclass(frozen=True, slots=True)
class InheritedSettings:
    """What a machine of a group has before it says anything itself.

    ``sources`` has a key for every field that a group set, in the words of the
    machine's document. ``network_is_known`` is False where a document that may set
    the network has a problem of its own.
    """

    groups: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """Of the fields that are handed down as they are, by the attributes of CompiledMachine."""
    network_is_known: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    power: Switch = BY_HAND
    assignments: tuple[Assignment, ...] = ()
    sources: Sources = field(default_factory=dict)

    @property
    def network(self) -> str | None:
        """Return the network that a level names."""
        network: str | None = self.values.get("network")
        return network

    @property
    def protect(self) -> bool | None:
        """Return what the nearest level says of protection."""
        protect: bool | None = self.values.get(PROTECT)
        return protect
