"""The locked Debian packages: fetched once, checked each time, taken apart. Needs no root."""

import hashlib
from pathlib import Path

from agent.commands.runner import follow_command, run_command
from agent.errors import CommandError, MissingCommandError, TerminalError
from providers.agent_package.recipe import LockedPackage, RuntimeRecipe

APT_HELPER = "/usr/lib/apt/apt-helper"
_FETCH_SECONDS = 3600.0
_SHOWN_LINES = 6


def fetch(recipe: RuntimeRecipe, folder: Path) -> list[Path]:
    """Return the files of all locked packages in ``folder``, fetching those that it lacks.

    apt fetches, with this host's proxies, and compares the hashes. RW821 when a package
    cannot be had or is another one, RW822 where this host has no apt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = ""
    for mirror in recipe.mirrors:
        missing = [package for package in recipe.locked if not _is_there(package, folder)]
        if missing:
            said += _fetch_from(mirror, missing, folder)
    missing = [package for package in recipe.locked if not _is_there(package, folder)]
    if missing:
        names = ", ".join(f"{package.name} {package.version}" for package in missing)
        raise TerminalError(
            "RW821",
            f"these locked Debian packages cannot be fetched: {names}; apt said:{said}",
            "Check that this host reaches a Debian mirror, then build again",
        )
    return [_file_of(package, folder) for package in recipe.locked]


def unpack(archives: list[Path], target: Path) -> None:
    """Unpack packages below ``target``; no maintainer script runs. RW822, CommandError RW565."""
    target.mkdir(parents=True)
    try:
        for path in archives:
            run_command(["dpkg-deb", "--extract", str(path), str(target)])
    except MissingCommandError as error:
        raise _no_tool("dpkg-deb", "dpkg") from error


def _fetch_from(mirror: str, packages: list[LockedPackage], folder: Path) -> str:
    words = ["-o", "APT::Sandbox::User="]
    words.append("download-file")
    for package in packages:
        address = mirror.format(archive=package.archive, path=package.path)
        words += [address, str(_file_of(package, folder)), f"SHA256:{package.sha256}"]
    try:
        done = follow_command([APT_HELPER, *words], timeout=_FETCH_SECONDS)
    except MissingCommandError as error:
        raise _no_tool("apt-helper", "apt") from error
    except CommandError as error:
        return f"\n    {error.words}"
    lines = [line for line in done.words.splitlines() if line.startswith("E: Failed")]
    return "".join(f"\n    {line}" for line in lines[-_SHOWN_LINES:])


def _file_of(package: LockedPackage, folder: Path) -> Path:
    return folder / f"{package.name}_{package.sha256[:16]}.deb"


def _is_there(package: LockedPackage, folder: Path) -> bool:
    try:
        content = _file_of(package, folder).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() == package.sha256


def _no_tool(tool: str, package: str) -> TerminalError:
    return TerminalError(
        "RW822",
        f"building the agent's package needs {tool}, not found on this host",
        f"Install: apt install {package}",
    )
