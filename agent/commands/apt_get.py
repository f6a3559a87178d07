"""apt-get: packages from the machine's own sources, and package files with what they depend on.

It never asks: questions of packages get their defaults, changed configuration files stay as
they are, needrestart only lists. apt(8), apt.conf(5), dpkg(1), debconf(7).
"""

import re
from collections.abc import Sequence

FAILED = 100
"""Its only status for what went wrong."""
LOCK_WAIT_SECONDS = 300
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "UCF_FORCE_CONFFOLD": "1",
}
_PLANNED = re.compile(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", re.MULTILINE)


def update_arguments() -> list[str]:
    """Return the command that reads the sources' lists; status 0 where some could not be read."""
    return ["apt-get", "--quiet", *_options(), "update"]


def install_arguments(
    wanted: Sequence[str],
    arguments: Sequence[str] = (),
    *,
    simulate: bool = False,
    again: bool = False,
) -> list[str]:
    """Return the command that installs ``name``, ``name=version`` or a file by its path.

    ``arguments`` are further options. Nothing is removed for it. ``again`` is for a package that
    is half installed: apt would take it for installed, and say that it succeeded.
    """
    only = [option for option, given in (("--simulate", simulate), ("--reinstall", again)) if given]
    return [
        *("apt-get", "--quiet", "--yes", "--no-remove"),
        *(*_options(), *arguments, *only, "install", "--", *wanted),
    ]


def repair_arguments() -> list[str]:
    """Return the command that installs what installed packages lack, and removes nothing."""
    return [
        *("apt-get", "--quiet", "--yes", "--no-remove", "--fix-broken"),
        *(*_options(), "install"),
    ]


def parse_planned(output: str) -> list[str]:
    """Return ``name=version`` of each package that a simulation would install."""
    return [f"{name}={version}" for name, version in _PLANNED.findall(output)]


def _options() -> list[str]:
    return [
        *("-o", f"DPkg::Lock::Timeout={LOCK_WAIT_SECONDS}"),
        *("-o", "Dpkg::Options::=--force-confdef"),
        *("-o", "Dpkg::Options::=--force-confold"),
        *("-o", "Dpkg::Use-Pty=0"),
        *("-o", "Acquire::Retries=2"),
    ]
