"""What is said of one field of a machine, for documents, tables, CSV and the compiled form.

``CompiledMachine`` (``specs/fleet.py``) annotates each of its attributes with a ``Said``;
``declared`` makes ``MACHINE_FIELDS`` of them, and whoever converts a machine goes through
these. Types, descriptions and examples are in the models (``specs/kinds/machine.py``).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, get_type_hints

Form = Literal["text", "list", "flag", "labels", "power", "assign"]
"""What a value is: one text; several; true, false or nothing said; texts by key; the driver of
the power block, whose settings are an attribute of their own; scenarios with their run tokens."""

DriftPolicy = Literal["off", "report"]
"""What is done where an installed system is not as the repository wants it."""

PowerDriver = Literal["wake-on-lan", "manual", "redfish", "ipmi", "webhook"]


@dataclass(frozen=True, slots=True)
class Said:
    """Where documents say an attribute of ``CompiledMachine``, and what it is."""

    at: str
    """The path in a Machine document, joined by dots: ``spec.identity.domain``."""
    form: Form = "text"
    handed_down: bool = False
    """Groups hand it down as it is: the nearest level that says it wins. Groups and the
    defaults of tables say it at the same path."""
    network_has_it: bool = False
    """Where no level says it, the machine's network does, in an attribute of the same name."""
    in_rows: bool = True
    """Rows of tables have it. Those of CSV that is exported and imported have every field."""
    for_people: bool = False
    """It is shown and changes nothing: it is no part of the machine's digest."""
    empty: str = ""
    """What people read where nothing is said; without it, they read nothing then."""


@dataclass(frozen=True)
class MachineField:
    """One field of a machine: ``said`` of ``attribute`` of ``CompiledMachine``."""

    attribute: str
    said: Said

    @cached_property
    def path(self) -> tuple[str, ...]:
        """Return where a Machine document has it."""
        return tuple(self.said.at.split("."))

    @cached_property
    def name(self) -> str:
        """Return what people call it: ``identity.domain``."""
        return self.said.at.partition(".")[2]

    @cached_property
    def column(self) -> str:
        """Return its name in rows and the heading of its column; of labels, for all of them."""
        return self.place[-1]

    @cached_property
    def place(self) -> tuple[str, ...]:
        """Return where a Machine document has what a row has: of power, the block."""
        return self.path[:-1] if self.said.form == "power" else self.path

    @cached_property
    def python_path(self) -> str:
        """Return the path in the model of a document: ``metadata.display_name``."""
        return re.sub("[A-Z]", lambda found: f"_{found.group().lower()}", self.said.at)

    def of_document(self, model: object) -> Any:  # noqa: ANN401 - a value of any form
        """Return the value in the model of a Machine document; None where it says nothing."""
        value: Any = model
        for part in self.python_path.split("."):
            if value is not None:
                value = getattr(value, part)
        return value


def declared(machine: type) -> tuple[MachineField, ...]:
    """Return the fields that ``CompiledMachine`` declares, in their order."""
    return tuple(_declared(get_type_hints(machine, include_extras=True)))


def _declared(hints: Mapping[str, Any]) -> Iterator[MachineField]:
    for attribute, hint in hints.items():
        for said in getattr(hint, "__metadata__", ()):
            if isinstance(said, Said):
                yield MachineField(attribute, said)


class Values:
    """Reads the values of some fields of a document's model at once, by their attributes."""

    def __init__(self, *fields: MachineField) -> None:
        self._attributes = tuple(field.attribute for field in fields)
        self.get = attrgetter(*(field.python_path for field in fields))
        """Return the values of a model, in the order of the fields. At least two fields."""

    def by_attribute(self, model: object) -> dict[str, Any]:
        """Return the values that a model says."""
        values = zip(self._attributes, self.get(model), strict=True)
        return {attribute: value for attribute, value in values if value is not None}
