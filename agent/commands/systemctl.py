"""systemctl: ending an installed system's session, and its services."""

from pathlib import Path

from agent.commands.runner import run_command

_ACTIVE = 2
"""The column of list-units with the active state."""
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)


def verb_arguments(verb: str) -> list[str]:
    """Return the command for ``reboot`` or ``poweroff``; inhibitors do not hold it up."""
    return ["systemctl", "--no-wall", "--check-inhibitors=no", verb]


def run_verb(verb: str) -> None:
    """Ask systemd; CommandError where it refuses."""
    run_command(verb_arguments(verb))


def is_running() -> bool:
    """Return whether systemd is this system's service manager; not so in a chroot."""
    return _BOOTED.is_dir()


def change_unit(verb: str, unit: str) -> None:
    """Have systemd ``start``, ``restart`` or ``stop`` a unit; CommandError where it fails."""
    run_command(["systemctl", verb, unit])


def list_services() -> list[tuple[str, str, str]]:
    """Return name, active state and enablement of all services; CommandError without systemd."""
    options = ["--type=service", "--no-legend", "--no-pager"]
    units = run_command(["systemctl", "list-units", "--all", "--plain", "--full", *options])
    files = run_command(["systemctl", "list-unit-files", "--full", *options])
    return parse_services(
        units.stdout.decode("utf-8", "replace"), files.stdout.decode("utf-8", "replace")
    )


def parse_services(units: str, files: str) -> list[tuple[str, str, str]]:
    """Return the services that are loaded and those that are not, by both lists.

    Units that others name and that do not exist are left out, other names of units, and templates.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for line in files.splitlines():
        words = line.split()
        if len(words) > 1 and words[1] != "alias" and "@." not in words[0]:
            found[words[0]] = (words[0], "inactive", words[1])
    for line in units.splitlines():
        words = line.split()
        if len(words) > _ACTIVE and words[1] != "not-found":
            enabled = found[words[0]][2] if words[0] in found else ""
            found[words[0]] = (words[0], words[_ACTIVE], enabled)
    return list(found.values())
