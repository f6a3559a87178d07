"""MachineTable: many machines, one per row."""

from typing import Annotated, Literal

from pydantic import Field, SkipValidation

from specs.kinds.machine import Hardware, MachineIdentity, SharedIdentity, SharedSettings
from specs.kinds.metadata import Document, MachineMetadata
from specs.kinds.record import Record
from specs.types.labels import Labels
from specs.types.name import PathName
from specs.types.place import RepositoryPath


class TableDefaults(SharedIdentity, SharedSettings):
    """What every row of the table has that does not say otherwise itself."""

    group: PathName | None = Field(
        default=None, description="The group of the machines.", examples=["tokyo/row2/rack07"]
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the machines, key by key.",
        examples=[{"role": "compute"}],
    )


class MachineRow(SharedSettings, MachineIdentity, Hardware, MachineMetadata):
    """One machine. Its fields are those of a Machine document, without their sections.

    In a CSV file, power is the driver's name, and each label has a column label.KEY.
    """

    group: PathName | None = Field(
        default=None,
        description="The group that it belongs to. Required, here or in the defaults.",
        examples=["tokyo/row2/rack07"],
    )


class MachineTableSpec(Record):
    """The rows, and what they have in common."""

    defaults: TableDefaults = Field(
        default_factory=TableDefaults,
        description="What every row has that does not say otherwise itself.",
        examples=[{"group": "tokyo/row2/rack07"}],
    )
    rows: tuple[Annotated[MachineRow, SkipValidation], ...] = Field(
        default=(),
        description="The machines. Each is checked as a Machine document would be.",
        examples=[[{"name": "node-0713", "macs": ["52:54:00:12:34:56"]}]],
    )
    csv: RepositoryPath | None = Field(
        default=None,
        description="A CSV file beside this one with more rows. Its first line names the columns "
        "like the fields of a row; lists are separated by spaces.",
        examples=["machines.csv"],
    )


class MachineTable(Document):
    """Many machines, one per row. Each is a machine exactly as a Machine document would be."""

    kind: Literal["MachineTable"]
    spec: MachineTableSpec
