"""wall: a message on the terminals of all who are logged in."""

from agent.commands.runner import run_command
from agent.plain_text import plain_text

_SECONDS = 15.0
"""A terminal that takes nothing holds wall up for ``--timeout`` seconds each."""


def wall_arguments() -> list[str]:
    """Return the command; the message comes by standard input."""
    return ["wall", "--timeout", "5"]


def write_to_all(text: str) -> None:
    """Show one line on all terminals; CommandError where wall fails.

    In the C locale wall prints every letter that is not ASCII as octal numbers.
    """
    run_command(
        wall_arguments(),
        timeout=_SECONDS,
        standard_input=f"{plain_text(text)}\n".encode(),
        environment={"LC_ALL": "C.UTF-8"},
    )
