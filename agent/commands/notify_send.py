"""notify-send: a notification in one person's graphical session, started as that person."""

from agent.commands.runner import run_command
from agent.plain_text import plain_text

_SECONDS = 10.0


def notify_arguments(user: str, uid: int, text: str, urgency: str = "normal") -> list[str]:
    """Return the command; ``user`` and ``uid`` are of one account.

    ``urgency`` is ``low``, ``normal`` or ``critical``, which stays until it is closed (Desktop
    Notifications Specification).
    The session's bus is where systemd has it (``/run/user/UID/bus``); its sender has to be the
    person, who alone may connect.
    """
    bus = f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus"
    send = ["notify-send", f"--urgency={urgency}", "--app-name=Rackwright"]
    return ["runuser", "-u", user, "--", "env", bus, *send, "--", "Rackwright", plain_text(text)]


def notify(user: str, uid: int, text: str, urgency: str = "normal") -> None:
    """Show a notification; CommandError where nobody shows any."""
    run_command(
        notify_arguments(user, uid, text, urgency),
        timeout=_SECONDS,
        environment={"LC_ALL": "C.UTF-8"},
    )
