"""busctl: calls on the system's D-Bus, answered as JSON.

``loginctl`` and ``systemd-inhibit`` print tables whose columns differ between systemd 247 and 257,
and whose cells hold blanks. What busctl prints is the same in all of them.
"""

import json
from typing import Any

from agent.commands.runner import run_command
from agent.errors import TerminalError

_SECONDS = 10.0
"""A service that hangs holds nobody up for longer; D-Bus itself waits 25 s."""
_MOST_OUTPUT = 4 << 20


def call_arguments(
    service: str, path: str, interface: str, method: str, *arguments: str
) -> list[str]:
    """Return the command for one call; ``arguments`` are a signature and its values."""
    what = [service, path, interface, method, *arguments]
    return ["busctl", "--system", "--json=short", "--", "call", *what]


def call(service: str, path: str, interface: str, method: str, *arguments: str) -> list[Any]:
    """Return the values that a service answers; CommandError, or TerminalError RW245."""
    argv = call_arguments(service, path, interface, method, *arguments)
    done = run_command(argv, timeout=_SECONDS, most_output=_MOST_OUTPUT)
    return parse_reply(done.stdout)


def parse_reply(output: bytes) -> list[Any]:
    """Return the values of ``{"type":"…","data":[…]}``; TerminalError RW245 for anything else."""
    try:
        values = json.loads(output)["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise odd_reply(repr(error)) from error
    if not isinstance(values, list):
        raise odd_reply("its data is no list")
    return values


def odd_reply(why: str) -> TerminalError:
    """Return the error for an answer of another form than the interface has."""
    return TerminalError(
        "RW245",
        f"the login manager's answer cannot be understood: {why}"[:500],
        "Compare the version of systemd with the supported ones (247 to 257)",
    )
