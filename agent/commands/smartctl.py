"""smartctl: what a disk says of its own health."""

from pathlib import Path

from agent.commands.runner import run_command

_TIMEOUT_SECONDS = 20.0
_MOST_OUTPUT = 256 << 10


def read_health(device: Path) -> str:
    """Return all that smartctl says; CommandError where it is missing or does not answer.

    Its exit status is a set of bits that say how ill the disk is: each is an answer.
    """
    done = run_command(
        ["smartctl", "--xall", str(device)],
        accept=range(256),
        timeout=_TIMEOUT_SECONDS,
        most_output=_MOST_OUTPUT,
    )
    return done.stdout.decode("utf-8", "replace")
