"""Waiting for people in the middle of other work, which goes on being told to the server."""

from collections.abc import Callable

from attrs import evolve

from agent.clock import Clock
from agent.errors import TerminalError
from agent.journal import Journal
from agent.shutdown.pending import PendingShutdown, PoliteWays, ShutdownResources
from agent.shutdown.polite import Action
from agent.wire.work import OperationEvent, Work

_LOOK_SECONDS = 0.5


class _LeftToTheCaller:
    """Power that the work's own session uses once the waiting is over."""

    def reboot(self) -> None:
        """Do nothing."""

    def poweroff(self) -> None:
        """Do nothing."""


def wait_for_people(  # noqa: PLR0913, PLR0917 - for what, by what, and how it is stopped
    work: Work,
    action: Action,
    ways: PoliteWays,
    journal: Journal,
    clock: Clock,
    check: Callable[[], None],
) -> None:
    """Return once people had their time before the system is shut down or restarted for ``work``.

    ``journal`` is one of its own: that of the work stays. ``check`` raises when the work has to
    stop; people are told then that the system stays. TerminalError RW242 where it is given up.
    """
    said: list[OperationEvent] = []

    def hear(_operation: str, event: OperationEvent) -> None:
        said.append(event)

    # The journal of a pending shutdown names its operation, and is cleared with it.
    pending = PendingShutdown(
        work, action, ShutdownResources(hear, _LeftToTheCaller(), journal, clock, ways)
    )
    pending.start()
    try:
        while not pending.turn():
            check()
            _require_waiting(pending, said)
            clock.pause(_LOOK_SECONDS)
    except BaseException:
        pending.call_off("the work that wants it does not go on")
        raise
    finally:
        journal.clear()


def _require_waiting(pending: PendingShutdown, said: list[OperationEvent]) -> None:
    if not pending.is_over:
        return
    last = next((each for each in reversed(said) if each.kind == "failed"), None)
    cause = last.message if last else "it was called off"
    raise TerminalError(
        "RW242",
        f"the restart that the work needs was given up: {cause}",
        "Ask the people there to log out, or let it be forced",
    )


def with_warning(work: Work, countdown: int, *, postponable: bool) -> Work:
    """Return work whose restart warns people at least so long, and that they may put off or not."""
    policy = work.power
    return evolve(
        work,
        power=evolve(
            policy,
            countdown=max(policy.countdown, countdown),
            postponable=policy.postponable if postponable else 0,
        ),
    )
