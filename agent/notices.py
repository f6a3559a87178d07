"""Messages to the people at a machine: terminals, the console, graphical sessions.

What is shown is one bounded line without control characters (``agent.plain_text``), whoever wrote
it. A way that is not there, or fails, keeps no other from being tried.
"""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

from agent.commands.notify_send import notify
from agent.commands.wall import write_to_all
from agent.errors import CodedError
from agent.inspection.logind import UserSession, user_sessions
from agent.plain_text import plain_text

_log = logging.getLogger(__name__)


@frozen
class MessageWays:
    """The ways to the people at a machine; the defaults are those of the running system."""

    sessions: Callable[[], tuple[UserSession, ...]] = user_sessions
    write_to_all: Callable[[str], None] = write_to_all
    notify: Callable[[str, int, str, str], None] = notify
    console: Path = Path("/dev/console")


def show_message(
    text: str, ways: MessageWays | None = None, urgency: str = "normal"
) -> tuple[str, ...]:
    """Show people one line; return where it was shown, empty where nobody can have seen it.

    ``urgency`` is as ``agent.commands.notify_send`` has it. Takes up to half a minute where
    terminals or sessions hang. Raises nothing.
    """
    ways = ways or MessageWays()
    line = plain_text(text)
    return tuple(_shown(line, ways, urgency))


def _shown(line: str, ways: MessageWays, urgency: str) -> Iterator[str]:
    try:
        sessions = ways.sessions()
    except CodedError as error:
        _log.info("who is logged in is not known: %s", error.cause)
        sessions = ()
    if _succeeds("terminals", lambda: ways.write_to_all(line)):
        yield from (
            f"{each.user} on {each.terminal}"
            for each in sessions
            if each.terminal and not each.is_graphical
        )
    if _succeeds("console", lambda: _write_to_console(ways.console, line)):
        yield "the console"
    persons = {each.uid: each for each in sessions if each.is_graphical}
    for person in persons.values():
        if _succeeds(
            "notification",
            lambda each=person: ways.notify(each.user, each.uid, line, urgency),  # type: ignore[misc]
        ):
            yield f"{person.user}'s desktop"


def _write_to_console(console: Path, line: str) -> None:
    """Write to the console; OSError where there is none or it takes nothing."""
    handle = os.open(console, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        os.write(handle, f"\r\nRackwright: {line}\r\n".encode())
    finally:
        os.close(handle)


def _succeeds(way: str, show: Callable[[], None]) -> bool:
    try:
        show()
    except (CodedError, OSError) as error:
        _log.info("message not shown way=%s: %s", way, getattr(error, "cause", error))
        return False
    return True
