"""dnf: packages from the machine's own sources and package files; which newer ones it knows of."""

import re
from collections.abc import Sequence
from pathlib import Path

from agent.commands.apt import Upgradable
from agent.commands.runner import run_command

LOCKED = 200
"""Its status with ``exit_on_lock`` where another process has the lock (dnf.conf(5))."""

_TIMEOUT_SECONDS = 120.0
_UPDATES = 100
"""Exit status of check-update where there are some (dnf(8))."""
_COLUMNS = 3
_OBSOLETES = "Obsoleting Packages"
_FAILED_SCRIPT = re.compile(r"^Error in \w+ scriptlet in rpm package ", re.MULTILINE)


def has_failed_script(output: str) -> bool:
    """Return whether a package's script failed: after %post dnf succeeds all the same."""
    return _FAILED_SCRIPT.search(output) is not None


def install_arguments(wanted: Sequence[str], arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that installs ``name``, ``name-version`` or a file by its path."""
    return [
        *("dnf", "--assumeyes", "--setopt=exit_on_lock=True", "--setopt=best=True"),
        *(*arguments, "install", "--", *wanted),
    ]


def check_update(root: Path) -> list[Upgradable]:
    """Return what is newer by the metadata that were fetched last; the network is not asked.

    CommandError where dnf is missing or cannot tell.
    """
    options = [] if root == Path("/") else [f"--installroot={root}"]
    done = run_command(
        ["dnf", *options, "--quiet", "--cacheonly", "check-update"],
        accept=(0, _UPDATES),
        timeout=_TIMEOUT_SECONDS,
    )
    return parse_updates(done.stdout.decode("utf-8", "replace"))


def parse_updates(text: str) -> list[Upgradable]:
    """Return the lines ``NAME.ARCH VERSION REPOSITORY``; a long one goes on in the next."""
    found = []
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith(_OBSOLETES):
            break  # what follows repeats packages under others
        words = [*words, *line.split()] if line.startswith(" ") else line.split()
        if len(words) != _COLUMNS:
            continue
        full, version, origin = words
        name, dot, architecture = full.rpartition(".")
        if dot and version[:1].isalnum():
            found.append(Upgradable(name, architecture, "", version, origin))
        words = []
    return found


def needs_restarting() -> bool:
    """Return whether the system waits for a restart; CommandError where that cannot be told."""
    done = run_command(
        ["needs-restarting", "--reboothint"], accept=(0, 1), timeout=_TIMEOUT_SECONDS
    )
    return done.status == 1
