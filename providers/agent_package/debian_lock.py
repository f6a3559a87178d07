"""Makes the lock anew from what Debian has now: ``make agent-lock``."""

import re
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from agent.commands.runner import run_command
from agent.whole_file import write_atomically
from providers.agent_package.recipe import LOCK, RECIPE, LockedPackage, lock_text

_MIRROR = "http://deb.debian.org"
_SNAPSHOTS = "http://snapshot.debian.org/archive"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_ARCHIVES = (("debian", ""), ("debian", "-updates"), ("debian-security", "-security"))
_LINE = re.compile(
    r"'(?P<uri>\S+)' (?P<name>[^_]+)_(?P<version>[^_]+)_\S+\.deb "
    r"(?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)


def mirrors_at(now: datetime) -> tuple[str, ...]:
    """Return Debian's mirror, and the archive of what it had at that time.

    A mirror drops a package when a newer one replaces it.
    """
    moment = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return (
        f"{_MIRROR}/{{archive}}/{{path}}",
        f"{_SNAPSHOTS}/{{archive}}/{moment}/{{path}}",
    )


def parse_uris(output: str) -> list[LockedPackage]:
    """Return the packages that ``apt-get --print-uris download`` names."""
    return [
        LockedPackage(
            name=match["name"],
            version=match["version"].replace("%3a", ":"),
            archive=urlsplit(match["uri"]).path.split("/")[1],
            path=urlsplit(match["uri"]).path.split("/", 2)[2],
            size=int(match["size"]),
            sha256=match["sha256"],
        )
        for match in _LINE.finditer(output)
    ]


def current_packages(suite: str, names: list[str]) -> list[LockedPackage]:
    """Ask Debian's archives, security updates included; their signatures are verified."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sources = "".join(
            f"deb [signed-by={_KEYRING}] {_MIRROR}/{archive} {suite}{pocket} main\n"
            for archive, pocket in _ARCHIVES
        )
        write_atomically(place / "sources.list", sources.encode())
        for name in ("state/lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True)
        write_atomically(place / "state/status", b"")
        settings = {
            "Dir::Etc::SourceList": place / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State": place / "state",
            "Dir::State::status": place / "state/status",
            "Dir::Cache": place / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        run_command(["apt-get", *options, "update"])
        done = run_command(["apt-get", *options, "--print-uris", "download", *names])
    return parse_uris(done.stdout.decode())


def main() -> None:
    """Write the lock file beside the recipe."""
    recipe = tomllib.loads(RECIPE.read_text("utf-8"))
    packages = current_packages(recipe["suite"], recipe["packages"])
    missing = set(recipe["packages"]) - {package.name for package in packages}
    if missing:
        sys.exit(f"{recipe['suite']} has no {', '.join(sorted(missing))}")
    write_atomically(LOCK, lock_text(mirrors_at(datetime.now(UTC)), packages).encode())


if __name__ == "__main__":
    main()
