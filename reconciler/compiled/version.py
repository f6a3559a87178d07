"""What rows depend on besides files: a digest of the code that makes them."""

import sys
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from importlib.machinery import PathFinder
from pathlib import Path

import specs

OWN = (Path(specs.__file__).parent, Path(__file__).parent)
"""The packages whose every module may matter."""
_OTHERS = ("pydantic", "pydantic_core", "ruamel.yaml", "_ruamel_yaml")
_CODE = frozenset({".py", ".so"})


@cache
def program_version() -> str:
    """Return a digest that changes whenever the code that compiles may have changed."""
    return digest_of_code(OWN, _others())


def digest_of_code(own: Iterable[Path], others: Iterable[Path]) -> str:
    """Return a digest over the contents of our own folders, and over the looks of others' files.

    Of others, size and time of change are enough: nobody works on them, and they are large.
    """
    digest = blake2b(sys.version.encode(), digest_size=8)
    for folder in own:
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\0".encode())
            digest.update(blake2b(file.read_bytes()).digest())
    for file in others:
        state = file.stat()
        digest.update(f"{file.name} {state.st_size} {state.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _others() -> list[Path]:
    """Return the files of the packages that read and check documents, without loading them."""
    files: list[Path] = []
    for name in _OTHERS:
        spec = PathFinder.find_spec(name.partition(".")[0])
        if spec is None:
            continue
        folders = [Path(each) for each in spec.submodule_search_locations or ()]
        folders = [each.joinpath(*name.split(".")[1:]) for each in folders]
        files += [file for each in folders if each.is_dir() for file in each.iterdir()]
        if not folders and spec.origin:
            files.append(Path(spec.origin))
    return sorted(file for file in files if file.suffix in _CODE)
