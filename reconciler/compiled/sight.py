"""What planning shards needs to know of the world, and what it gives back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from reconciler.state.hardware import FleetHardware
    from reconciler.state.observed import Observed, ObservedImage
    from specs.fleet import CompiledMachine

Observe = Callable[["Iterable[CompiledMachine]", "FleetHardware"], "Observed"]
"""Returns what was observed of some machines, given the hardware of the whole fleet."""

Folds = Sequence[Mapping[str, Any]]
"""A shard's folds as ``fold_data`` gives them."""


Outlines = Mapping[str, tuple[str, Folds]]
"""Until when the plan of a shard holds (ISO 8601, empty for ever), and its folds, by digest."""


class PlanAhead(NamedTuple):
    """A plan that will be asked for, of a fleet of whose machines nothing was observed."""

    images: "Mapping[str, ObservedImage]"
    now: datetime

    @property
    def described(self) -> str:
        """Return what changes with the images."""
        return repr(sorted(self.images.items()))


@dataclass(frozen=True)
class Sight:
    """What is known of the fleet, and how to read it.

    ``machines`` changes with everything that was observed of machines, and is empty where
    nothing was; ``images`` changes with the images. ``observe`` reads both.
    """

    machines: str
    images: str
    observe: Observe
