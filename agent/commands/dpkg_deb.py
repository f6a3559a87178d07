"""dpkg-deb: what a package file says of itself."""

from pathlib import Path

from agent.commands.runner import run_command


def package_name(file: Path) -> str:
    """Return the name of the package in a file; CommandError where it is none."""
    argv = ["dpkg-deb", "--field", str(file), "Package"]
    return run_command(argv).stdout.decode("utf-8", "replace").strip()
