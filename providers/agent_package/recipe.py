"""The recipe and the lock: what the carried runtime is made of, and of which packages exactly."""

import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.errors import TerminalError

_PACKAGE = Path(__file__).resolve().parent
RECIPE = _PACKAGE / "recipe.toml"
LOCK = _PACKAGE / "debian.lock.toml"

_LISTS = ("packages", "distributions", "programs", "files")
_KEYS = {"suite", *_LISTS}
_PACKAGE_KEYS = {"name", "version", "archive", "path", "size", "sha256"}
_ARCHIVES = ("debian", "debian-security")
_PATH = re.compile(r"pool/[A-Za-z0-9.+~_/%-]+\.deb")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One Debian package: its archive, its place in there, its size in bytes, its SHA-256."""

    name: str
    version: str
    archive: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RuntimeRecipe:
    """What the runtime is made of; the fields are those of ``recipe.toml``, and the lock."""

    suite: str
    packages: tuple[str, ...]
    distributions: tuple[str, ...]
    programs: tuple[str, ...]
    files: tuple[str, ...]
    locked: tuple[LockedPackage, ...]
    mirrors: tuple[str, ...]
    """URLs with ``{archive}`` and ``{path}``; the next is asked for what one has no more."""


def load_recipe(recipe: Path = RECIPE, lock: Path = LOCK) -> RuntimeRecipe:
    """Read both files. RW820 when one of them is missing, invalid, or they do not agree."""
    try:
        return parse_recipe(
            tomllib.loads(recipe.read_text("utf-8")), tomllib.loads(lock.read_text("utf-8"))
        )
    except (OSError, ValueError) as error:
        raise TerminalError(
            "RW820",
            f"{recipe} and {lock.name} do not say what the agent's package is made of: {error}",
            "Restore both from the release; after a change of the recipe run: make agent-lock",
        ) from error


def parse_recipe(document: dict[str, Any], lock: dict[str, Any]) -> RuntimeRecipe:
    """Return the recipe that both TOML documents hold; ValueError names what is wrong."""
    odd = sorted(document.keys() ^ _KEYS)
    if odd:
        raise ValueError(f"unknown or missing keys: {', '.join(odd)}")
    for key in _LISTS:
        if not _are_texts(document[key]):
            raise ValueError(f"{key!r} is not a list of strings")
    mirrors = lock.get("mirrors")
    if not mirrors or not _are_texts(mirrors):
        raise ValueError("the lock names no mirrors")
    locked = tuple(_package(entry) for entry in lock.get("package", ()))
    stray = {package.name for package in locked} ^ set(document["packages"])
    if stray or len(locked) != len(set(document["packages"])):
        raise ValueError(f"recipe and lock differ in packages: {', '.join(sorted(stray))}")
    lists = {key: tuple(document[key]) for key in _LISTS}
    return RuntimeRecipe(
        suite=str(document["suite"]), locked=locked, mirrors=tuple(mirrors), **lists
    )


def lock_text(mirrors: tuple[str, ...], packages: list[LockedPackage]) -> str:
    """Return the text of the lock file."""
    head = "# Written by `make agent-lock`: the packages of recipe.toml as Debian had them.\n\n"
    listed = "".join(f'    "{mirror}",\n' for mirror in mirrors)
    entries = [
        "\n[[package]]\n"
        + "".join(
            f"{key} = {value}\n" if isinstance(value, int) else f'{key} = "{value}"\n'
            for key, value in asdict(package).items()
        )
        for package in sorted(packages, key=lambda package: package.name)
    ]
    return f"{head}mirrors = [\n{listed}]\n{''.join(entries)}"


def _package(entry: dict[str, Any]) -> LockedPackage:
    if entry.keys() != _PACKAGE_KEYS or not isinstance(entry["size"], int):
        raise ValueError(f"not a locked package: {entry}")
    package = LockedPackage(**entry)
    if (
        package.archive not in _ARCHIVES
        or not _PATH.fullmatch(package.path)
        or ".." in package.path
    ):
        raise ValueError(f"{package.name} has an odd place: {package.archive} {package.path}")
    if not _SHA256.fullmatch(package.sha256):
        raise ValueError(f"{package.name} has no SHA-256")
    return package


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
