"""dpkg: package files of Debian, and what an interrupted installation has left."""

from collections.abc import Sequence
from pathlib import Path

from agent.commands.runner import run_command

LOCKED = 2
"""Its status where another process has the lock, among other things."""


def configure_arguments() -> list[str]:
    """Return the command that finishes all packages that are unpacked and not configured."""
    return ["dpkg", *_options(), "--configure", "--pending"]


def install_arguments(files: Sequence[Path], arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that installs package files, without what they depend on."""
    return ["dpkg", *_options(), *arguments, "--install", "--", *map(str, files)]


def is_at_least(version: str, wanted: str) -> bool:
    """Return whether a version is not below another, as Debian orders them; CommandError."""
    argv = ["dpkg", "--compare-versions", version, "ge", wanted]
    return run_command(argv, accept=(0, 1)).status == 0


def architecture() -> str:
    """Return the system's own: ``amd64``; CommandError."""
    return run_command(["dpkg", "--print-architecture"]).stdout.decode().strip()


def _options() -> list[str]:
    return ["--force-confdef", "--force-confold"]
