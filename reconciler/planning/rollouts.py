"""In which wave each machine's turn comes. Pure.

Waves are made of the machines whose disks one approval overwrites, not of all that a group has:
where 40 of 400 machines have to be done, ``percent: 10`` is 4 of them.
"""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import NamedTuple

from specs.fleet import LAST_WAVE, CompiledFleet, CompiledMachine, CompiledRollout, CompiledWave
from specs.selection import Selection


class PlannedWave(NamedTuple):
    """Machines that are overwritten together."""

    name: str
    """As people know it: its name, ``10 %``, what it selects, or ``the rest``."""
    machines: tuple[str, ...]
    """In the order of names; at least one."""


class PlannedRollout(NamedTuple):
    """The waves of one group's machines, or of all whose groups say nothing."""

    group: str
    """Whose document says it; empty: the Fleet's."""
    terms: CompiledRollout
    waves: tuple[PlannedWave, ...]

    @property
    def whose(self) -> str:
        """Return ``the fleet`` or ``tokyo/row2``."""
        return self.group or "the fleet"

    @property
    def size(self) -> int:
        """Return how many machines it has."""
        return sum(len(wave.machines) for wave in self.waves)


class WavePlace(NamedTuple):
    """One machine's place in a rollout."""

    number: int
    """From 1."""
    of: int
    name: str

    def __str__(self) -> str:
        """Return ``wave 2 of 3 (10 %)``."""
        return f"wave {self.number} of {self.of} ({self.name})"


def planned_rollouts(fleet: CompiledFleet, machines: Iterable[str]) -> tuple[PlannedRollout, ...]:
    """Return the rollouts of machines whose disks are overwritten together, by group.

    Machines that the fleet does not have, or that no document has overwritten in waves, are in
    none.
    """
    members: dict[str, list[CompiledMachine]] = {}
    for name in sorted(set(machines)):
        machine = fleet.machines.get(name)
        found = fleet.rollout_of(machine) if machine else None
        if machine and found:
            members.setdefault(found[0], []).append(machine)
    return tuple(
        PlannedRollout(group, terms, tuple(_waves(terms, members[group], fleet.groups)))
        for group, terms in sorted(fleet.rollouts.items())
        if group in members
    )


def wave_places(rollouts: Iterable[PlannedRollout]) -> dict[str, WavePlace]:
    """Return by machine when its turn comes."""
    return {
        machine: WavePlace(number, len(rollout.waves), wave.name)
        for rollout in rollouts
        for number, wave in enumerate(rollout.waves, 1)
        for machine in wave.machines
    }


def _waves(
    terms: CompiledRollout, machines: list[CompiledMachine], groups: tuple[str, ...]
) -> Iterator[PlannedWave]:
    left = {each.name: each for each in machines}
    for wave in terms.waves:
        taken = tuple(_taken(wave, left, len(machines), groups))
        for name in taken:
            del left[name]
        if taken:
            yield PlannedWave(str(wave), taken)
    if left:
        yield PlannedWave(LAST_WAVE, tuple(left))


def _taken(
    wave: CompiledWave, left: dict[str, CompiledMachine], total: int, groups: tuple[str, ...]
) -> Iterator[str]:
    if wave.selector is not None:
        selection = Selection(wave.selector, groups)
        for each in left.values():
            if selection.matches(each.name, each.group, each.labels):
                yield each.name
        return
    before = total - len(left)
    yield from list(left)[: max(0, ceil(total * wave.percent / 100) - before)]
