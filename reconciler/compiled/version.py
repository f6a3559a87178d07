"""What compiled fleets depend on besides their files: this program, and what checks documents."""

import os
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from importlib.machinery import PathFinder
from pathlib import Path

import specs

_PACKAGE = Path(specs.__file__).parent
_CHECKED_BY = ("pydantic", "pydantic_core")
_CODE = (".py", ".so")


@cache
def program_version() -> str:
    """Return a digest that changes whenever the code that compiles and plans changes.

    That of pydantic included: what it made of a model is kept (``specs.prepared``). By size
    and time of change of its files, which costs a millisecond: a version number would stay
    the same while somebody works on the code.
    """
    own = (_PACKAGE, Path(__file__).parent, _PACKAGE.parent / "reconciler" / "planning")
    digest = blake2b(digest_size=8)
    for lines in (*map(_all_lines, map(str, own)), *map(_lines, _foreign())):
        for line in sorted(lines):
            digest.update(line.encode())
    return digest.hexdigest()


def _foreign() -> Iterator[str]:
    """Yield where the packages that check documents are, without loading them."""
    for package in _CHECKED_BY:
        spec = PathFinder.find_spec(package)
        yield from (spec and spec.submodule_search_locations) or ()


def _all_lines(folder: str) -> Iterator[str]:
    """Yield a line for each file of code in a folder and those within it."""
    yield from _lines(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _all_lines(entry.path)


def _lines(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_CODE):
                state = entry.stat()
                yield f"{entry.path} {state.st_size} {state.st_mtime_ns}\n"
