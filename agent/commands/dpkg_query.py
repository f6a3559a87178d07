"""dpkg-query: the packages of a Debian system."""

from pathlib import Path
from typing import NamedTuple

from agent.commands.runner import run_command

_INSTALLED = ("installed", "triggers-awaited", "triggers-pending")
_NOT_THERE = ("not-installed", "config-files")


def installed_version(name: str) -> str:
    """Return the version of a package that is wholly installed, else empty; CommandError."""
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status}\t${Version}\n", "--", name]
    done = run_command(argv, accept=(0, 1))
    return parse_version(done.stdout.decode("utf-8", "replace"))


def parse_version(output: str) -> str:
    """Return the version in the first line of an installed package; empty where there is none."""
    for line in output.splitlines():
        status, _, version = line.partition("\t")
        if status in _INSTALLED:
            return version
    return ""


def unfinished() -> list[str]:
    """Return the packages that are neither installed nor removed; CommandError."""
    argv = ["dpkg-query", "--show", "--showformat=${Package}\t${db:Status-Status}\n"]
    output = run_command(argv, accept=(0, 1)).stdout.decode("utf-8", "replace")
    rows = [line.partition("\t") for line in output.splitlines()]
    return [name for name, _, status in rows if status not in ("installed", *_NOT_THERE)]


_LIST_FORMAT = (
    r"${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\t"
    r"${source:Package}\t${source:Version}\t${Origin}\n"
)
_COLUMNS = 7
_GONE = frozenset({"n", "c"})
"""States of a package of which nothing, or only its configuration, is left (dpkg-query(1))."""


class DebPackage(NamedTuple):
    """One package as dpkg has it."""

    name: str
    architecture: str
    version: str
    source: str
    source_version: str
    origin: str
    held: bool


def list_packages(root: Path) -> list[DebPackage]:
    """Return the packages of the system under ``root``; CommandError without a dpkg database."""
    done = run_command(
        [
            "dpkg-query",
            f"--admindir={root / 'var/lib/dpkg'}",
            "--show",
            f"--showformat={_LIST_FORMAT}",
        ]
    )
    return parse_packages(done.stdout.decode("utf-8", "replace"))


def parse_packages(text: str) -> list[DebPackage]:
    """Return the packages of which more than the configuration is there."""
    found = []
    for line in text.splitlines():
        columns = line.split("\t")
        if len(columns) != _COLUMNS or columns[0][1:2] in _GONE:
            continue
        state, name, architecture, version, source, source_version, origin = columns
        found.append(
            DebPackage(
                name,
                architecture,
                version,
                source,
                source_version,
                origin,
                held=state[:1] == "h",
            )
        )
    return found
