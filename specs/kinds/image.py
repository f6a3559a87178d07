"""Image: a name for what is kept of a disk."""

from typing import Literal

from pydantic import Field

from specs.kinds.metadata import Document, ImageMetadata
from specs.kinds.record import Record
from specs.types.line import Line


class ImageSpec(Record):
    """What people should know of an image."""

    description: Line = Field(
        default="",
        max_length=1000,
        description="One line for people.",
        examples=["Debian 12 with the lab's agent"],
    )


class Image(Document):
    """A name that scenarios back up to and restore from; its content lies in the store."""

    kind: Literal["Image"]
    metadata: ImageMetadata
    spec: ImageSpec = Field(default_factory=ImageSpec)
