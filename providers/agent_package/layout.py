"""Where everything of the agent's package lies on a machine. Pure.

/opt/rackwright-agent/versions/VERSION/   one whole agent with its runtime, never changed
/opt/rackwright-agent/versions/VERSION/start   starts that one
/opt/rackwright-agent/current             a link to the one that the package manager installed
/usr/sbin/rackwright-agent                starts that one, or a newer release beside it
/etc/rackwright, /var/lib/rackwright      configuration and state, which outlive versions
"""

import re
from dataclasses import dataclass

from agent.config import PACKAGE_FILE
from agent.errors import TerminalError
from agent.identity.linux.agent_bundle import UNIT, unit_text
from agent.upgrade import places
from agent.version import AGENT_VERSION
from providers.deploy_os import root_tree, target_programs

NAME = "rackwright-agent"
HOME = places.HOME.relative_to("/").as_posix()
"""All paths here are relative to the root."""
CURRENT = f"{HOME}/{places.CURRENT}"
LAUNCHER = f"usr/sbin/{NAME}"
UNIT_PATH = f"usr/lib/systemd/system/{UNIT}"
SYSTEMD = "etc/systemd"
WANTS = f"{SYSTEMD}/system/multi-user.target.wants"
ENABLED = f"{WANTS}/{UNIT}"
CONFIG_FOLDER = "etc/rackwright"
STATE_FOLDER = "var/lib/rackwright"

# These are relative to the folder of a version.
AGENT_FOLDER = root_tree.AGENT_FOLDER
LIBRARIES = target_programs.LIBRARIES
LOADER = target_programs.LOADER
PYTHON = target_programs.PYTHON
DESCRIPTION = f"{AGENT_FOLDER}/{PACKAGE_FILE.name}"
MAIN = f"{AGENT_FOLDER}/__main__.py"
START = places.START
_LAUNCHER_PROGRAM = f"{AGENT_FOLDER}/agent/upgrade/launcher.py"

_VERSION = re.compile(r"[0-9][0-9A-Za-z.]*")
_MOST_REVISIONS = 10**9


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """The agent's version, and which build of it this is (from 1)."""

    version: str
    revision: int

    def __str__(self) -> str:
        return f"{self.version}-{self.revision}"

    @property
    def folder(self) -> str:
        """Where this version is installed."""
        return f"{HOME}/{places.VERSIONS}/{self}"


def version_of(revision: int, version: str = AGENT_VERSION) -> PackageVersion:
    """Return the version of a package; RW823 where package managers could not order it."""
    if not _VERSION.fullmatch(version) or not 0 < revision < _MOST_REVISIONS:
        raise TerminalError(
            "RW823",
            f"{version}-{revision} is no version that every package manager can order",
            "Give --revision a number from 1; a greater one replaces a smaller one",
        )
    return PackageVersion(version, revision)


# The host's loader settings and locales are those of another C library.
_CARRIED = """\
unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT GCONV_PATH LOCPATH
LC_ALL=C
export LC_ALL
"""


def launcher_text() -> str:
    """Return the program that starts the agent that is used.

    The link is followed once, so that an agent that runs stays with its own files when
    the link is changed.
    """
    return f"""\
#!/bin/sh
# Starts the Rackwright agent: the one of this package, or a newer release beside it.
{_CARRIED}home=$(readlink -f /{CURRENT}) || exit 70
exec "$home/{PYTHON}" -I -B -X utf8 "$home/{_LAUNCHER_PROGRAM}" "$@"
"""


def start_text(version: PackageVersion) -> str:
    """Return the program that starts the agent of one version, with the Python that it carries."""
    home = f"/{version.folder}"
    return f"""\
#!/bin/sh
{_CARRIED}exec {home}/{PYTHON} -I -B -X utf8 {home}/{AGENT_FOLDER} "$@"
"""


def packaged_unit_text() -> str:
    """Return the systemd.service(5) unit: it waits, inactive, until the agent was joined."""
    return unit_text(
        f"/{LAUNCHER} service",
        conditions=(f"/{CONFIG_FOLDER}/agent.json", f"/{CONFIG_FOLDER}/token"),
    )
