"""A compiled fleet whose machines are in shards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.compiled.claims import Claims
    from reconciler.compiled.shard import Shard
    from reconciler.compiled.sight import Outlines
    from specs.compile.machine_context import MachineContext
    from specs.diagnostics.diagnostic import Diagnostic
    from specs.fleet import CompiledFleet, CompiledMachine


@dataclass(frozen=True, slots=True)
class FleetIndex:
    """One revision: everything but its machines, and the shards that hold these.

    ``surroundings`` is the fleet without machines.
    """

    surroundings: "CompiledFleet"
    shards: "Mapping[str, Shard]"
    """By group, in the order of groups."""
    warnings: "tuple[Diagnostic, ...]"
    digest: str
    """Changes with the surroundings."""
    ownership: str
    """Changes when some machine's name, hardware or addresses do."""
    planned_ahead: "PlannedAhead | None" = field(default=None, compare=False)

    def fleet(self, revision: str) -> "CompiledFleet":
        """Return the whole fleet under the name of a revision; machines are read when asked for."""
        machines = ShardedMachines(self.shards)
        return replace(self.surroundings, revision=revision, machines=machines)


class PlannedAhead(NamedTuple):
    """The plans of shards that were made while their machines were compiled."""

    images: str
    """What describes the images that they are made with."""
    now: datetime
    outlines: "Outlines"


class Groundwork(NamedTuple):
    """What single files of a compiled revision can be compiled with, without the others."""

    context: "MachineContext"
    claims: "Claims"
    counts: tuple[int, ...]
    """How many machines each selector means."""
    kept: bytes = b""
    """The context as it is in the cache already; empty where it was made just now."""
    prepared: bytes = b""
    """What spares single files the loading of models (``specs.prepared``)."""


Compiled = tuple[FleetIndex, Groundwork]


class ShardedMachines(Mapping[str, "CompiledMachine"]):
    """All machines in the order of their names; read from their shards at the first use."""

    def __init__(self, shards: "Mapping[str, Shard]") -> None:
        self._shards = shards

    @cached_property
    def _machines(self) -> "Mapping[str, CompiledMachine]":
        found = [machine for shard in self._shards.values() for machine in shard.machines()]
        return {machine.name: machine for machine in sorted(found, key=lambda each: each.name)}

    def __getitem__(self, name: str) -> "CompiledMachine":
        return self._machines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._machines)

    def __len__(self) -> int:
        return sum(shard.count for shard in self._shards.values())
