"""What a machine is compiled against: everything that is no machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from specs.compile.address_pool import AddressPool
from specs.compile.group_tree import GroupTree
from specs.compile.selectors import WrittenSelector
from specs.compile.targets import Target
from specs.compile.written_images import WrittenImages
from specs.fleet import CompiledMachine, CompiledNetwork
from specs.validate.registry import Registry


@dataclass(frozen=True)
class CompileContext:
    """Everything that is no machine: what each machine is compiled against."""

    registry: Registry
    tree: GroupTree
    networks: Mapping[str, CompiledNetwork]
    targets: tuple[Target, ...] = ()
    selectors: tuple[WrittenSelector, ...] = ()
    """Those of documents as a whole, such as holds, and of the waves of rollouts."""

    @cached_property
    def groups(self) -> frozenset[str]:
        """Return the groups that exist."""
        return frozenset(self.tree.names)

    @cached_property
    def pools(self) -> Mapping[str, AddressPool]:
        """Return what each network has for machines, by its name."""
        return {name: AddressPool(network) for name, network in self.networks.items()}

    @cached_property
    def written_images(self) -> WrittenImages:
        """Return what scenarios write, and schedules with them."""
        return WrittenImages(self.registry)

    def selector_counts(self, machines: Iterable[CompiledMachine]) -> tuple[int, ...]:
        """Return how many of ``machines`` each selector means: documents', then targets'."""
        asked = [each.selection.matches for each in self._written]
        if not asked:
            return ()
        counts = [0] * len(asked)
        for machine in machines:
            for index, matches in enumerate(asked):
                counts[index] += matches(machine.name, machine.group, machine.labels)
        return tuple(counts)

    def unmatched(self, counts: Iterable[int]) -> list[WrittenSelector]:
        """Return the selectors that mean no machine, given what ``selector_counts`` says of all."""
        return [each for each, count in zip(self._written, counts, strict=True) if not count]

    @cached_property
    def _written(self) -> tuple[WrittenSelector, ...]:
        return (*self.selectors, *(target.written for target in self.targets))
