"""shutdown.exe: restarting and switching off, after a wait in which it can be called off.

Source: Microsoft, "shutdown" (Windows Commands); "System Shutdown Reason Codes". With a wait
of more than 0 s, programs are ended whether they agree or not (``/f`` is implied).
"""

LONGEST_COMMENT = 512
LONGEST_WAIT = 315_360_000

MAINTENANCE = "p:4:1"
"""Application, maintenance, planned."""
HOTFIX = "p:2:17"
"""Operating system, hotfix, planned."""

UNDER_WAY = 1115
SCHEDULED_ALREADY = 1190


def restart_arguments(wait: int, comment: str, reason: str = MAINTENANCE) -> list[str]:
    """Return the command that restarts Windows in ``wait`` seconds."""
    return ["shutdown.exe", "/r", *_options(wait, comment, reason)]


def power_off_arguments(wait: int, comment: str, reason: str = MAINTENANCE) -> list[str]:
    """Return the command that switches the machine off in ``wait`` seconds."""
    return ["shutdown.exe", "/s", *_options(wait, comment, reason)]


def abort_arguments() -> list[str]:
    """Return the command that calls a restart off while it waits."""
    return ["shutdown.exe", "/a"]


def _options(wait: int, comment: str, reason: str) -> list[str]:
    seconds = min(max(wait, 0), LONGEST_WAIT)
    said = " ".join(comment.split())[:LONGEST_COMMENT]
    return ["/t", str(seconds), *(["/c", said] if said else []), "/d", reason]
