"""pip: unpacks wheels whose hashes the lock file pins."""

import sys
from pathlib import Path

from agent.errors import TerminalError
from providers.deploy_os import command

PYTHON_VERSION = "3.11"
"""Of Debian 12, whatever Python runs the build."""

_PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64")
"""What Debian 12's libc (2.36) can load, newest first."""


def arguments(requirements: Path, target: Path) -> list[str]:
    """Return the command line that unpacks ``requirements`` below ``target``."""
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    return [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "--target",
        str(target),
        "--python-version",
        PYTHON_VERSION,
        "--implementation",
        "cp",
        *platforms,
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--no-deps",
        "--no-compile",
        "--requirement",
        str(requirements),
    ]


def unpack(requirements: Path, target: Path, log: Path) -> None:
    """Run pip. RW856 when it fails, RW853 when this Python has no pip."""
    try:
        command.run(arguments(requirements, target), log)
    except command.CommandFailedError as error:
        if any("No module named pip" in line for line in error.tail):
            raise TerminalError(
                "RW853",
                f"the Python that runs Rackwright ({sys.executable}) has no pip",
                "Install: apt install python3-pip, or add pip to the virtual environment",
            ) from error
        raise error.as_terminal(
            "RW856",
            "Check that this host reaches a Python package index, then run the build again",
        ) from error
