"""What documents are called."""

from pydantic import Field

from specs.kinds.record import Record
from specs.types.labels import Labels
from specs.types.name import MachineName, Name, PathName


class Metadata(Record):
    """Metadata of a document with a plain name."""

    name: Name = Field(description="The name that other documents use.")


class PathMetadata(Record):
    """Metadata of a document whose name is a path."""

    name: PathName = Field(description="A path of up to 20 levels, the uppermost first.")


class MachineMetadata(Record):
    """Metadata of a machine."""

    name: MachineName = Field(
        description="The machine's name, and its host name unless identity.hostname says otherwise."
    )
    labels: Labels = Field(
        default_factory=dict,
        description="What the machine can be picked by. They add to the groups' labels and win.",
        examples=[{"role": "compute"}],
    )
