"""Names that are given to package managers. Pure."""

import re

from agent.errors import TerminalError
from agent.wire.package import WantedPackage

# No option, no pattern that means several, and no `name-` by which apt removes.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:-]*(?<!-)")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~^_-]*")


def checked_name(wanted: WantedPackage, separator: str) -> str:
    """Return the software's name, and its version after the separator where one is wanted.

    TerminalError RW223 where a package manager would understand something else by it.
    """
    name, version = wanted.software_name, wanted.version
    if not _NAME.fullmatch(name) or (version and not _VERSION.fullmatch(version)):
        raise TerminalError(
            "RW223",
            f"{wanted.name}: {name!r} in version {version!r} is no package that can be asked for",
            "Write name and version as the package manager lists them",
        )
    return f"{name}{separator}{version}" if version else name


def refuse_user_session(wanted: WantedPackage) -> None:
    """Raise TerminalError RW224 where a user is to install what only the system can."""
    if wanted.session == "user":
        raise TerminalError(
            "RW224",
            f"{wanted.name} is to be installed by the user, and {wanted.adapter} installs for the"
            " whole system",
            "Take `session: user` off, or install it by a command",
        )
