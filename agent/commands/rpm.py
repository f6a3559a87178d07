"""rpm: which packages are installed, their database, and package files where nothing else is."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.commands.runner import run_command
from agent.errors import CommandError

_PLAIN = re.compile(r"[A-Za-z0-9._+~^]+")
_FORMAT = "%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"


def installed_version(name: str) -> str:
    """Return ``version-release`` of a package, with its epoch if any; empty where it is not there.

    Of several, as kernels are, the one that was installed last. CommandError.
    """
    argv = ["rpm", "--query", "--queryformat", _FORMAT, "--", name]
    done = run_command(argv, accept=(0, 1))
    if done.status != 0:
        return ""
    lines = done.stdout.decode("utf-8", "replace").split()
    return lines[-1].removeprefix("0:") if lines else ""


def file_name_version(file: Path) -> tuple[str, str]:
    """Return the name and ``version-release`` of the package in a file; CommandError."""
    argv = ["rpm", "--query", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\n", "--package"]
    name, _, version = run_command([*argv, str(file)]).stdout.decode().strip().partition(" ")
    return name, version


def install_arguments(files: Sequence[Path], arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that installs or upgrades package files."""
    return ["rpm", "--upgrade", *arguments, "--", *map(str, files)]


def is_at_least(version: str, wanted: str) -> bool:
    """Return whether ``[epoch:]version[-release]`` is not below another, as RPM orders them.

    What the wanted one does not say is not compared. CommandError.
    """
    (epoch, own, release), (wanted_epoch, least, least_release) = _parts(version), _parts(wanted)
    if int(epoch or 0) != int(wanted_epoch or 0):
        return int(epoch or 0) > int(wanted_epoch or 0)
    order = _compared(own, least)
    if order == 0 and least_release:
        order = _compared(release, least_release)
    return order >= 0


def _parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.rpartition(":")
    own, _, release = rest.partition("-")
    return epoch if colon and epoch.isdigit() else "", own, release


def _compared(one: str, other: str) -> int:
    """Return -1, 0 or 1 by RPM's own comparison."""
    for text in (one, other):
        if not _PLAIN.fullmatch(text):
            raise CommandError(["rpm", "--eval"], "cannot compare versions", repr(text))
    argv = ["rpm", "--eval", f'%{{lua:print(rpm.vercmp("{one}", "{other}"))}}']
    return int(run_command(argv).stdout.decode().strip())


def is_database_readable() -> bool:
    """Return whether all of the list of installed packages can be read."""
    try:
        done = run_command(["rpm", "--query", "--all", "--queryformat", "."])
    except CommandError:
        return False
    return "error:" not in done.stderr


def rebuild_arguments() -> list[str]:
    """Return the command that makes the database anew from the headers that can be read."""
    return ["rpm", "--rebuilddb"]


_LIST_FORMAT = (
    r"%{NAME}\t%{ARCH}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{SOURCERPM}\t%{VENDOR}\n"
)
_COLUMNS = 5
_NONE = "(none)"
_KEYS = "gpg-pubkey"
"""Keys are kept as packages without files."""


class RpmPackage(NamedTuple):
    """One package as rpm has it."""

    name: str
    architecture: str
    version: str
    """``EPOCH:VERSION-RELEASE``; without an epoch, without it."""
    source: str
    source_version: str
    origin: str


def list_packages(root: Path, database: str) -> list[RpmPackage]:
    """Return the packages of the system under ``root``; CommandError where rpm cannot tell.

    ``database`` is the folder of its database, from that root.
    """
    place = [f"--root={root}", f"--dbpath=/{database}"]
    done = run_command(["rpm", *place, "--query", "--all", f"--queryformat={_LIST_FORMAT}"])
    return parse_packages(done.stdout.decode("utf-8", "replace"))


def parse_packages(text: str) -> list[RpmPackage]:
    """Return the packages without the keys that are kept among them."""
    found = []
    for line in text.splitlines():
        columns = ["" if each == _NONE else each for each in line.split("\t")]
        if len(columns) != _COLUMNS or columns[0] == _KEYS:
            continue
        name, architecture, version, file, origin = columns
        found.append(RpmPackage(name, architecture, version, *_source(file), origin))
    return found


def _source(file: str) -> tuple[str, str]:
    """Return name and version of ``NAME-VERSION-RELEASE.src.rpm``."""
    stem = file
    for ending in (".src.rpm", ".nosrc.rpm"):
        if file.endswith(ending):
            stem = file[: -len(ending)]
    name, _, rest = stem.rpartition("-")
    name, dash, version = name.rpartition("-")
    return (name, f"{version}-{rest}") if dash else (stem, "")
