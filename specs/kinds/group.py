"""Group: what its machines have in common."""

from typing import Literal

from pydantic import Field

from specs.kinds.machine import (
    MAX_ASSIGNMENTS,
    ScenarioAssignment,
    SharedIdentity,
    SharedSettings,
)
from specs.kinds.metadata import Document, PathMetadata
from specs.kinds.rollout import Rollout
from specs.kinds.waits import Waits
from specs.kinds.windows import Windows
from specs.types.labels import Labels


class GroupIdentity(SharedIdentity):
    """What machines are called, as far as they share it."""


class GroupSpec(SharedSettings):
    """What machines below the group inherit, unless a nearer level says otherwise."""

    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the machines, key by key.",
        examples=[{"site": "tokyo"}],
    )
    identity: GroupIdentity = Field(
        default_factory=GroupIdentity, description="What the machines are called."
    )
    waits: Waits | None = Field(
        default=None, description="How long the machines are waited for at work."
    )
    assign: tuple[ScenarioAssignment, ...] | None = Field(
        default=None,
        max_length=MAX_ASSIGNMENTS,
        description="What the machines shall have run. Replaces what outer groups assign.",
        examples=[[{"scenario": "golden-compute", "run": "2026-11"}]],
    )
    windows: Windows | None = Field(
        default=None,
        description="When work may be done on its machines. All that is written here holds "
        "instead of what an outer group or the Fleet says.",
        examples=[{"timeZone": "Asia/Tokyo", "allow": [{"begin": "22:00", "end": "05:00"}]}],
    )
    rollout: Rollout | None = Field(
        default=None,
        description="In which waves its machines are overwritten. All that is written here "
        "holds instead of what an outer group or the Fleet says.",
        examples=[{"waves": [{"percent": 10}], "health": {"soak": "15m"}}],
    )


class Group(Document):
    """A level of the tree of machines. Its name is its path; parents need not be written."""

    kind: Literal["Group"]
    metadata: PathMetadata
    spec: GroupSpec = Field(default_factory=GroupSpec)
