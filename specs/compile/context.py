"""Everything but the machines themselves: what one machine is compiled against."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from specs.compile.inherited_settings import InheritedSettings
from specs.compile.targets import Target
from specs.compile.written_selector import WrittenSelector
from specs.fleet import CompiledMachine, CompiledNetwork


class Groups(Protocol):
    """The groups that exist, and what each hands to its machines."""

    @property
    def names(self) -> Iterable[str]:
        """Return their paths."""

    def inherited(self, group: str) -> InheritedSettings:
        """Return what a group hands down."""


@dataclass(frozen=True)
class Surroundings:
    """Everything but the machines themselves: what one machine is compiled against."""

    tree: Groups
    networks: Mapping[str, CompiledNetwork]
    targets: tuple[Target, ...] = ()
    selectors: tuple[WrittenSelector, ...] = ()
    """Those of documents as a whole, such as holds."""

    @cached_property
    def groups(self) -> frozenset[str]:
        """Return the groups that exist."""
        return frozenset(self.tree.names)

    def selector_counts(self, machines: Iterable[CompiledMachine]) -> tuple[int, ...]:
        """Return how many of ``machines`` each selector means: documents', then targets'."""
        written = (*self.selectors, *(target.written for target in self.targets))
        if not written:
            return ()
        counts = [0] * len(written)
        asked = [each.selection.matches for each in written]
        for machine in machines:
            for index, matches in enumerate(asked):
                counts[index] += matches(machine.name, machine.group, machine.labels)
        return tuple(counts)

    def unmatched(self, counts: Iterable[int]) -> list[WrittenSelector]:
        """Return the selectors that mean no machine."""
        written = (*self.selectors, *(target.written for target in self.targets))
        return [each for each, count in zip(written, counts, strict=True) if not count]
