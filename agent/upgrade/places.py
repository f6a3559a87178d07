"""Where releases of the agent lie, and what they are called. The standard library alone.

HOME/versions/VERSION/          one whole agent with all it carries
HOME/versions/VERSION/start     starts it, with the agent's arguments
HOME/current                    a link to the one that a package manager installed
STATE/launch.json               which of them is used
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from agent.version import AGENT_VERSION

HOME = Path("/opt/rackwright-agent")
START = "start"
CURRENT = "current"
VERSIONS = "versions"
PACKAGE_NAME = "rackwright-package.json"
"""Beside the agent, where it was installed by a package or is a release: has its version."""
LAUNCH_STATE = "launch.json"
LAUNCHED = "RACKWRIGHT_AGENT_LAUNCHED"
"""Set in the environment of an agent that the launcher started."""
RESTART_STATUS = 75
"""With it the agent ends to be started anew by the launcher (EX_TEMPFAIL)."""

_LIBRARY = Path(__file__).resolve().parents[2]
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){1,3}(-[0-9]{1,9})?")
_DEPTH = 4
"""A release's library is ``usr/lib/rackwright`` below its folder."""

VersionOrder = tuple[tuple[int, ...], int]


def version_order(version: str) -> VersionOrder:
    """Return by what versions are ordered: the agent's, then which build of it (0: none is said).

    ValueError for a text that is no version.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version[:80]!r} is no version of an agent")
    numbers, _, revision = version.partition("-")
    return tuple(map(int, numbers.split("."))), int(revision or 0)


def serves(version: str, wanted: str) -> bool:
    """Return whether an agent of a version does where ``wanted`` is asked for.

    Without a revision any build of ``wanted`` does.
    """
    return version_order(version) >= version_order(wanted)


def own_version(library: Path = _LIBRARY) -> str:
    """Return the version of the agent in this folder, with its revision where a package has it."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = str(json.loads((library / PACKAGE_NAME).read_bytes())["version"])
        if version_order(said)[0] == version_order(AGENT_VERSION)[0]:
            return said
    return AGENT_VERSION


def home_of(library: Path = _LIBRARY) -> Path:
    """Return where releases lie: around this agent where it is one, else the usual place."""
    parents = library.parents
    if len(parents) > _DEPTH and parents[_DEPTH - 1].name == VERSIONS:
        return parents[_DEPTH]
    return HOME


def folder_of(home: Path, version: str) -> Path:
    """Return the folder of a release; ValueError for what is no version."""
    version_order(version)
    return home / VERSIONS / version


def present_versions(home: Path) -> frozenset[str]:
    """Return the releases that are there, complete."""
    try:
        found = [path.name for path in (home / VERSIONS).iterdir() if (path / START).is_file()]
    except OSError:
        return frozenset()
    return frozenset(name for name in found if _VERSION.fullmatch(name))


def packaged_version(home: Path) -> str:
    """Return the version whose files belong to a package manager; empty where none has any."""
    try:
        return (home / CURRENT).readlink().name
    except OSError:
        return ""
