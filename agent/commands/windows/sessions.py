"""quser.exe and msg.exe: who is logged in at the machine, and a message to them.

Source: Microsoft, "query user" and "msg" (Windows Commands). Editions for homes lack both.
Of what ``quser`` prints the head and the state are translated; a session without a name is one
whose screen is closed (disconnected).
"""

import re

from attrs import frozen

from agent.commands.windows.host import Windows, console_text
from agent.errors import MissingCommandError

_ROW = re.compile(r"[ >](\S.{0,20}?)\s{2,}(?:([^\s\d]\S*)\s+)?(\d{1,10})\s+\S")
_LONGEST_MESSAGE = 255


@frozen
class UserSession:
    """Somebody who is logged in. ``session`` is empty where the screen is closed."""

    user: str
    session: str
    number: int


def query_arguments() -> list[str]:
    """Return the command that prints who is logged in; it ends with 1 where nobody is."""
    return ["quser.exe"]


def message_arguments(text: str, seconds: int) -> list[str]:
    """Return the command that shows everybody a text for so long."""
    said = " ".join(text.split())[:_LONGEST_MESSAGE]
    return ["msg.exe", "*", f"/time:{seconds}", said]


def parse_sessions(text: str) -> tuple[UserSession, ...]:
    """Return the sessions of ``quser``'s rows; the head has no number and is passed over."""
    rows = (_ROW.match(line) for line in text.splitlines())
    return tuple(UserSession(row[1], row[2] or "", int(row[3])) for row in rows if row)


def sessions(windows: Windows) -> tuple[UserSession, ...] | None:
    """Return who is logged in; None where this Windows lacks the program."""
    try:
        done = windows.run(query_arguments())
    except MissingCommandError:
        return None
    return parse_sessions(console_text(done.stdout))


def show_message(windows: Windows, text: str, seconds: int) -> bool:
    """Show everybody a text; return whether that was possible."""
    try:
        return windows.run(message_arguments(text, seconds)).status == 0
    except MissingCommandError:
        return False
