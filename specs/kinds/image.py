"""Image: a name for what is kept of a disk."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.metadata import Document, ImageMetadata
from specs.kinds.record import Record
from specs.types.line import Line
from specs.types.quantities import Duration, between

_MOST = 1000
_AGE = between(Duration(3600), Duration(366 * 86_400))


class Retention(Record):
    """Which generations of an image are kept, of those that can be restored. Days are UTC's.

    The newest one and pinned ones are kept in any case, and so is what approved work restores.
    """

    last: int = Field(
        default=1, ge=1, le=_MOST, description="How many of the newest.", examples=[3]
    )
    daily: int = Field(
        default=0,
        ge=0,
        le=_MOST,
        description="Of how many days the newest one of the day, days without a backup left out.",
        examples=[7],
    )
    weekly: int = Field(
        default=0,
        ge=0,
        le=_MOST,
        description="Of how many weeks, from Monday on, the newest one.",
        examples=[4],
    )
    monthly: int = Field(
        default=0, ge=0, le=_MOST, description="Of how many months the newest one.", examples=[12]
    )


class ImageSpec(Record):
    """What people should know of an image, and how much of it is kept."""

    description: Line = Field(
        default="",
        max_length=1000,
        description="One line for people.",
        examples=["Debian 12 with the lab's agent"],
    )
    retention: Retention | None = Field(
        default=None,
        description="Which generations are kept. Without it, all are until somebody removes them.",
    )
    alert_after: Annotated[Duration, _AGE] | None = Field(
        default=None,
        description="How old the newest backup that can be restored may be. `status` says where it "
        "is older, or where there is none.",
        examples=["26h"],
    )


class Image(Document):
    """A name that scenarios back up to and restore from; its content lies in the store."""

    kind: Literal["Image"]
    metadata: ImageMetadata
    spec: ImageSpec = Field(default_factory=ImageSpec)
