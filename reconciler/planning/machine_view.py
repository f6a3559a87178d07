"""One machine as planning sees it: what is wanted, and all that is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.state.observed import (
    Capture,
    ObservedImage,
    ObservedMachine,
    TimedReport,
    is_fresh,
    is_future,
)
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import OperationState
from specs.fleet import CompiledImage, CompiledMachine, CompiledNetwork

Refusal = tuple[str, str]
"""Why the work waits for a person or another operation, and what a person can do about it."""


@dataclass(frozen=True, slots=True)
class Disputed:
    """An operation that more than one machine of the fleet may have had."""

    status: OperationStatus
    owners: tuple[str, ...]
    """Their names, in order."""


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine: what is wanted, all that is known, and what it may rely on."""

    machine: CompiledMachine
    network: CompiledNetwork | None
    seen: ObservedMachine
    operations: tuple[OperationStatus, ...]
    images: Mapping[str, ObservedImage]
    max_age: timedelta
    """An older observation is UNKNOWN."""
    now: datetime
    captures: tuple[Capture, ...] = ()
    """What this machine's operations brought into the store."""
    disputed: tuple[Disputed, ...] = ()
    """Operations that may have been this machine's or another's."""
    declared_images: Mapping[str, CompiledImage] = field(default_factory=dict)
    """What the repository says of images, by the names of documents."""
    signed_images_only: bool = False
    store_problem: str = ""
    """Why nothing is known of images, with its code; empty where the image store is there."""

    @property
    def system_is_running(self) -> bool:
        """Return whether an installed system has to be taken for running.

        Its agent reported recently enough, and nothing says that the machine
        restarted since. A server that was away hears nothing: the doubt counts as
        running, so that work which interrupts it is never shown as safe.
        """
        heard = self.seen.installed
        if heard is None or self.now - heard.at > self.max_age:
            return False
        later = [self.seen.boot_request, self.seen.ramdisk.at if self.seen.ramdisk else None]
        return all(at is None or at < heard.at or is_future(at, self.now) for at in later)


def still_to_come(at: datetime) -> str:
    """Return when something was, by a clock that has been set back since."""
    return f"at a time that is still to come ({at:%Y-%m-%d %H:%M:%S} UTC): the clock was set back"


def known_disks(view: MachineView) -> TimedReport | str:
    """Return what is known of the disks; as text why they have to be looked at before."""
    known = view.seen.disks
    if known is None:
        return "its disks were never seen"
    if not is_fresh(known.at, view.now, view.max_age):
        ahead = is_future(known.at, view.now)
        when = still_to_come(known.at) if ahead else f"at {known.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"its disks were last seen {when}"
    stopped = _stopped_since(view, known.at)
    if stopped is not None:
        scenario = stopped.operation.scenario
        return f"nobody knows what {scenario}, which was stopped, left on its disks"
    return known


def _stopped_since(view: MachineView, seen: datetime) -> OperationStatus | None:
    """Return work on the disks that was cancelled, or that a person says did not run, since then.

    An agent may have begun it: what was seen of the disks before says nothing of them now.
    """
    return next(
        (
            status
            for status in view.operations
            if status.state is OperationState.CANCELLED
            and status.operation.destructive
            and status.attempt > 0
            and status.at >= seen
        ),
        None,
    )
