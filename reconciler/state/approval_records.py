"""What is kept of approvals: the plan that was asked for, and what a person said of it."""

from datetime import datetime
from typing import Literal, NamedTuple

from specs.fleet import Trigger

Means = Literal["login", "tag"]


class ApprovalRequest(NamedTuple):
    """A plan that has to be approved by rule."""

    digest: str
    kind: Literal["apply", "run"]
    revision: str
    rules: str
    """The approval rules that the revision has, as JSON."""
    at: datetime
    reason: str
    """Of who asked first; empty where nobody gave one."""
    trigger: Trigger | Literal[""] = ""
    """When it begins; empty: as the scenarios say."""
    not_before: datetime | None = None


class GivenApproval(NamedTuple):
    """What a person said last of a plan."""

    digest: str
    person: str
    withdrawn: bool
    means: Means
    tag: str
    """The tag's id; empty for a login."""
    at: datetime
    actor: str
    """The login and computer, or the tag's name."""
    reason: str
