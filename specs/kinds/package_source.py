"""PackageSource: a server whose packages are mirrored."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.recurrence import Recurrence
from specs.types.ed25519_key import Ed25519Key
from specs.types.line import HardwareText
from specs.types.quantities import BitRate, ByteSize, between
from specs.types.secret import SecretReference
from specs.types.web import Url


class SourceLogin(Record):
    """How one logs in to the server."""

    username: HardwareText = Field(description="The user's name.", examples=["mirror"])
    password: SecretReference = Field(
        description="A reference to the password.", examples=["!secret packages/mirror"]
    )


class PackageSourceSpec(Record):
    """Where it is, what it is trusted for, and when it is asked."""

    url: Url = Field(
        description="The address of the repository.", examples=["https://packages.example.net/lab"]
    )
    order: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=1000,
        description="Sources are asked from the lowest number up, equal ones by name. Of one "
        "package in two sources the first counts.",
        examples=[10],
    )
    signers: tuple[Ed25519Key, ...] = Field(
        min_length=1,
        max_length=100,
        description="The Ed25519 public keys that have all signed the root metadata of the "
        "repository (The Update Framework). It says which keys sign the list of packages.",
        examples=[["ed25519:9c1c0ZUqCL0d6qNAqNhGqkTzLwS8vU2oBd3gkpbTPTc="]],
    )
    login: SourceLogin | None = Field(
        default=None, description="How one logs in; without, anybody may read."
    )
    proxy: Url | None = Field(
        default=None,
        description="A proxy between here and the server.",
        examples=["http://proxy.example.net:3128"],
    )
    schedule: Recurrence | None = Field(
        default=None,
        description="When it is mirrored; only by hand where absent.",
        examples=[{"cron": "0 3 * * *", "timeZone": "Asia/Tokyo"}],
    )
    max_rate: Annotated[BitRate, between(BitRate(10**5), BitRate(10**11))] | None = Field(
        default=None,
        description="How fast it is mirrored; as fast as possible where absent.",
        examples=["100Mbit/s"],
    )
    keep_free: Annotated[ByteSize, between(ByteSize(1), ByteSize(10**15))] = Field(
        default=ByteSize(5 * 2**30),
        description="Space that mirroring leaves free on the server's disk.",
        examples=["5GiB"],
    )


class PackageSource(Document):
    """A server whose packages are mirrored, resumed where a transfer broke off, and verified."""

    kind: Literal["PackageSource"]
    spec: PackageSourceSpec
