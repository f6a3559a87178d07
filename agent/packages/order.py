"""In which order packages are installed. Pure."""

import graphlib
import heapq
from collections.abc import Sequence

from agent.errors import TerminalError
from agent.wire.package import TYPES, WantedPackage


def in_order(wanted: Sequence[WantedPackage]) -> tuple[WantedPackage, ...]:
    """Return the packages in the order in which they are installed.

    What another one requires comes before it. Apart from that service packs come first, then
    hotfixes, patches and applications, and equal ones in the order given; what is required by an
    earlier one is as early as that. Names that are not among them are passed over. TerminalError
    RW200 where requirements go round in a circle, RW201 where two have one name.
    """
    by_name = {package.name: package for package in wanted}
    if len(by_name) < len(wanted):
        names = [package.name for package in wanted]
        twice = next(name for name in names if names.count(name) > 1)
        raise TerminalError(
            "RW201",
            f"two of the packages are called {twice}",
            "Report this: the server sent one list with a package twice",
        )
    requires = {
        package.name: [name for name in package.requires if name in by_name] for package in wanted
    }
    sorter = graphlib.TopologicalSorter(requires)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise TerminalError(
            "RW200",
            f"packages require each other in a circle: {' -> '.join(reversed(error.args[1]))}",
            "Take one of them out of the other's `requires`",
        ) from error
    ranks = _ranks(wanted, requires)
    ready: list[tuple[tuple[int, int], str]] = []
    order: list[WantedPackage] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (ranks[name], name))
        _, name = heapq.heappop(ready)
        order.append(by_name[name])
        sorter.done(name)
    return tuple(order)


def _ranks(
    wanted: Sequence[WantedPackage], requires: dict[str, list[str]]
) -> dict[str, tuple[int, int]]:
    """Return (type, place in the list) of each, or of the earliest one that requires it."""
    ranks = {
        package.name: (TYPES.index(package.type), place) for place, package in enumerate(wanted)
    }
    for name in reversed(tuple(graphlib.TopologicalSorter(requires).static_order())):
        for required in requires[name]:
            ranks[required] = min(ranks[required], ranks[name])
    return ranks
