"""The unpacked packages as one set of files to choose from.

Debian 12's packages still spell some paths the old way (``/bin/ip``); here every path is
the merged one (``usr/bin/ip``), relative to the root.
"""

import os
import posixpath
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.errors import TerminalError
from providers.deploy_os import elf

_MERGED = ("bin", "lib", "lib64", "sbin")
_LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib")


def merged(path: str) -> str:
    """Return ``path`` as it is spelt on a system with merged ``/usr``."""
    return f"usr/{path}" if path.split("/", 1)[0] in _MERGED else path


def link_target(path: str, target: str) -> str:
    """Return the merged path that a symbolic link at ``path`` leads to."""
    joined = posixpath.join("/", posixpath.dirname(path), target)
    return merged(posixpath.normpath(joined).lstrip("/"))


class PackageFiles:
    """Files and symbolic links below ``unpacked``, by merged path."""

    def __init__(self, unpacked: Path) -> None:
        self._sources: dict[str, Path] = {}
        for folder, directories, names in os.walk(unpacked):
            links = [name for name in directories if Path(folder, name).is_symlink()]
            for name in names + links:
                source = Path(folder, name)
                path = merged(source.relative_to(unpacked).as_posix())
                known = self._sources.get(path)
                if known is None or known.is_symlink():
                    self._sources[path] = source

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __contains__(self, path: object) -> bool:
        return path in self._sources

    def source(self, path: str) -> Path:
        """Return where the file lies now."""
        return self._sources[path]

    def with_needs(self, chosen: Iterable[str]) -> set[str]:
        """Return ``chosen`` with link targets and shared libraries, and theirs in turn."""
        kept: set[str] = set()
        waiting = list(chosen)
        while waiting:
            path = waiting.pop()
            if path not in kept:
                kept.add(path)
                waiting.extend(self._needs(path))
        return kept

    def library(self, soname: str, user: str) -> str:
        """Return the path of a shared library. RW854 when no package has it."""
        for folder in _LIBRARY_FOLDERS:
            if f"{folder}/{soname}" in self._sources:
                return f"{folder}/{soname}"
        raise TerminalError(
            "RW854",
            f"{user} is linked against {soname}, which no package of the recipe has",
            "Add the package that has it to the recipe",
        )

    def copy(self, paths: Iterable[str], root: Path) -> None:
        """Copy files as files and links as links below ``root``."""
        for path in sorted(paths):
            destination = root / path
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._sources[path], destination, follow_symlinks=False)

    def libraries_of(self, data: bytes, user: str) -> list[str]:
        """Return the paths of what the file ``data`` is linked against, with the loader."""
        linkage = elf.linkage(data)
        if linkage is None:
            return []
        needs = [self.library(soname, user) for soname in linkage.needed]
        loader = merged(linkage.interpreter.lstrip("/"))
        return [*needs, loader] if loader else needs

    def _needs(self, path: str) -> list[str]:
        source = self._sources[path]
        if source.is_symlink():
            target = link_target(path, str(source.readlink()))
            return [target] if target in self._sources else []
        if path.endswith(".ko"):
            return []
        return self.libraries_of(source.read_bytes(), path)
