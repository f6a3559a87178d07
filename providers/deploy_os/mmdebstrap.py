"""mmdebstrap: downloads Debian packages with all they depend on and unpacks them.

Its "extract" variant is used: no maintainer script runs, nothing is mounted, and the
unpacked tree is not a system that could run, only files to choose from.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from providers.deploy_os import command
from providers.deploy_os.recipe import Recipe

TOOLS = {"mmdebstrap": "mmdebstrap", "dpkg-deb": "dpkg", "tar": "tar"}
ARCHIVES = Path("var/cache/apt/archives")
"""Where the downloaded packages stay, relative to the unpacked tree."""

_PLANNED = re.compile(r"\d+ upgraded, (\d+) newly installed")
_GOT = re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+)")
_ARCHIVE = re.compile(r"(?P<name>[^_]+)_(?P<version>[^_]+)_[^_]+\.deb")


def arguments(recipe: Recipe, target: Path, sources: Path | None) -> list[str]:
    """Return the command line that unpacks the recipe's packages below ``target``.

    Without ``sources`` (an apt sources file) the packages come from Debian's own servers,
    with updates and security updates, signed by the host's Debian archive keys.
    """
    line = [
        "mmdebstrap",
        "--verbose",
        "--mode=root",
        "--variant=extract",
        "--architectures=amd64",
        f"--components={','.join(recipe.components)}",
        "--skip=chroot/mount",
        "--skip=cleanup/apt",
        f"--include={','.join(recipe.packages)}",
        recipe.suite,
        str(target),
    ]
    return line if sources is None else [*line, str(sources)]


def unpack(
    recipe: Recipe,
    target: Path,
    sources: Path | None,
    log: Path,
    progress: Callable[[str, float | None], None],
) -> None:
    """Run mmdebstrap. RW855 with its last lines when it fails."""
    meter = ProgressMeter()

    def on_line(line: str) -> None:
        if meter.read(line):
            progress(meter.text, meter.fraction)

    try:
        command.run(arguments(recipe, target, sources), log, on_line)
    except command.CommandFailedError as error:
        raise error.as_terminal(
            "RW855", "Check that this host reaches a Debian mirror, then run the build again"
        ) from error


@dataclass(slots=True)
class ProgressMeter:
    """Reads mmdebstrap's lines and knows how far it is."""

    text: str = ""
    fraction: float | None = None
    _planned: int = 0
    _got: int = 0

    def read(self, line: str) -> bool:
        """Take one line; return whether ``text`` or ``fraction`` has changed."""
        if planned := _PLANNED.match(line):
            self._planned = int(planned[1])
            return False
        if self._planned and (got := _GOT.match(line)):
            self._got += 1
            self.text = f"downloading package {self._got} of {self._planned}: {got[1]}"
            self.fraction = min(1.0, self._got / self._planned)
            return True
        if line.startswith("I: running apt-get update"):
            self.text, self.fraction = "reading Debian's package lists", None
            return True
        if line.startswith("I: extracting archives"):
            self.text, self.fraction = f"unpacking {self._planned} packages", None
            return True
        return False


def package_versions(archives: list[str]) -> dict[str, str]:
    """Return name to version for package file names (``ntfs-3g_1%3a2022.10.3-1_amd64.deb``)."""
    matches = [match for name in archives if (match := _ARCHIVE.fullmatch(name))]
    return {match["name"]: unquote(match["version"]) for match in matches}
