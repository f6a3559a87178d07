"""Files that documents refer to."""

from pydantic import Field

from specs.kinds.record import Record
from specs.types.web import Sha256, Url


class SourceFile(Record):
    """A file of the web and what it must be. It is used only if the checksum fits."""

    url: Url = Field(
        description="Where it is fetched from.",
        examples=["https://files.example.net/debian-12/linux"],
    )
    sha256: Sha256 = Field(description="Its checksum.", examples=["9f" * 32])
