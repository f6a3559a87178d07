"""systemctl, for ending an installed system's session."""

from agent.commands.runner import run_command


def verb_arguments(verb: str) -> list[str]:
    """Return the command for ``reboot`` or ``poweroff``; inhibitors do not hold it up."""
    return ["systemctl", "--no-wall", "--check-inhibitors=no", verb]


def run_verb(verb: str) -> None:
    """Ask systemd; CommandError where it refuses."""
    run_command(verb_arguments(verb))
