"""apt: which newer versions of installed packages it knows of. Only what reads is called."""

import re
from pathlib import Path
from typing import NamedTuple

from agent.commands.runner import run_command

_TIMEOUT_SECONDS = 120.0
_LINE = re.compile(
    r"(?P<name>[^/\s]+)/(?P<origin>\S+) (?P<available>\S+) (?P<architecture>\S+)"
    r" \[upgradable from: (?P<installed>[^\]\s]+)\]"
)


class Upgradable(NamedTuple):
    """A newer version of a package, from apt, dnf or zypper."""

    name: str
    architecture: str
    installed: str
    """Empty where the package manager does not say it."""
    available: str
    origin: str


def list_upgradable(root: Path) -> list[Upgradable]:
    """Return what is newer by the lists that were fetched last; pins are heeded.

    It is not asked what a dist-upgrade would do: the resolver takes several times as long. It
    calls neither the network nor a lock. CommandError where apt cannot tell.
    """
    options = [] if root == Path("/") else ["--option", f"Dir={root}"]
    done = run_command(["apt", *options, "list", "--upgradable"], timeout=_TIMEOUT_SECONDS)
    return parse_upgradable(done.stdout.decode("utf-8", "replace"))


def parse_upgradable(text: str) -> list[Upgradable]:
    """Return the packages of ``apt list --upgradable``; other lines are passed over."""
    found = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return [
        Upgradable(
            each["name"],
            each["architecture"],
            each["installed"],
            each["available"],
            each["origin"].removesuffix(",now"),
        )
        for each in found
        if each is not None
    ]
