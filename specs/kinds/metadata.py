"""What every document has: the language that it is written in, its kind, and what it is called."""

from typing import Literal

from pydantic import Field

from specs.kinds import API_VERSION
from specs.kinds.record import Record
from specs.types.display_name import DisplayName
from specs.types.labels import Labels
from specs.types.name import ImageName, MachineName, Name, PathName


class Metadata(Record):
    """Metadata of a document with a plain name."""

    name: Name = Field(description="The name that other documents use.")


class ShownMetadata(Metadata):
    """Metadata of what people may call otherwise than documents do."""

    display_name: DisplayName | None = Field(
        default=None,
        description="What people read first, with the name beside it: any text on one line. It "
        "changes nothing else.",
        examples=["計算ノード 7"],
    )


class PathMetadata(ShownMetadata):
    """Metadata of a document whose name is a path."""

    name: PathName = Field(description="A path of up to 20 levels, the uppermost first.")


class ImageMetadata(ShownMetadata):
    """Metadata of an image."""

    name: ImageName = Field(
        description="The name that other documents use. With {machine} in it, each machine has an "
        "image of its own, and this document speaks of all of them.",
    )


class MachineMetadata(ShownMetadata):
    """Metadata of a machine."""

    name: MachineName = Field(
        description="The machine's name, and its host name where identity.hostname says no other.",
        examples=["node-0713"],
    )
    labels: Labels = Field(
        default_factory=dict,
        description="What the machine can be picked by. They add to the groups' labels and win.",
        examples=[{"role": "compute"}],
    )


class Document(Record):
    """What all documents have. Each kind says its name and adds a ``spec``."""

    api_version: Literal["rackwright/v1alpha1"] = Field(examples=[API_VERSION])
    kind: str
    metadata: Metadata
