"""loginctl: who is logged in at the machine."""

from datetime import datetime, timezone
from typing import NamedTuple

from agent.commands.runner import run_command


def properties(kind: str, name: str) -> dict[str, str]:
    """Return what ``show-seat`` or ``show-session`` says of one; CommandError."""
    done = run_command(["loginctl", f"show-{kind}", "--", name])
    return parse_properties(done.stdout.decode("utf-8", "replace"))


def sessions() -> list[str]:
    """Return the ids of all sessions; CommandError."""
    output = run_command(["loginctl", "list-sessions", "--no-legend"]).stdout
    return [words[0] for line in output.decode().splitlines() if (words := line.split())]


def parse_properties(output: str) -> dict[str, str]:
    """Return the assignments that systemd's programs print, one a line."""
    return {
        name: value
        for name, equals, value in (line.partition("=") for line in output.splitlines())
        if equals
    }


_PROPERTIES = ("Id", "Name", "TTY", "Timestamp", "RemoteHost", "Class")
_IN_UTC = {"TZ": "UTC"}
_FORMAT = "%a %Y-%m-%d %H:%M:%S UTC"


class LoginSession(NamedTuple):
    """One session."""

    session: str
    user: str
    terminal: str
    since: str
    """ISO 8601 in UTC."""
    host: str


def list_sessions() -> list[LoginSession]:
    """Return the sessions of users; CommandError without systemd-logind."""
    done = run_command(["loginctl", "list-sessions", "--no-legend", "--no-pager"])
    names = [line.split()[0] for line in done.stdout.decode().splitlines() if line.strip()]
    if not names:
        return []
    shown = [f"--property={each}" for each in _PROPERTIES]
    done = run_command(
        ["loginctl", "show-session", "--no-pager", *shown, "--", *names],
        accept=(0, 1),  # a session may have ended meanwhile
        environment=_IN_UTC,
    )
    return parse_sessions(done.stdout.decode("utf-8", "replace"))


def parse_sessions(text: str) -> list[LoginSession]:
    """Return the sessions of class ``user``, which empty lines part."""
    found = []
    for block in text.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if values.get("Id") and values.get("Class", "user") == "user":
            found.append(
                LoginSession(
                    values["Id"],
                    values.get("Name", ""),
                    values.get("TTY", ""),
                    _iso(values.get("Timestamp", "")),
                    values.get("RemoteHost", ""),
                )
            )
    return found


def _iso(text: str) -> str:
    try:
        at = datetime.strptime(text, _FORMAT).replace(tzinfo=timezone.utc)  # noqa: UP017 - 3.9
    except ValueError:
        return ""
    return at.isoformat()
