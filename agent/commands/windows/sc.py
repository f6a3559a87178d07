"""sc.exe: services.

Source: Microsoft, "sc.exe create", "failure", "query" (Windows Commands); SERVICE_STATUS for the
numbers. Labels are translated (French Windows writes ETAT), so numbers count by their place.
An option's name ends with ``=``, and its value is the next word.
"""

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from agent.commands.windows.host import Windows, console_text
from agent.errors import CommandError

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
NO_SUCH_SERVICE = 1060
ALREADY_RUNNING = 1056
NOT_RUNNING = 1062
NEVER_STARTED = 1077
"""The exit status of a service that was not started since Windows started."""

_NUMBER = re.compile(r"\s+[^:]*:\s*([0-9a-fA-Fx]+)\b")


@frozen
class ServiceStatus:
    """How a service stands. ``state`` is one of the numbers above or 5 to 7 (paused and so on)."""

    name: str
    kind: int
    state: int
    exit_status: int
    """Why it stopped: a Win32 error; 1066: it has one of its own."""


def create_arguments(name: str, command_line: str, title: str) -> list[str]:
    """Return the command that makes a service of the system's account, started at boot."""
    return [
        "sc.exe",
        "create",
        name,
        "type=",
        "own",
        "start=",
        "auto",
        "binPath=",
        command_line,
        "DisplayName=",
        title,
    ]


def failure_arguments(name: str, reset_seconds: int, waits: Sequence[int]) -> list[str]:
    """Return the command that has a failed service started again after each of the waits.

    ``waits`` are in seconds, the last one for all later failures; after ``reset_seconds``
    without a failure they begin anew.
    """
    actions = "/".join(f"restart/{1000 * wait}" for wait in waits)
    return ["sc.exe", "failure", name, "reset=", str(reset_seconds), "actions=", actions]


def verb_arguments(verb: str, name: str) -> list[str]:
    """Return the command for ``query``, ``start``, ``stop`` or ``delete``."""
    return ["sc.exe", verb, name]


def query_all_arguments() -> list[str]:
    """Return the command that prints all services, running or not."""
    return ["sc.exe", "query", "type=", "service", "state=", "all", "bufsize=", "262144"]


def parse_query(text: str) -> tuple[ServiceStatus, ...]:
    """Return the services that ``sc query`` printed; blocks that are none are passed over."""
    services: list[ServiceStatus] = []
    name = ""
    numbers: list[str] = []
    for line in [*text.splitlines(), "end:"]:
        found = _NUMBER.match(line)
        if found:
            numbers.append(found.group(1))
        elif line[:1].strip() and ":" in line:
            if numbers:
                services += _status(name, numbers)
                name, numbers = "", []
            name = name or line.partition(":")[2].strip()  # the display name follows it
    return tuple(services)


def _status(name: str, numbers: Sequence[str]) -> Iterable[ServiceStatus]:
    try:
        kind, state, exit_status = int(numbers[0], 16), int(numbers[1]), int(numbers[2])
    except (ValueError, IndexError):
        return ()
    return (ServiceStatus(name, kind, state, exit_status),) if name else ()


def query(windows: Windows, name: str) -> ServiceStatus | None:
    """Return how a service stands; None where there is none of this name."""
    done = windows.run(verb_arguments("query", name))
    found = parse_query(console_text(done.stdout)) if done.status == 0 else ()
    return found[0] if found else None


def query_all(windows: Windows) -> tuple[ServiceStatus, ...]:
    """Return how all services stand; none where ``sc`` refuses."""
    done = windows.run(query_all_arguments())
    return parse_query(console_text(done.stdout)) if done.status == 0 else ()


def run(windows: Windows, argv: Sequence[str], accept: Sequence[int] = ()) -> None:
    """Run a command; CommandError RW565 where its status is neither 0 nor in ``accept``."""
    done = windows.run(argv)
    if done.status not in (0, *accept):
        raise CommandError(argv[:3], f"ended with status {done.status}", done.stderr, done.status)
