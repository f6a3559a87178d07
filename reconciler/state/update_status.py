"""How far a machine is with what it installs by itself, as its agent said last."""

from datetime import datetime
from typing import NamedTuple

from agent.wire.package import PackageResult


class UpdateStatus(NamedTuple):
    """What one machine said last."""

    hardware: str
    identities: tuple[str, ...]
    machine: str
    """What it was called then."""
    at: datetime
    boot_id: str
    policy: str
    """Empty where it follows none."""
    orders: str
    """The digest of the orders that it follows."""
    phase: str
    why: str
    code: str
    since: datetime | None
    run: str
    checked: datetime | None
    """When it last looked what is missing."""
    next_check: datetime | None
    results: tuple[PackageResult, ...]


class UpdateResult(NamedTuple):
    """What became of one package in one check."""

    machine: str
    at: datetime
    run: str
    result: PackageResult


class UpdateNotice(NamedTuple):
    """A person asked a machine to look now what is missing."""

    identities: tuple[str, ...]
    machine: str
    at: datetime
    actor: str
    reason: str
