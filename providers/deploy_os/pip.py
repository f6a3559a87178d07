"""pip: unpacks wheels whose hashes the lock file pins (``name==version`` with its hashes)."""

import re
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
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"),
        *("--target", str(target), "--python-version", PYTHON_VERSION, "--implementation", "cp"),
        *platforms,
        *("--only-binary", ":all:", "--require-hashes", "--no-deps", "--no-compile"),
        *("--requirement", str(requirements)),
    ]


def unpack(requirements: Path, target: Path, log: Path) -> None:
    """Run pip. RW856 when it fails, RW853 when this Python has no pip."""
    try:
        command.run(
            arguments(requirements, target),
            log,
            code="RW856",
            action="Check that this host reaches a Python package index, then run the build again",
        )
    except command.CommandFailedError as error:
        if any("No module named pip" in line for line in error.tail):
            raise TerminalError(
                "RW853",
                f"the Python that runs Rackwright ({sys.executable}) has no pip",
                "Install: apt install python3-pip, or add pip to the virtual environment",
            ) from error
        raise


def extract(lock: str, distributions: tuple[str, ...]) -> str:
    """Return a requirements file with just ``distributions``, versions and hashes unchanged.

    Names are compared as PEP 503 says. RW852 names those that the lock file lacks.
    """
    entries = _entries(lock)
    missing = [name for name in distributions if _normal(name) not in entries]
    if missing:
        raise TerminalError(
            "RW852",
            f"requirements.lock has no entry for {', '.join(missing)}",
            "Add the dependency to the project and compile the lock file again",
        )
    return "".join(entries[_normal(name)] for name in sorted(distributions))


def _entries(lock: str) -> dict[str, str]:
    """Return each entry as it stands in ``lock``, comments left out, by normal name."""
    entries: dict[str, str] = {}
    for logical in re.split(r"\n(?=\S)", lock):
        match = re.match(r"([A-Za-z0-9._-]+)==\S+", logical)
        if not match:
            continue
        lines = [line for line in logical.splitlines() if not line.lstrip().startswith("#")]
        entries[_normal(match[1])] = "\n".join(lines) + "\n"
    return entries


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
