"""The user who sits at the machine, for installers that need one."""

import os
import sys
from pathlib import Path

from attrs import frozen

from agent.commands import loginctl
from agent.commands.supervised import ProgramUser
from agent.errors import CommandError, TransientError

if sys.platform != "win32":  # which has sessions of its own kind
    import pwd

_SEAT = "seat0"
_LEAST_USER = 1000  # below are the system's own, as the greeter of a display manager is


@frozen
class UserSession:
    """Who is logged in, and what a program needs to speak to that user."""

    name: str
    program_user: ProgramUser
    environment: dict[str, str]


def active_user() -> UserSession:
    """Return whose session is in front at the machine; TransientError RW226 where nobody's is."""
    try:
        seat = loginctl.properties("seat", _SEAT)
        session = loginctl.properties("session", seat.get("ActiveSession", ""))
    except CommandError as error:
        raise _nobody(f"logind does not say who: {error.words}") from error
    return session_of(session)


def session_of(session: dict[str, str]) -> UserSession:
    """Return the user of a session as ``loginctl show-session`` describes it; RW226."""
    if session.get("Class") != "user" or session.get("Active") != "yes":
        raise _nobody("no session of a user is active")
    try:
        entry = pwd.getpwuid(int(session.get("User", "")))
    except (ValueError, KeyError):
        raise _nobody(f"the session's user {session.get('User')!r} is unknown") from None
    if entry.pw_uid < _LEAST_USER:
        raise _nobody(f"{entry.pw_name} is a user of the system itself")
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    runtime = f"/run/user/{entry.pw_uid}"
    environment = {
        "HOME": entry.pw_dir,
        "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell,
        "USER": entry.pw_name,
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }
    if session.get("Display"):
        environment["DISPLAY"] = session["Display"]
        environment["XAUTHORITY"] = f"{entry.pw_dir}/.Xauthority"
    if session.get("Type") == "wayland" and Path(runtime, "wayland-0").exists():
        environment["WAYLAND_DISPLAY"] = "wayland-0"
    return UserSession(
        entry.pw_name, ProgramUser(entry.pw_uid, entry.pw_gid, tuple(groups)), environment
    )


def _nobody(why: str) -> TransientError:
    return TransientError(
        "RW226",
        f"nobody is logged in at the machine: {why}",
        "Run it when somebody is, or in the service's session",
    )
