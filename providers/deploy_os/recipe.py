"""The recipe: what the RAM system is made of, as ``deploy-os/recipe.toml`` says it."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import TerminalError

_PACKAGE = Path(__file__).resolve().parent
CHECKOUT = _PACKAGE.parents[1]
_PLACES = (CHECKOUT / "deploy-os", _PACKAGE / "recipe")
"""In a checkout, and where the wheel carries it."""

_LISTS = ("components", "kernel_arguments", "directories", "packages", "distributions")
_PATTERNS = ("files", "modules")
_TABLES = ("links", "boot_files")
_KEYS = {"suite", "compression_level", *_LISTS, *_PATTERNS, *_TABLES}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the RAM system is made of; the fields are those of ``recipe.toml``.

    ``root`` holds the files that are ours and are copied over the packages'.
    """

    suite: str
    components: tuple[str, ...]
    kernel_arguments: tuple[str, ...]
    compression_level: int
    directories: tuple[str, ...]
    packages: tuple[str, ...]
    distributions: tuple[str, ...]
    files: tuple[str, ...]
    modules: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    boot_files: tuple[tuple[str, str], ...]
    root: Path
    lock: Path


def find_recipe() -> Path:
    """Return the recipe's folder. RW850 when this installation has none."""
    for place in _PLACES:
        if (place / "recipe.toml").is_file():
            return place
    raise TerminalError(
        "RW850",
        f"no Deploy-OS recipe in {' or '.join(str(place) for place in _PLACES)}",
        "Install Rackwright from a complete wheel or work in a checkout",
    )


def load_recipe(folder: Path) -> Recipe:
    """Read ``recipe.toml`` in ``folder``. RW851 when it is not a recipe."""
    path = folder / "recipe.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return parse_recipe(document, root=folder / "root", lock=lock_of(folder))
    except (OSError, ValueError) as error:
        raise TerminalError(
            "RW851",
            f"{path} is not a Deploy-OS recipe: {error}",
            "Restore the file from the release or correct it",
        ) from error


def parse_recipe(document: dict[str, Any], root: Path, lock: Path) -> Recipe:
    """Return the recipe that the TOML ``document`` holds; ValueError names what is wrong."""
    problems = [f"unknown key {key!r}" for key in sorted(document.keys() - _KEYS)]
    problems += [f"missing key {key!r}" for key in sorted(_KEYS - document.keys())]
    for key in (*_LISTS, *_PATTERNS):
        value = document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            problems.append(f"{key!r} is not a list of strings")
    for key in _TABLES:
        value = document.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            problems.append(f"{key!r} is not a table of strings")
    if problems:
        raise ValueError("; ".join(problems))
    lists = {key: tuple(document[key]) for key in (*_LISTS, *_PATTERNS)}
    tables = {key: tuple(sorted(document[key].items())) for key in _TABLES}
    return Recipe(
        suite=str(document["suite"]),
        compression_level=int(document["compression_level"]),
        root=root,
        lock=lock,
        **lists,
        **tables,
    )


def digest_of_folder(folder: Path) -> str:
    """Return a digest of the names and contents below ``folder``, byte code left out."""
    digest = hashlib.sha256()
    for path in source_files(folder):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def source_files(folder: Path) -> list[Path]:
    """Return the files below ``folder`` that a person wrote, in a fixed order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )


def lock_of(folder: Path) -> Path:
    """Return the lock file of the release: in the wheel's recipe, else in the checkout."""
    inside = folder / "requirements.lock"
    return inside if inside.is_file() else CHECKOUT / "requirements.lock"
