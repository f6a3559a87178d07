"""Who gives a command: the operating system's word, never the environment's."""

import os
import pwd
from pathlib import Path

_OF_PROCESS = Path("/proc/self/loginuid")
_NOBODY_LOGGED_IN = 2**32 - 1


def login(recorded: Path = _OF_PROCESS) -> str:
    """Return the login of who gives this command, also where sudo or su changed the user.

    The kernel keeps it from the login on (pam_loginuid(8)). Where nobody logged in, as in a
    container or a service, it is the user that the process runs as.
    """
    number = _recorded(recorded)
    uid = os.getuid() if number is None else number
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def _recorded(path: Path) -> int | None:
    try:
        number = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if number == _NOBODY_LOGGED_IN else number
