"""What holds for the image store of the server."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.record import Record
from specs.types.quantities import ByteRate, Duration, between


class Scrub(Record):
    """Reading the whole image store again and again, to find what its disks damaged."""

    enabled: bool = Field(
        default=True,
        description="Whether the server reads all chunks of the image store by itself and compares "
        "their digests, as `rackwright image verify --all` does by hand.",
        examples=[False],
    )
    every: Annotated[Duration, between(Duration(3600), Duration(520 * 604_800))] = Field(
        default=Duration(4 * 604_800),
        description="From the beginning of one scrub to that of the next. Between 1h and 520w.",
        examples=["1w"],
    )
    max_rate: Annotated[ByteRate, between(ByteRate(10**5), ByteRate(10**11))] = Field(
        default=ByteRate(32 << 20),
        description="How fast it reads at most. Between 100kB/s and 100GB/s.",
        examples=["100MiB/s"],
    )


class ImageStore(Record):
    """The store of disk images."""

    scrub: Scrub = Field(
        default_factory=Scrub, description="When damage of the store is looked for."
    )
    signatures: Literal["optional", "required"] = Field(
        default="optional",
        description="Whether an image that the server's certification authority has not signed is "
        "restored. One whose signature does not fit never is.",
        examples=["required"],
    )
