"""One operation: the work that one machine shall undergo once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import blake2b
from json import JSONEncoder
from typing import TYPE_CHECKING, Literal, NamedTuple

from reconciler.state.operation_states import OperationState
from specs.fleet import Trigger

if TYPE_CHECKING:
    from agent.wire.disk import DiskIdentity
    from agent.wire.step import Step
    from agent.wire.work import OnError, TimeLimit

OperationKind = Literal["inspect", "capture", "restore", "service"]
INSPECTION = "inspection"
"""The scenario of the inspections that the planner asks for by itself."""
BY_HAND = "by-hand/"
"""What the run token of work begins with that no document assigns: none in a document can.

So does the name of a scenario that is in no document: what a person asked for on the command line.
"""
SCHEDULED = "schedule/"
"""Likewise of work that a schedule began: its name and the moment follow."""
_encode = JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Instructions:
    """What an operation does, and to which disks."""

    macs: tuple[str, ...]
    uuid: str
    steps: "tuple[Step, ...]"
    """Without secrets: tokens are minted when the work is handed out."""
    disks: "tuple[DiskIdentity, ...]"
    """The disks that will be written, none for work that only reads."""
    timeout_seconds: int
    """For all steps together."""
    limits: "tuple[TimeLimit, ...]"
    """For some of them, besides."""
    on_error: "OnError"


@dataclass(frozen=True)
class Operation:
    """What is to be done; never changes once planned.

    Where it comes from the database, ``body`` reads its instructions when somebody asks:
    with 40,000 machines few are looked at.
    """

    op_id: str
    kind: OperationKind
    machine: str
    hardware: str
    scenario: str
    run: str
    revision: str
    destructive: bool
    """Whether a disk is written."""
    proof: bool
    """Verified only once the agent of the booted system has reported."""
    identities: tuple[str, ...]
    """All that the hardware was known by when the operation was planned."""
    body: Instructions | Callable[[], Instructions] = field(compare=False, repr=False)

    @property
    def runs_in_system(self) -> bool:
        """Return whether the agent of the installed system does it, and not one in RAM."""
        return self.kind == "service"

    @property
    def needs_images(self) -> bool:
        """Return whether it reads or writes images."""
        return self.kind in {"capture", "restore"}

    @property
    def is_by_hand(self) -> bool:
        """Return whether a person asked for it beside what documents assign."""
        return self.run.startswith(BY_HAND)

    @property
    def is_inline(self) -> bool:
        """Return whether its steps are in no document: it alone says what is to be done."""
        return self.scenario.startswith(BY_HAND)

    @property
    def schedule(self) -> str:
        """Return the name of the schedule that began it; empty where none did."""
        if not self.run.startswith(SCHEDULED):
            return ""
        return self.run.removeprefix(SCHEDULED).rpartition("/")[0]

    @cached_property
    def instructions(self) -> Instructions:
        """Return what it does. StateError where that is recorded and cannot be read."""
        return self.body() if callable(self.body) else self.body


class Start(NamedTuple):
    """When approved work may begin, and whether it may take a machine that is in use."""

    may_interrupt: bool = False
    """Somebody agreed to it as work that may interrupt a running system."""
    trigger: Trigger = "now"
    not_before: datetime | None = None


AT_ONCE = Start()


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """An operation and where it stands, as the planner and people see it."""

    operation: Operation
    state: OperationState
    attempt: int
    at: datetime
    """When the state was entered."""
    reason: str
    step: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    last_event_at: datetime | None = None
    steps_done: bool = False
    """All steps are acknowledged; only the proof is missing."""
    start: Start = AT_ONCE

    @property
    def captured_images(self) -> tuple[str, ...]:
        """Return the names of the images that the operation brings in, in their order."""
        from agent.wire.step import Backup  # noqa: PLC0415 - only captures have one

        steps = self.operation.instructions.steps
        return tuple(step.image for step in steps if isinstance(step, Backup))


def scheduled_token(schedule: str, moment: datetime) -> str:
    """Return the run token of a schedule's work at a moment of its own, in UTC."""
    return f"{SCHEDULED}{schedule}/{moment:%Y%m%dT%H%M%SZ}"


def operation_id(
    hardware: str, scenario: str, inputs: tuple[str, ...], disks: tuple[str, ...], run: str
) -> str:
    """Return the id of one piece of work: 32 hex digits over everything that makes it itself."""
    # The JSON of one list: all but the hardware is the same for many machines.
    text = f"[{_encode(hardware)},{_encoded(scenario, inputs, disks, run)}]"
    return blake2b(text.encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=256)
def _encoded(scenario: str, inputs: tuple[str, ...], disks: tuple[str, ...], run: str) -> str:
    return _encode([scenario, list(inputs), list(disks), run])[1:-1]


def identities_of(hardware: str, macs: tuple[str, ...], uuid: str) -> tuple[str, ...]:
    """Return all that a machine is known by to its operations, ``hardware`` first."""
    known = (hardware, *(f"mac:{mac}" for mac in macs), *((f"uuid:{uuid}",) if uuid else ()))
    return tuple(dict.fromkeys(known))
