"""mmdebstrap: downloads Debian packages with all they depend on and unpacks them.

For the Deploy-OS its "extract" variant is used: no maintainer script runs, nothing is
mounted, and the unpacked tree is not a system that could run, only files to choose from.
The golden systems of the lab are real ones, installed into a tar.
"""

import re
from collections.abc import Callable, Sequence
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


def arguments(recipe: Recipe, target: Path) -> list[str]:
    """Return the command line that unpacks the recipe's packages below ``target``.

    They come from Debian's own servers, with updates and security updates, signed by the
    host's Debian archive keys.
    """
    return [
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


def tar_arguments(  # noqa: PLR0913 - a system is described by that much
    suite: str,
    target: Path,
    *,
    packages: Sequence[str],
    excluded_paths: Sequence[str],
    overlay: Path,
    sources: Sequence[str],
) -> list[str]:
    """Return the command line that installs a system into the tar ``target``.

    It runs in namespaces of its own, so that a build that is killed leaves neither
    processes nor mounts.

    ``overlay`` goes in between the essential packages and the others, so that the
    kernel's initial RAM disk is already built with the recipe's configuration.
    """
    return [
        *("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child"),
        *("--pid", "--mount", "--mount-proc", "--", "mmdebstrap"),
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(packages)}",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in excluded_paths),
        f"--essential-hook=sync-in {overlay} /",
        suite,
        str(target),
        *sources,
    ]


def unpack(
    recipe: Recipe, target: Path, log: Path, progress: Callable[[str, float | None], None]
) -> None:
    """Run mmdebstrap. RW855 with its last lines when it fails."""
    meter = ProgressMeter()

    def on_line(line: str) -> None:
        if meter.read(line):
            progress(meter.text, meter.fraction)

    command.run(
        arguments(recipe, target),
        log,
        on_line,
        code="RW855",
        action="Check that this host reaches a Debian mirror, then run the build again",
    )


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
