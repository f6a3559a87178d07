"""Services: what there is, and the agent as one of them."""

from collections.abc import Sequence

from agent.clock import Clock
from agent.commands.windows import sc
from agent.commands.windows.host import Windows
from agent.errors import TerminalError
from agent.windows.live_registry import read_keys
from agent.windows.records import Service
from agent.windows.registry import RegistryKey, children, find

_SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
_STARTS = ("boot", "system", "automatic", "manual", "disabled")
_OWN_OR_SHARED = 0x30  # SERVICE_WIN32; other types are drivers
_LOOK_SECONDS = 0.5
_RESTART_AFTER = (5, 30, 300)
_HEALTHY_SECONDS = 86_400


def read_services(windows: Windows) -> tuple[Service, ...]:
    """Return all services that are no drivers, by name. TerminalError RW237."""
    known = {status.name.lower(): status for status in sc.query_all(windows)}
    keys = read_keys(windows, _SERVICES)
    found = [
        _service(key, known.get(key.name.lower()))
        for key in children(keys, _SERVICES)
        if key.number("Type") & _OWN_OR_SHARED
    ]
    return tuple(sorted(found, key=lambda each: each.name.lower()))


def install_service(windows: Windows, name: str, command_line: str, title: str) -> None:
    """Make a service that starts at boot and again after failures; CommandError RW565.

    One that is there gets the command line and the title.
    """
    if is_service(windows, name):
        argv = sc.create_arguments(name, command_line, title)
        sc.run(windows, [argv[0], "config", *argv[2:]])
    else:
        sc.run(windows, sc.create_arguments(name, command_line, title))
    start_again_after_failures(windows, name)


def start_again_after_failures(windows: Windows, name: str) -> None:
    """Have Windows start a service again that ended without a word; CommandError RW565."""
    sc.run(windows, sc.failure_arguments(name, _HEALTHY_SECONDS, _RESTART_AFTER))


def remove_service(windows: Windows, name: str, clock: Clock, timeout: float) -> None:
    """Stop a service and delete it; nothing where there is none.

    CommandError RW565; TerminalError RW236 where it does not stop in ``timeout`` seconds.
    """
    if is_service(windows, name):
        stop_service(windows, name, clock, timeout)
        sc.run(windows, sc.verb_arguments("delete", name), accept=(sc.NO_SUCH_SERVICE,))


def start_service(windows: Windows, name: str, clock: Clock, timeout: float) -> None:
    """Start a service and wait until it runs.

    CommandError RW565; TerminalError RW236 where it does not run in ``timeout`` seconds.
    """
    sc.run(windows, sc.verb_arguments("start", name), accept=(sc.ALREADY_RUNNING,))
    _wait_for(windows, name, (sc.RUNNING,), clock, timeout)


def stop_service(windows: Windows, name: str, clock: Clock, timeout: float) -> None:
    """Stop a service and wait until it has stopped.

    CommandError RW565; TerminalError RW236 where it does not stop in ``timeout`` seconds.
    """
    status = sc.query(windows, name)
    if status is None or status.state == sc.STOPPED:
        return
    sc.run(windows, sc.verb_arguments("stop", name), accept=(sc.NOT_RUNNING,))
    _wait_for(windows, name, (sc.STOPPED,), clock, timeout)


def is_service(windows: Windows, name: str) -> bool:
    """Return whether there is a service of this name. TerminalError RW237."""
    place = rf"{_SERVICES}\{name}"
    return find(read_keys(windows, place), place) is not None


def _wait_for(
    windows: Windows, name: str, states: Sequence[int], clock: Clock, timeout: float
) -> None:
    end = clock.monotonic() + timeout
    status = sc.query(windows, name)
    while status is None or status.state not in states:
        if clock.monotonic() >= end:
            shown = "is not there" if status is None else f"is in state {status.state}"
            raise TerminalError(
                "RW236",
                f"the service {name} {shown} after {timeout:.0f} s, wanted {states[0]}",
                "See the event log of the machine for the service's own words",
            )
        clock.pause(_LOOK_SECONDS)
        status = sc.query(windows, name)


def _service(key: RegistryKey, status: sc.ServiceStatus | None) -> Service:
    start = key.number("Start")
    return Service(
        name=key.name,
        title=key.text("DisplayName"),
        start=_STARTS[start] if start < len(_STARTS) else str(start),
        account=key.text("ObjectName"),
        command_line=key.text("ImagePath"),
        state=status.state if status else 0,
        exit_status=status.exit_status if status else 0,
    )
