"""What groups hand down to their machines."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from specs.compile.origins import Sources
from specs.compile.power import BY_HAND, Switch
from specs.fleet import Assignment


@dataclass(frozen=True, slots=True)
class InheritedSettings:
    """What a machine of a group has before it says anything itself.

    ``sources`` has a key for every field that a group set, in the words of the
    machine's document. ``network_is_known`` is False where a document that may set
    the network has a problem of its own.
    """

    groups: tuple[str, ...] = ()
    network: str | None = None
    network_is_known: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    power: Switch = BY_HAND
    domain: str | None = None
    protect: bool | None = None
    assignments: tuple[Assignment, ...] = ()
    sources: Sources = field(default_factory=dict)
