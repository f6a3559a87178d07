"""Entries of a pip lock file (``name==version`` with its hashes). Pure."""

import re

from agent.errors import TerminalError


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
