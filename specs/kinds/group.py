"""Group: what its machines have in common."""

from typing import Literal

from pydantic import Field

from specs.kinds.assignment import MAX_ASSIGNMENTS, ScenarioAssignment
from specs.kinds.metadata import PathMetadata
from specs.kinds.power import Power
from specs.kinds.record import API_VERSION, Record
from specs.types.host_name import DomainName
from specs.types.labels import Labels
from specs.types.name import Name


class GroupIdentity(Record):
    """What machines are called, as far as they share it."""

    domain: DomainName | None = Field(
        default=None,
        description="The DNS domain of the machines.",
        examples=["tokyo.example.net"],
    )


class GroupSpec(Record):
    """What machines below the group inherit, unless a nearer level says otherwise."""

    network: Name | None = Field(
        default=None, description="The Network of the machines.", examples=["tokyo-a"]
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the machines, key by key.",
        examples=[{"site": "tokyo"}],
    )
    power: Power | None = Field(default=None, description="How the machines are switched on.")
    identity: GroupIdentity = Field(
        default_factory=GroupIdentity, description="What the machines are called."
    )
    assign: tuple[ScenarioAssignment, ...] | None = Field(
        default=None,
        max_length=MAX_ASSIGNMENTS,
        description="What the machines shall have run. Replaces what outer groups assign.",
        examples=[[{"scenario": "golden-compute", "run": "2026-11"}]],
    )
    protect: bool | None = Field(
        default=None,
        description="true: no machine here is ever overwritten, until false is written.",
        examples=[True],
    )


class Group(Record):
    """A level of the tree of machines. Its name is its path; parents need not be written."""

    api_version: Literal["rackwright/v1alpha1"] = Field(examples=[API_VERSION])
    kind: Literal["Group"]
    metadata: PathMetadata
    spec: GroupSpec = Field(default_factory=GroupSpec)
