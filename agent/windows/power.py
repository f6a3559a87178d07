"""Restarting and switching off a Windows machine, and whom that would disturb."""

from collections.abc import Callable

from attrs import frozen

from agent.commands.windows import sessions, shutdown
from agent.commands.windows.host import Windows
from agent.errors import TerminalError

_ALREADY = (shutdown.UNDER_WAY, shutdown.SCHEDULED_ALREADY)


@frozen
class WindowsPower:
    """Ends the session by ``shutdown``: ``agent.power.Power`` with a wait and a reason.

    ``wait`` is in seconds; while it lasts, users see ``comment``, and ``abort`` calls it off.
    """

    windows: Windows
    wait: int = 60
    comment: str = "Rackwright"
    reason: str = shutdown.MAINTENANCE

    def reboot(self) -> None:
        """Begin an orderly restart; TerminalError RW235 where Windows refuses."""
        self._ask(shutdown.restart_arguments)

    def poweroff(self) -> None:
        """Begin an orderly shutdown; TerminalError RW235 where Windows refuses."""
        self._ask(shutdown.power_off_arguments)

    def abort(self) -> bool:
        """Call it off; return whether one was waiting."""
        return self.windows.run(shutdown.abort_arguments()).status == 0

    def _ask(self, arguments: Callable[[int, str, str], list[str]]) -> None:
        argv = arguments(self.wait, self.comment, self.reason)
        status = self.windows.run(argv).status
        if status not in (0, *_ALREADY):
            raise TerminalError(
                "RW235",
                f"Windows refused {' '.join(argv[:2])} with status {status}",
                "Let the agent's service run as the system, or restart the machine by hand",
            )


def reboot_blockers(windows: Windows) -> tuple[str, ...]:
    """Return whom a restart would disturb: each session of a user, in words."""
    found = sessions.sessions(windows) or ()
    return tuple(
        f"{each.user} is logged in (session {each.number}"
        f"{f', {each.session}' if each.session else ', screen closed'})"
        for each in found
    )
