"""Gathering an inventory: each section for itself, so that one that fails hides no other."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from agent.errors import CodedError, MissingCommandError
from agent.wire.inventory import (
    LONGEST_TEXT,
    Entry,
    Inventory,
    InventoryProblem,
    made_of,
    ordered,
    printable,
    row_of,
)

Sections = Mapping[str, Callable[[], Iterable[Entry]]]


class Collector(Protocol):
    """What can be said of one kind of operating system."""

    def sections(self) -> Sections:
        """Return how each section is read that this system has.

        Each raises CommandError where what it asks cannot tell: the section is then not known.
        """

    def state(self) -> tuple[object, ...]:
        """Return what differs once packages were installed or removed; it costs little."""


def gather(collector: Collector) -> Inventory:
    """Return an inventory. Sections that cannot be read are absent, and why is an entry.

    Programs that are not installed are no problem: a system without smartctl is as its
    administrator wants it.
    """
    found: dict[str, tuple[Entry, ...]] = {}
    problems: list[Entry] = []
    for section, read in collector.sections().items():
        try:
            found[section] = ordered(section, [_valid(section, each) for each in read()])
        except MissingCommandError:
            continue
        except CodedError as error:
            problems.append(InventoryProblem(printable(f"{section}: {error}")))
    found["problems"] = ordered("problems", problems)
    return found


def _valid(section: str, entry: Entry) -> Entry:
    """Return the entry with texts as they may travel; programs print what packages say."""
    row = row_of(entry)
    if all(
        value.isprintable() and len(value) <= LONGEST_TEXT for value in row if type(value) is str
    ):
        return entry
    return made_of(
        section, [printable(value) if isinstance(value, str) else value for value in row]
    )
